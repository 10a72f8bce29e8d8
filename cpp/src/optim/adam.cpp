#include "pgcore/adam.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "math/compiler.hpp"
#include "math/simd.hpp"

namespace pgcore {
namespace {

// 1 − βᵗ, exact also for β close to 1.
double correction(double beta, Index step) {
  return -std::expm1(static_cast<double>(step) * std::log(beta));
}

// Gradients between these have squares that v can hold.
template <class T>
constexpr T smallest = sizeof(T) == 4 ? T(1e-17) : T(1e-150);
template <class T>
constexpr T largest = sizeof(T) == 4 ? T(1e19) : T(1e154);

template <class T>
bool in_range(T g, T low) {
  const T size = std::abs(g);
  return ((size >= low) | (g == 0)) & (size <= largest<T>);
}

// The nearest gradient in range: with m and v of the same one, the step's length stays right. Infinity and
// NaN become NaN.
template <class T>
T moved_into_range(T g, T low) {
  if (in_range(g, low)) return g;
  return std::copysign(std::clamp(std::abs(g), low, largest<T>), g) + (g - g);
}

}  // namespace

template <class T>
void adam_step(Vec<T> theta, Vec<const T> gradient, Vec<T> m, Vec<T> v, Index step,
               const AdamOptions& options) {
  const Index n = theta.size();
  assert(gradient.size() == n && m.size() == n && v.size() == n);
  const double correction1 = correction(options.beta1, step);
  const double correction2 = std::sqrt(correction(options.beta2, step));
  const T beta1 = static_cast<T>(options.beta1), beta2 = static_cast<T>(options.beta2);
  const T keep1 = static_cast<T>(1 - options.beta1), keep2 = static_cast<T>(1 - options.beta2);
  const T rate = static_cast<T>(options.learning_rate / correction1);
  const T scale = static_cast<T>(1 / correction2), epsilon = static_cast<T>(options.epsilon);
  const T low = epsilon < 1000 * smallest<T> ? smallest<T> : T(0);  // else ε decides
  constexpr T least = std::numeric_limits<T>::min();
  constexpr Index block = 256;
  using Count = simd::Int<T>;
  T moved[block];
  for (Index first = 0; first < n; first += block) {
    const Index count = std::min(block, n - first);
    const T* g = gradient.data() + first;
    T *x = theta.data() + first, *mean = m.data() + first, *square = v.data() + first;
    Count inside = 0;
    for (Index i = 0; i < count; ++i) inside += in_range(g[i], low);
    if (inside < count) {
      for (Index i = 0; i < count; ++i) moved[i] = moved_into_range(g[i], low);
      g = moved;
    }
    PGCORE_INDEPENDENT
    for (Index i = 0; i < count; ++i) {
      mean[i] = beta1 * mean[i] + keep1 * g[i];
      square[i] = beta2 * square[i] + keep2 * g[i] * g[i];
      const T denominator = std::sqrt(square[i]) * scale + epsilon;
      x[i] -= rate * mean[i] / (denominator < least ? least : denominator);  // 0/0 is no step
    }
  }
}

template void adam_step(Vec<float>, Vec<const float>, Vec<float>, Vec<float>, Index, const AdamOptions&);
template void adam_step(Vec<double>, Vec<const double>, Vec<double>, Vec<double>, Index, const AdamOptions&);

}  // namespace pgcore
