#include "pgcore/kronecker.hpp"

#include <cassert>
#include <cstddef>

#include "math/matmul.hpp"
#include "math/matrix.hpp"
#include "math/memory.hpp"

namespace pgcore {
namespace {

template <class T>
std::vector<T> copied(Rows<const T> matrix) {
  return {matrix.data(), matrix.data() + matrix.num_rows() * matrix.width()};
}

template <class T>
std::vector<T> transposed(Rows<const T> matrix) {
  const Index rows = matrix.num_rows(), width = matrix.width();
  std::vector<T> out(static_cast<std::size_t>(rows * width));
  MatrixMap<T>(out.data(), width, rows) = ConstMatrixMap<T>(matrix.data(), rows, width).transpose();
  return out;
}

}  // namespace

template <class T>
void KroneckerInverse<T>::add_layer(Rows<const T> inputs, Rows<const T> outputs, Rows<const T> inverse) {
  const Index out = inverse.num_rows(), width = inverse.width();
  assert(width > 0 && inputs.has_shape(width, width) && outputs.has_shape(out, out));
  layers_.push_back({out, width - 1, copied(inputs), transposed(inputs), copied(outputs), transposed(outputs),
                     copied(inverse)});
}

template <class T>
void KroneckerInverse<T>::set_rest(Rows<const T> inverse) {
  assert(inverse.num_rows() == inverse.width());
  num_rest_ = inverse.num_rows();
  rest_ = copied(inverse);
}

template <class T>
Index KroneckerInverse<T>::size() const {
  Index total = num_rest_;
  for (const Layer& layer : layers_) total += layer.out * (layer.in + 1);
  return total;
}

// With V the layer's part of r as a matrix (out, in + 1): Q_G ((Q_Gᵀ V Q_A) ∘ inverse) Q_Aᵀ.
template <class T>
void KroneckerInverse<T>::multiply(Vec<const T> operand, Vec<T> product) const {
  assert(operand.size() == size() && product.size() == size());
  const T* r = operand.data();
  T* z = product.data();
  for (const Layer& layer : layers_) {
    const Index out = layer.out, in = layer.in, width = in + 1;
    AlignedBuffer<T> v(out * width), w(out * width);
    MatrixMap<T> V(v.data(), out, width);
    V.leftCols(in) = ConstMatrixMap<T>(r, out, in);
    V.col(in) = ConstVectorMap<T>(r + out * in, out);
    pgcore::multiply(out, out, width, layer.outputs_transposed.data(), v.data(), w.data());
    pgcore::multiply(out, width, width, w.data(), layer.inputs.data(), v.data());
    V.array() *= ConstMatrixMap<T>(layer.inverse.data(), out, width).array();
    pgcore::multiply(out, out, width, layer.outputs.data(), v.data(), w.data());
    pgcore::multiply(out, width, width, w.data(), layer.inputs_transposed.data(), v.data());
    MatrixMap<T>(z, out, in) = V.leftCols(in);
    VectorMap<T>(z + out * in, out) = V.col(in);
    r += out * width;
    z += out * width;
  }
  if (num_rest_ > 0) pgcore::multiply(num_rest_, num_rest_, Index{1}, rest_.data(), r, z);
}

template class KroneckerInverse<float>;
template class KroneckerInverse<double>;

}  // namespace pgcore
