// A recurrence along one column, a vector register at a time.
#pragma once

#include <cmath>
#include <cstring>
#include <utility>

#include "math/memory.hpp"
#include "math/vecmath.hpp"

namespace pgcore::scan::detail {

#if defined(__GNUC__)  // vector extensions: GCC and Clang

#if defined(__AVX512F__)
inline constexpr int register_bytes = 64;
#elif defined(__AVX__)
inline constexpr int register_bytes = 32;
#else
inline constexpr int register_bytes = 16;
#endif

template <class T>
struct Lanes {
  static constexpr Index count = register_bytes / static_cast<Index>(sizeof(T));
  typedef T Vector __attribute__((vector_size(register_bytes)));

  static Vector load(const T* from) {
    Vector v;
    std::memcpy(&v, from, sizeof v);
    return v;
  }
  static void store(const Vector& v, T* to) { std::memcpy(to, &v, sizeof v); }

  // Lanes D, D + 1, … of v, then D lanes of `beyond`.
  template <int D, std::size_t... K>
  static Vector shifted(const Vector& v, const Vector& beyond, std::index_sequence<K...>) {
    return __builtin_shufflevector(v, beyond, (static_cast<int>(K) + D)...);
  }

  // Lane k holds the map y ↦ x_k + c_k y; afterwards the composition of those of lanes k, k + 1, … .
  template <int D = 1>
  static void compose(Vector& x, Vector& c) {
    if constexpr (D < count) {
      constexpr auto lanes = std::make_index_sequence<count>{};
      constexpr Vector zero{};
      const Vector one = zero + T(1);
      x += c * shifted<D>(x, zero, lanes);
      c *= shifted<D>(c, one, lanes);
      compose<2 * D>(x, c);
    }
  }
};

// y_k = x_k + c_k y_{k+1} for k from count − 1 down to 0, where y_count = next; y may be x. Taken
// one by one, every row waits for a multiplication and an addition. Here the maps of a register's rows are
// composed first, which waits for nothing; then all of its rows follow from the first row of the register
// after it. Composition multiplies coefficients that the definition never multiplies, and 0·∞ would leak NaN
// between segments: the answer stands only if this returns true. `ahead(k)` is called once a register.
template <class T, class Ahead>
bool solve_composed(Index count, const T* x, const T* c, T next, T* y, const Ahead& ahead) {
  using L = Lanes<T>;
  typename L::Vector not_finite{};
  Index k = count;
  while ((k -= L::count) >= 0) {
    ahead(k);
    auto offset = L::load(x + k), factor = L::load(c + k);
    L::compose(offset, factor);
    const typename L::Vector result = offset + factor * (typename L::Vector{} + next);
    next = vecmath::multiply_add(factor[0], next, offset[0]);
    not_finite += result * T(0);  // NaN for NaN and infinity
    L::store(result, y + k);
  }
  T sum = 0;
  for (Index j = 0; j < L::count; ++j) sum += not_finite[j];
  for (k += L::count - 1; k >= 0; --k) {
    y[k] = next = vecmath::multiply_add(c[k], next, x[k]);
    sum += next * T(0);
  }
  return !std::isnan(sum);
}

#else

template <class T, class Ahead>
bool solve_composed(Index, const T*, const T*, T, T*, const Ahead&) {
  return false;
}

#endif

}  // namespace pgcore::scan::detail
