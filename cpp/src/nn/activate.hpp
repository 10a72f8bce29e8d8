// Activation functions and their derivatives over flat buffers.
//
// `static`: every file that includes this compiles them by its own flags (few_rows.cpp has others than the
// rest), and the linker must not put one in place of another.
#pragma once

#include <cmath>

#include "math/compiler.hpp"
#include "math/vecmath.hpp"
#include "pgcore/activation.hpp"
#include "pgcore/types.hpp"

namespace pgcore {

namespace detail {

// z ← f(z) for rows that are `step` apart.
template <class T, class F>
static void map(Index rows, Index width, Index step, T* z, F&& f) {
  for (Index r = 0; r < rows; ++r) {
    T* row = z + r * step;
    PGCORE_INDEPENDENT
    for (Index j = 0; j < width; ++j) row[j] = f(row[j]);
  }
}

template <class T>
static T normal_cdf(T x) {
  return T(0.5) * (T(1) + std::erf(x * T(0.70710678118654752440)));
}

template <class T>
static T normal_pdf(T x) {
  return T(0.39894228040143267794) * vecmath::exp(T(-0.5) * x * x);
}

}  // namespace detail

// Applies the activation in place, to rows that are `step` apart. `slope` receives the derivative where it
// does not follow from the activation's value (gelu); other activations do not write to it.
template <class T>
static void activate(Activation activation, Index rows, Index width, Index step, T* z, T* slope) {
  switch (activation) {
    case Activation::tanh:
      return detail::map(rows, width, step, z, [](T x) { return vecmath::tanh(x); });
    case Activation::relu:
      return detail::map(rows, width, step, z, [](T x) { return x < T(0) ? T(0) : x; });  // keeps NaN
    case Activation::identity:
      return;
    case Activation::gelu:  // x Φ(x)
      for (Index r = 0; r < rows; ++r) {
        for (Index j = 0; j < width; ++j) {
          T& x = z[r * step + j];
          const T cdf = detail::normal_cdf(x);
          slope[r * step + j] = cdf + x * detail::normal_pdf(x);
          x *= cdf;
        }
      }
  }
}

inline bool needs_slope(Activation activation) {
  return activation == Activation::gelu;
}

// delta *= derivative, computed from the activation's value `h` or, for gelu, taken from `slope`; rows of all
// are `step` apart.
template <class T>
static void multiply_by_slope(Activation activation, Index rows, Index width, Index step, const T* h,
                              const T* slope, T* delta) {
  const auto for_all = [=](auto&& f) {
    for (Index r = 0; r < rows; ++r) {
      T* row = delta + r * step;
      PGCORE_INDEPENDENT
      for (Index j = 0; j < width; ++j) row[j] = f(r * step + j, row[j]);
    }
  };
  switch (activation) {
    case Activation::tanh:
      return for_all([=](Index i, T d) { return d * (T(1) - h[i] * h[i]); });
    case Activation::relu:
      return for_all([=](Index i, T d) { return h[i] > T(0) ? d : T(0); });
    case Activation::identity:
      return;
    case Activation::gelu:
      return for_all([=](Index i, T d) { return d * slope[i]; });
  }
}

}  // namespace pgcore
