#include "pgcore/adam.hpp"

#include <cmath>

#include "memory.hpp"

namespace pgcore {

template <class T>
void adam_step(Index n, T* theta, const T* gradient, T* m, T* v, Index step, const AdamOptions& options) {
  const double correction1 = 1 - std::pow(options.beta1, static_cast<double>(step));
  const double correction2 = std::sqrt(1 - std::pow(options.beta2, static_cast<double>(step)));
  const T beta1 = static_cast<T>(options.beta1), beta2 = static_cast<T>(options.beta2);
  const T keep1 = static_cast<T>(1 - options.beta1), keep2 = static_cast<T>(1 - options.beta2);
  const T rate = static_cast<T>(options.learning_rate / correction1);
  const T scale = static_cast<T>(1 / correction2), epsilon = static_cast<T>(options.epsilon);
  PGCORE_INDEPENDENT
  for (Index i = 0; i < n; ++i) {
    const T g = gradient[i];
    m[i] = beta1 * m[i] + keep1 * g;
    v[i] = beta2 * v[i] + keep2 * g * g;
    theta[i] -= rate * m[i] / (std::sqrt(v[i]) * scale + epsilon);
  }
}

template void adam_step(Index, float*, const float*, float*, float*, Index, const AdamOptions&);
template void adam_step(Index, double*, const double*, double*, double*, Index, const AdamOptions&);

}  // namespace pgcore
