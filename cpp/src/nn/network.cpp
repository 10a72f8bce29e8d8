#include "nn/network.hpp"

#include <algorithm>
#include <cstddef>

#include "math/compiler.hpp"
#include "math/matmul.hpp"
#include "math/sums.hpp"
#include "math/tiles.hpp"
#include "nn/activate.hpp"
#include "nn/few_rows.hpp"
#include "pgcore/types.hpp"

namespace pgcore {
namespace {

using tiles::Factor, tiles::nothing, tiles::product;

// A row-major matrix, and the transpose of one, whose rows have so many numbers.
template <class T>
Factor<T> rows_of(const T* data, Index width) {
  return {data, width, 1};
}
template <class T>
Factor<T> columns_of(const T* data, Index width) {
  return {data, 1, width};
}

template <class T>
AlignedBuffer<T> squared(Index count, const T* x) {
  AlignedBuffer<T> out(count);
  for (Index i = 0; i < count; ++i) out.data()[i] = x[i] * x[i];
  return out;
}

}  // namespace

template <class T>
std::unique_ptr<typename Network<T>::Block> Network<T>::make_block(bool with_delta) const {
  auto block = std::make_unique<Block>();
  Index total = 0;
  const auto reserve = [&](Index width) {
    return std::exchange(total, total + padded<T>(width * block_rows));
  };
  std::vector<Index> h, d, s;
  for (Index l = 0; l <= num_layers(); ++l) {
    h.push_back(reserve(size(l)));
    d.push_back(with_delta ? reserve(size(l)) : 0);
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

template <class T>
Index Network<T>::block_width() const {
  Index width = 0;
  for (Index l = 0; l <= num_layers(); ++l) width += needs_slope(activation_) ? 2 * size(l) : size(l);
  return width;
}

template <class T>
void Network<T>::forward(const T* theta, Index rows, Block& block) const {
  for (Index l = 1; l <= num_layers(); ++l) {
    const Activation f = l == num_layers() ? Activation::identity : activation_;
    const T *h = block.hidden[l - 1], *w = weight(theta, l), *b = bias(theta, l);
    T *z = block.hidden[l], *slope = block.slope[l];
    if (few_rows::preferred<T>(rows, size(l - 1), size(l))) {
      few_rows::layer(f, rows, size(l - 1), size(l), h, w, b, z, slope);
    } else {
      // A part at a time, while it is in the first-level cache.
      product<T>(rows, size(l - 1), size(l), rows_of(h, size(l - 1)), columns_of(w, size(l - 1)), b, 0, z,
                 size(l), [=](T* part, Index count, Index width) {
                   activate(f, count, width, size(l), part, slope + (part - z));
                 });
    }
  }
}

// Multiplies parts of `delta`, the derivatives by layer l's values, by those of its activation.
template <class T>
auto Network<T>::multiplied_by_slope(Index l, const Block& block, T* delta) const {
  const Activation f = l == num_layers() ? Activation::identity : activation_;
  return [=, h = block.hidden[l], slope = block.slope[l], step = size(l)](T* part, Index rows, Index width) {
    const Index at = part - delta;
    multiply_by_slope(f, rows, width, step, h + at, slope + at, part);
  };
}

template <class T>
void Network<T>::backward(const T* theta, Index rows, Block& block) const {
  for (Index l = num_layers(); l > 1; --l) {
    const Index width = size(l - 1);
    T* delta = block.delta[l - 1];
    product<T>(rows, size(l), width, rows_of(block.delta[l], size(l)), rows_of(weight(theta, l), width),
               nullptr, 0, delta, width, multiplied_by_slope(l - 1, block, delta));
  }
}

// Σ over rows of δ (h, 1)ᵀ, at the place of a layer's weight and bias.
template <class T>
void Network<T>::add_outer(Index rows, Index l, const T* delta, const T* h, T* sum) const {
  const Index width = size(l);
  add_transposed_product(width, rows, size(l - 1), delta, h, sum + offset(l));
  T* b = sum + offset(l) + width * size(l - 1);
  Index r = 0;
  for (; r + 4 <= rows; r += 4) {
    const T* row = delta + r * width;
    PGCORE_INDEPENDENT
    for (Index j = 0; j < width; ++j) {
      b[j] += (row[j] + row[width + j]) + (row[2 * width + j] + row[3 * width + j]);
    }
  }
  for (; r < rows; ++r) {
    PGCORE_INDEPENDENT
    for (Index j = 0; j < width; ++j) b[j] += delta[r * width + j];
  }
}

template <class T>
void Network<T>::add_gradient(Index rows, const Block& block, T* gradient) const {
  for (Index l = 1; l <= num_layers(); ++l) {
    add_outer(rows, l, block.delta[l], block.hidden[l - 1], gradient);
  }
}

template <class T>
void Network<T>::row_gradient(Index r, const Block& block, T* gradient) const {
  for (Index l = 1; l <= num_layers(); ++l) {
    const T *delta = block.delta[l] + r * size(l), *h = block.hidden[l - 1] + r * size(l - 1);
    T* w = gradient + offset(l);
    for (Index i = 0; i < size(l); ++i) {
      for (Index j = 0; j < size(l - 1); ++j) w[i * size(l - 1) + j] = delta[i] * h[j];
    }
    std::copy(delta, delta + size(l), w + size(l) * size(l - 1));
  }
}

template <class T>
void Network<T>::add_gradient_squares(Index rows, const Block& block, T* squares) const {
  for (Index l = 1; l <= num_layers(); ++l) {
    const AlignedBuffer<T> delta = squared(rows * size(l), block.delta[l]);
    const AlignedBuffer<T> h = squared(rows * size(l - 1), block.hidden[l - 1]);
    add_outer(rows, l, delta.data(), h.data(), squares);
  }
}

template <class T>
T Network<T>::row_square_norm(Index r, const Block& block) const {
  T total = 0;
  for (Index l = 1; l <= num_layers(); ++l) {
    const T *delta = block.delta[l] + r * size(l), *h = block.hidden[l - 1] + r * size(l - 1);
    const T of_delta = row_sum<T>(size(l), [=](Index i) { return delta[i] * delta[i]; });
    const T of_h = row_sum<T>(size(l - 1), [=](Index j) { return h[j] * h[j]; });
    total += of_delta * (of_h + T(1));
  }
  return total;
}

template <class T>
void Network<T>::tangent(const T* theta, const T* direction, Index rows, Block& block) const {
  for (Index l = 1; l <= num_layers(); ++l) {
    const Index in = size(l - 1), out = size(l);
    T* dz = block.delta[l];
    const auto finish = multiplied_by_slope(l, block, dz);
    const Factor<T> h = rows_of(block.hidden[l - 1], in), along = columns_of(weight(direction, l), in);
    if (l == 1) {
      product<T>(rows, in, out, h, along, bias(direction, l), 0, dz, out, finish);
    } else {
      product<T>(rows, in, out, h, along, bias(direction, l), 0, dz, out, nothing);
      product<T>(rows, in, out, rows_of(block.delta[l - 1], in), columns_of(weight(theta, l), in), dz, out,
                 dz, out, finish);
    }
  }
}

template class Network<float>;
template class Network<double>;

}  // namespace pgcore
