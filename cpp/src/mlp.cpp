// The network's passes over a block of rows: the one place where Eigen's matrix products are instantiated.
#include "pgcore/mlp.hpp"

namespace pgcore {

template <class T>
void Mlp<T>::forward(const T* theta, Index rows, Block& block) const {
  for (Index l = 1; l <= num_layers(); ++l) {
    map(block.hidden[l], rows, size(l)).noalias() =
        map(block.hidden[l - 1], rows, size(l - 1)) * weight(theta, l).transpose();
    const Activation f = l == num_layers() ? Activation::identity : activation_;
    activate(f, rows, size(l), bias(theta, l), block.hidden[l], block.slope[l]);
  }
}

template <class T>
void Mlp<T>::backward(const T* theta, Index rows, Block& block) const {
  for (Index l = num_layers(); l > 1; --l) {
    map(block.delta[l - 1], rows, size(l - 1)).noalias() =
        map(block.delta[l], rows, size(l)) * weight(theta, l);
    multiply_by_slope(activation_, rows * size(l - 1), block.hidden[l - 1], block.slope[l - 1],
                      block.delta[l - 1]);
  }
}

template <class T>
void Mlp<T>::add_gradient(Index rows, const Block& block, T* gradient) const {
  for (Index l = 1; l <= num_layers(); ++l) {
    const auto delta = map(block.delta[l], rows, size(l));
    MatrixMap<T>(gradient + offset(l), size(l), size(l - 1)).noalias() +=
        delta.transpose() * map(block.hidden[l - 1], rows, size(l - 1));
    const Index width = size(l);
    T* b = gradient + offset(l) + width * size(l - 1);
    for (const T *row = block.delta[l], *end = row + rows * width; row != end; row += width) {
      PGCORE_INDEPENDENT
      for (Index j = 0; j < width; ++j) b[j] += row[j];
    }
  }
}

template <class T>
void Mlp<T>::tangent(const T* theta, const T* direction, Index rows, Block& block) const {
  for (Index l = 1; l <= num_layers(); ++l) {
    auto dz = map(block.delta[l], rows, size(l));
    dz.noalias() = map(block.hidden[l - 1], rows, size(l - 1)) * weight(direction, l).transpose();
    if (l > 1) dz.noalias() += map(block.delta[l - 1], rows, size(l - 1)) * weight(theta, l).transpose();
    detail::map_biased(rows, size(l), bias(direction, l), block.delta[l], [](T x) { return x; });
    if (l < num_layers()) {
      multiply_by_slope(activation_, rows * size(l), block.hidden[l], block.slope[l], block.delta[l]);
    }
  }
}

template class Mlp<float>;
template class Mlp<double>;

}  // namespace pgcore
