#include "math/matmul.hpp"

#include <algorithm>

#include "math/tiles.hpp"

namespace pgcore {

using tiles::nothing, tiles::product;

template <class T>
void multiply(Index n, Index k, Index m, const T* A, const T* B, T* C) {
  product<T>(n, k, m, {A, k, 1}, {B, m, 1}, nullptr, 0, C, m, nothing);
}

template <class T>
void multiply_transposed(Index n, Index k, Index m, const T* A, const T* B, T* C, bool add) {
  product<T>(n, k, m, {A, k, 1}, {B, 1, k}, add ? C : nullptr, m, C, m, nothing);
}

template <class T>
void add_transposed_product(Index n, Index k, Index m, const T* A, const T* B, T* C) {
  // Columns beyond whole vectors would leave lanes idle: they are taken as rows of the transposed result.
  constexpr Index width = tiles::panel_width<T>;
  const Index rest = n < tiles::lanes<T> || k == 1 ? 0 : m % tiles::lanes<T>, whole = m - rest;
  product<T>(n, k, whole, {A, 1, n}, {B, m, 1}, C, m, C, m, nothing);
  T transposed[tiles::lanes<T> * width];
  for (Index j = 0; rest > 0 && j < n; j += width) {
    const Index count = std::min(width, n - j);
    product<T>(rest, k, count, {B + whole, 1, m}, {A + j, n, 1}, nullptr, 0, transposed, count, nothing);
    for (Index i = 0; i < count; ++i) {
      for (Index c = 0; c < rest; ++c) C[(j + i) * m + whole + c] += transposed[c * count + i];
    }
  }
}

#define PGCORE_INSTANTIATE(T)                                                           \
  template void multiply(Index, Index, Index, const T*, const T*, T*);                  \
  template void multiply_transposed(Index, Index, Index, const T*, const T*, T*, bool); \
  template void add_transposed_product(Index, Index, Index, const T*, const T*, T*);
PGCORE_INSTANTIATE(float)
PGCORE_INSTANTIATE(double)

}  // namespace pgcore
