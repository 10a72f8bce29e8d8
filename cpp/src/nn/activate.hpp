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

// z[r, j] = f(z[r, j] + bias[j]) for all rows.
template <class T, class F>
static void map_biased(Index rows, Index width, const T* bias, T* z, F&& f) {
  for (Index r = 0; r < rows; ++r) {
    T* row = z + r * width;
    PGCORE_INDEPENDENT
    for (Index j = 0; j < width; ++j) row[j] = f(row[j] + bias[j]);
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

// Adds the bias and applies the activation, in place. `slope` receives the derivative where it does not
// follow from the activation's value (gelu); other activations do not write to it.
template <class T>
static void activate(Activation activation, Index rows, Index width, const T* bias, T* z, T* slope) {
  switch (activation) {
    case Activation::tanh:
      return detail::map_biased(rows, width, bias, z, [](T x) { return vecmath::tanh(x); });
    case Activation::relu:
      return detail::map_biased(rows, width, bias, z, [](T x) { return x < T(0) ? T(0) : x; });  // keeps NaN
    case Activation::identity:
      return detail::map_biased(rows, width, bias, z, [](T x) { return x; });
    case Activation::gelu:  // x Φ(x)
      for (Index r = 0; r < rows; ++r) {
        for (Index j = 0; j < width; ++j) {
          const T x = z[r * width + j] + bias[j];
          const T cdf = detail::normal_cdf(x);
          z[r * width + j] = x * cdf;
          slope[r * width + j] = cdf + x * detail::normal_pdf(x);
        }
      }
  }
}

inline bool needs_slope(Activation activation) {
  return activation == Activation::gelu;
}

// delta *= derivative, computed from the activation's value `h` or, for gelu, taken from `slope`.
template <class T>
static void multiply_by_slope(Activation activation, Index count, const T* h, const T* slope, T* delta) {
  switch (activation) {
    case Activation::tanh:
      PGCORE_INDEPENDENT
      for (Index i = 0; i < count; ++i) delta[i] *= T(1) - h[i] * h[i];
      return;
    case Activation::relu:
      PGCORE_INDEPENDENT
      for (Index i = 0; i < count; ++i) delta[i] = h[i] > T(0) ? delta[i] : T(0);
      return;
    case Activation::identity:
      return;
    case Activation::gelu:
      PGCORE_INDEPENDENT
      for (Index i = 0; i < count; ++i) delta[i] *= slope[i];
  }
}

}  // namespace pgcore
