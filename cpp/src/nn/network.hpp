// A multilayer perceptron and its derivatives, written by hand.
//
// Parameters are one flat vector: weight (out, in) row-major, then bias, layer by layer. With h_0 = x,
//   z_l = W_l h_{l−1} + b_l,  h_l = φ(z_l),  and the last layer linear.
// Work goes in blocks of rows whose activations stay in the second-level cache. Everything a block needs
// lives in a `Block`, built once; passes over a block do not allocate. Biases, activations and slopes are
// applied to a part of a product when it is made, while it is in the first-level cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "math/memory.hpp"
#include "pgcore/activation.hpp"
#include "pgcore/inputs.hpp"
#include "pgcore/types.hpp"
#include "pgcore/views.hpp"

namespace pgcore {

template <class T>
class Network {
 public:
  static constexpr Index block_rows = 256;

  // Activations, cotangents and slopes of a block of rows; entry l of each belongs to layer l (0 is the
  // input).
  struct Block {
    std::vector<T*> hidden, delta, slope;
    AlignedBuffer<T> storage;
  };

  Network(std::vector<Index> sizes, Activation activation)
      : sizes_(std::move(sizes)), activation_(activation) {
    for (Index l = 1; l <= num_layers(); ++l) {
      offsets_.push_back(num_params_);
      num_params_ += (size(l - 1) + 1) * size(l);
    }
  }

  Index num_layers() const { return static_cast<Index>(sizes_.size()) - 1; }
  Index size(Index layer) const { return sizes_[static_cast<std::size_t>(layer)]; }
  Index num_inputs() const { return sizes_.front(); }
  Index num_outputs() const { return sizes_.back(); }
  Index num_params() const { return num_params_; }

  // A block without cotangents only keeps activations.
  std::unique_ptr<Block> make_block(bool with_delta = true) const;
  // Scalars that a block without cotangents holds of each row.
  Index block_width() const;

  // hidden[0] ← rows first … first + rows − 1 of the inputs.
  void load(const Inputs<T>& inputs, Index first, Index rows, Block& block) const {
    inputs.read(first, {block.hidden[0], rows, num_inputs()});
  }
  // The same for rows in any order.
  void load(const Inputs<T>& inputs, Vec<const std::int64_t> index, Block& block) const {
    inputs.read(index, {block.hidden[0], index.size(), num_inputs()});
  }

  // hidden[1 … L] from hidden[0]; the network's output is hidden[L].
  void forward(const T* theta, Index rows, Block& block) const;

  // delta[1 … L − 1] from delta[L], the cotangent of the output.
  void backward(const T* theta, Index rows, Block& block) const;

  // gradient += Σ over rows, after `backward`.
  void add_gradient(Index rows, const Block& block, T* gradient) const;

  // The gradient of row r alone, after `backward`.
  void row_gradient(Index r, const Block& block, T* gradient) const;

  // squares += Σ over rows of the squares of their gradients, entry by entry, after `backward`. Allocates.
  void add_gradient_squares(Index rows, const Block& block, T* squares) const;

  // ‖gradient of row r‖², after `backward`: a layer's part is ‖δ‖² (‖h‖² + 1), so no row is formed.
  T row_square_norm(Index r, const Block& block) const;

  // delta[l] ← directional derivative of hidden[l] along `tangent` in parameter space, after `forward`.
  void tangent(const T* theta, const T* direction, Index rows, Block& block) const;

  // Flops of one pass that multiplies by every weight once.
  double flops(Index rows) const {
    return 2.0 * static_cast<double>(num_params_) * static_cast<double>(rows);
  }

  // Where a layer's parameters begin: weight (size(l), size(l − 1)), then bias.
  Index offset(Index layer) const { return offsets_[static_cast<std::size_t>(layer - 1)]; }

 private:
  const T* weight(const T* theta, Index layer) const { return theta + offset(layer); }
  const T* bias(const T* theta, Index layer) const {
    return theta + offset(layer) + size(layer) * size(layer - 1);
  }

  auto multiplied_by_slope(Index l, const Block& block, T* delta) const;
  void add_outer(Index rows, Index l, const T* delta, const T* h, T* sum) const;

  std::vector<Index> sizes_, offsets_;
  Activation activation_;
  Index num_params_ = 0;
};

}  // namespace pgcore
