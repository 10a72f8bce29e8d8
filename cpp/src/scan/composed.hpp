// A recurrence along one column, a vector register at a time.
#pragma once

#include <cmath>

#include "math/compiler.hpp"
#include "math/simd.hpp"
#include "math/vecmath.hpp"
#include "pgcore/types.hpp"

namespace pgcore::scan::detail {

template <class T>
inline constexpr int register_lanes = simd::lanes_in<T>(simd::register_bytes);
template <class T>
using Register = simd::Vector<T, register_lanes<T>>;

// Lane k holds the map y ↦ x_k + c_k y; afterwards the composition of those of lanes k, k + 1, … .
template <class T, int D = 1>
PGCORE_INLINE inline void compose(Register<T>& x, Register<T>& c) {
  constexpr int count = register_lanes<T>;
  if constexpr (D < count) {
    constexpr Register<T> zero{};
    const Register<T> one = zero + T(1);
    Register<T> later;
    simd::shift<D, count>(x, zero, later);
    x += c * later;
    simd::shift<D, count>(c, one, later);
    c *= later;
    compose<T, 2 * D>(x, c);
  }
}

// y_k = x_k + c_k y_{k+1} for k from count − 1 down to 0, where y_count = next; y may be x. Taken
// one by one, every row waits for a multiplication and an addition. Here the maps of a register's rows are
// composed first, which waits for nothing; then all of its rows follow from the first row of the register
// after it. Composition multiplies coefficients that the definition never multiplies, and 0·∞ would leak NaN
// between segments: the answer is valid only if this returns true. `ahead(k)` is called once a register.
template <class T, class Ahead>
bool solve_composed(Index count, const T* x, const T* c, T next, T* y, const Ahead& ahead) {
  constexpr Index lanes = register_lanes<T>;
  Register<T> not_finite{};
  Index k = count;
  while ((k -= lanes) >= 0) {
    ahead(k);
    Register<T> offset, factor;
    simd::load(x + k, offset);
    simd::load(c + k, factor);
    compose<T>(offset, factor);
    const Register<T> result = offset + factor * (Register<T>{} + next);
    next = vecmath::multiply_add(factor[0], next, offset[0]);
    not_finite += result * T(0);  // NaN for NaN and infinity
    simd::store(result, y + k);
  }
  T sum = simd::sum_of_lanes<T>(not_finite);
  for (k += lanes - 1; k >= 0; --k) {
    y[k] = next = vecmath::multiply_add(c[k], next, x[k]);
    sum += next * T(0);
  }
  return !std::isnan(sum);
}

}  // namespace pgcore::scan::detail
