// A multilayer perceptron and its derivatives, written by hand.
//
// Parameters are one flat vector: weight (out, in) row-major, then bias, layer by layer. With h_0 = x,
//   z_l = W_l h_{l−1} + b_l,  h_l = φ(z_l),  and the last layer linear.
// Work goes in blocks of rows whose activations stay in the second-level cache. Everything a block needs
// lives in a `Block`, built once; passes over a block do not allocate (Eigen packs operands on the stack up
// to 128 KiB).
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "pgcore/activation.hpp"
#include "pgcore/parallel.hpp"
#include "pgcore/scratch_pool.hpp"
#include "pgcore/types.hpp"

namespace pgcore {

// x ↦ clamp((x − shift)·scale, ±clip), applied while inputs are copied into a block; null pointers leave x
// alone.
template <class T>
struct InputScaling {
  const T* shift = nullptr;
  const T* scale = nullptr;
  T clip = 0;
};

template <class T>
class Mlp {
 public:
  static constexpr Index block_rows = 256;

  // Activations, cotangents and slopes of a block of rows; entry l of each belongs to layer l (0 is the
  // input).
  struct Block {
    std::vector<T*> hidden, delta, slope;
    AlignedBuffer<T> storage;
  };

  Mlp(std::vector<Index> sizes, Activation activation) : sizes_(std::move(sizes)), activation_(activation) {
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

  std::unique_ptr<Block> make_block() const {
    auto block = std::make_unique<Block>();
    Index total = 0;
    const auto reserve = [&](Index width) {
      return std::exchange(total, total + padded<T>(width * block_rows));
    };
    std::vector<Index> h, d, s;
    for (Index l = 0; l <= num_layers(); ++l) {
      h.push_back(reserve(size(l)));
      d.push_back(reserve(size(l)));
      s.push_back(needs_slope(activation_) ? reserve(size(l)) : 0);
    }
    block->storage.resize(total);
    T* base = block->storage.data();
    for (std::size_t l = 0; l < h.size(); ++l) {
      block->hidden.push_back(base + h[l]);
      block->delta.push_back(base + d[l]);
      block->slope.push_back(base + s[l]);
    }
    return block;
  }

  // hidden[0] ← rows of x.
  void load(const T* x, Index rows, const InputScaling<T>& scaling, Block& block) const {
    for (Index r = 0; r < rows; ++r)
      load_row(x + r * num_inputs(), scaling, block.hidden[0] + r * num_inputs());
  }
  void load_row(const T* x, const InputScaling<T>& scaling, T* h) const {
    const Index width = num_inputs();
    if (!scaling.shift) {
      std::copy(x, x + width, h);
      return;
    }
    PGCORE_INDEPENDENT
    for (Index j = 0; j < width; ++j) {
      T z = (x[j] - scaling.shift[j]) * scaling.scale[j];
      z = z < -scaling.clip ? -scaling.clip : z;
      h[j] = z > scaling.clip ? scaling.clip : z;
    }
  }

  // hidden[1 … L] from hidden[0]; the network's output is hidden[L].
  void forward(const T* theta, Index rows, Block& block) const;

  // delta[1 … L − 1] from delta[L], the cotangent of the output.
  void backward(const T* theta, Index rows, Block& block) const;

  // gradient += Σ over rows, after `backward`.
  void add_gradient(Index rows, const Block& block, T* gradient) const;

  // The gradient of row r alone, after `backward`.
  void row_gradient(Index r, const Block& block, T* gradient) const {
    for (Index l = 1; l <= num_layers(); ++l) {
      const T *delta = block.delta[l] + r * size(l), *h = block.hidden[l - 1] + r * size(l - 1);
      T* w = gradient + offset(l);
      for (Index i = 0; i < size(l); ++i) {
        for (Index j = 0; j < size(l - 1); ++j) w[i * size(l - 1) + j] = delta[i] * h[j];
      }
      std::copy(delta, delta + size(l), w + size(l) * size(l - 1));
    }
  }

  // ‖gradient of row r‖², after `backward`: a layer's part is ‖δ‖² (‖h‖² + 1), so no row is formed.
  T row_square_norm(Index r, const Block& block) const {
    T total = 0;
    for (Index l = 1; l <= num_layers(); ++l) {
      T delta = 0, h = 0;
      for (Index i = 0; i < size(l); ++i)
        delta += block.delta[l][r * size(l) + i] * block.delta[l][r * size(l) + i];
      for (Index j = 0; j < size(l - 1); ++j) {
        h += block.hidden[l - 1][r * size(l - 1) + j] * block.hidden[l - 1][r * size(l - 1) + j];
      }
      total += delta * (h + T(1));
    }
    return total;
  }

  // delta[l] ← directional derivative of hidden[l] along `tangent` in parameter space, after `forward`.
  void tangent(const T* theta, const T* direction, Index rows, Block& block) const;

  // Flops of one pass that multiplies by every weight once.
  double flops(Index rows) const {
    return 2.0 * static_cast<double>(num_params_) * static_cast<double>(rows);
  }

 private:
  static MatrixMap<T> map(T* data, Index rows, Index columns) { return {data, rows, columns}; }
  Index offset(Index layer) const { return offsets_[static_cast<std::size_t>(layer - 1)]; }
  ConstMatrixMap<T> weight(const T* theta, Index layer) const {
    return {theta + offset(layer), size(layer), size(layer - 1)};
  }
  const T* bias(const T* theta, Index layer) const {
    return theta + offset(layer) + size(layer) * size(layer - 1);
  }

  std::vector<Index> sizes_, offsets_;
  Activation activation_;
  Index num_params_ = 0;
};

// The passes that multiply matrices are compiled once, in src/mlp.cpp: instantiating Eigen's products takes
// long.

extern template class Mlp<float>;
extern template class Mlp<double>;

}  // namespace pgcore
