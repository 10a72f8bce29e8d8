#include "pgcore/kronecker.hpp"

#include <cstddef>

#include "math/matmul.hpp"
#include "math/matrix.hpp"
#include "math/memory.hpp"

namespace pgcore {
namespace {

template <class T>
std::vector<T> transposed(Index n, const T* matrix) {
  std::vector<T> out(static_cast<std::size_t>(n * n));
  MatrixMap<T>(out.data(), n, n) = ConstMatrixMap<T>(matrix, n, n).transpose();
  return out;
}

}  // namespace

template <class T>
void KroneckerInverse<T>::add_layer(Index out, Index in, const T* inputs, const T* outputs,
                                    const T* inverse) {
  const Index width = in + 1;
  layers_.push_back({out,
                     in,
                     {inputs, inputs + width * width},
                     transposed(width, inputs),
                     {outputs, outputs + out * out},
                     transposed(out, outputs),
                     {inverse, inverse + out * width}});
}

template <class T>
void KroneckerInverse<T>::set_rest(Index n, const T* inverse) {
  num_rest_ = n;
  rest_.assign(inverse, inverse + n * n);
}

template <class T>
Index KroneckerInverse<T>::size() const {
  Index total = num_rest_;
  for (const Layer& layer : layers_) total += layer.out * (layer.in + 1);
  return total;
}

// With V the layer's part of r as a matrix (out, in + 1): Q_G ((Q_Gᵀ V Q_A) ∘ inverse) Q_Aᵀ.
template <class T>
void KroneckerInverse<T>::multiply(const T* r, T* z) const {
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
