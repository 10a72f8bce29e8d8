// Compiled for vectors of 256 bits (cmake/Variants.cmake).
#include "nn/few_rows.hpp"

#include <utility>

#include "math/compiler.hpp"
#include "math/memory.hpp"
#include "math/simd.hpp"
#include "nn/activate.hpp"

namespace pgcore::few_rows {

namespace {

template <class T>
using Vector = simd::Vector<T, lanes<T>>;

// z_j ← Σ_i W_ji x_i for N outputs, with a row in each lane of x and z. The sums stay in registers.
template <int N, class T>
void outputs(Index k, const Vector<T>* x, const T* weight, Vector<T>* z) {
  Vector<T> sums[N] = {};
  for (Index i = 0; i < k; ++i) {
    for (int j = 0; j < N; ++j) sums[j] += weight[j * k + i] * x[i];
  }
  for (int j = 0; j < N; ++j) z[j] = sums[j];
}

template <class T>
void rows_in_lanes(Index rows, Index k, Index m, const T* h, const T* weight, T* z) {
  constexpr int at_once = 8;
  SmallBuffer<Vector<T>, 128> x(k), y(m);
  for (Index i = 0; i < k; ++i) {
    x[i] = Vector<T>{};
    for (Index r = 0; r < rows; ++r) x[i][r] = h[r * k + i];
  }
  Index j = 0;
  for (; j + at_once <= m; j += at_once) outputs<at_once>(k, x.data(), weight + j * k, y.data() + j);
  for (; j < m; ++j) outputs<1>(k, x.data(), weight + j * k, y.data() + j);
  for (Index r = 0; r < rows; ++r) {
    for (j = 0; j < m; ++j) z[r * m + j] = y[j][r];
  }
}

// z_j ← Σ_i W_ji h_i of a single row, for the outputs J.
template <class T, int... J>
void outputs_of_one(Index k, const T* h, const T* weight, T* z, std::integer_sequence<int, J...>) {
  Vector<T> sums[sizeof...(J)] = {}, x, w;
  Index i = 0;
  for (; i + lanes<T> <= k; i += lanes<T>) {
    simd::load(h + i, x);
    ((simd::load(weight + J * k + i, w), sums[J] += w * x), ...);
  }
  ((z[J] = simd::sum_of_lanes<T>(sums[J])), ...);
  for (; i < k; ++i) ((z[J] += weight[J * k + i] * h[i]), ...);
}

template <class T>
void product(Index rows, Index k, Index m, const T* h, const T* weight, T* z) {
  if (rows > 1) return rows_in_lanes(rows, k, m, h, weight, z);
  Index j = 0;
  for (; j + 4 <= m; j += 4)
    outputs_of_one(k, h, weight + j * k, z + j, std::make_integer_sequence<int, 4>{});
  for (; j < m; ++j) outputs_of_one(k, h, weight + j * k, z + j, std::make_integer_sequence<int, 1>{});
}

}  // namespace

template <class T>
void layer(Activation activation, Index rows, Index k, Index m, const T* h, const T* weight, const T* bias,
           T* z, T* slope) {
  product(rows, k, m, h, weight, z);
  for (Index r = 0; r < rows; ++r) {
    PGCORE_INDEPENDENT
    for (Index j = 0; j < m; ++j) z[r * m + j] += bias[j];
  }
  activate(activation, rows, m, m, z, slope);
}

#define PGCORE_INSTANTIATE(T) \
  template void layer(Activation, Index, Index, Index, const T*, const T*, const T*, T*, T*);
PGCORE_INSTANTIATE(float)
PGCORE_INSTANTIATE(double)

}  // namespace pgcore::few_rows
