// Conjugate gradient for (A + damping·I) x = b, with A symmetric positive semi-definite and given by
// products.
#pragma once

#include <cmath>

#include "pgcore/sums.hpp"
#include "pgcore/types.hpp"

namespace pgcore {

enum class CgStatus { converged = 0, max_iter = 1, negative_curvature = 2, nonfinite = 3 };

struct CgReport {
  CgStatus status;
  Index iterations;
  double residual_norm;  // ‖b − (A + damping·I)x‖ / ‖b‖, from the recurrence
  double curvature;      // xᵀ(A + damping·I)x
};

struct CgOptions {
  double rtol = 1e-6;
  Index max_iter = 0;
  double damping = 0.0;
};

// `multiply(v, out)` writes A v and `precondition(r, out)` writes M⁻¹ r; without one pass
// `no_preconditioner`. `x` holds the start when `warm`, and the solution afterwards. `scratch` has room for
// 4n. Dot products are in double. No two of b, x and the scratch may alias.
struct NoPreconditioner {};
inline constexpr NoPreconditioner no_preconditioner{};

template <class T, class Multiply, class Precondition>
CgReport conjugate_gradient(Index n, Multiply&& multiply, const T* b, T* x, bool warm,
                            const CgOptions& options, Precondition&& precondition, T* scratch) {
  constexpr bool preconditioned = !std::is_same_v<std::decay_t<Precondition>, NoPreconditioner>;
  T *r = scratch, *p = r + n, *product = p + n, *next_x = product + n, *z = preconditioned ? next_x + n : r;
  const T damping = static_cast<T>(options.damping);
  const auto apply = [&](const T* v) {  // product = (A + damping·I) v
    multiply(v, product);
    if (damping != 0) {
      for (Index i = 0; i < n; ++i) product[i] += damping * v[i];
    }
  };
  const auto apply_preconditioner = [&] {
    if constexpr (preconditioned) precondition(r, z);
  };

  const double b_norm = norm(b, n);
  if (b_norm == 0 || !std::isfinite(b_norm)) {
    std::fill(x, x + n, T(0));
    return {b_norm == 0 ? CgStatus::converged : CgStatus::nonfinite, 0, b_norm == 0 ? 0.0 : 1.0, 0.0};
  }
  std::copy(b, b + n, r);
  if (warm) {
    apply(x);
    for (Index i = 0; i < n; ++i) r[i] -= product[i];
  } else {
    std::fill(x, x + n, T(0));
  }
  double residual = norm(r, n) / b_norm;
  Index iteration = 0;
  const auto report = [&](CgStatus status) {
    const double curvature = lane_sum(n, [&](Index i) {
      return static_cast<double>(x[i]) * (static_cast<double>(b[i]) - static_cast<double>(r[i]));
    });
    return CgReport{status, iteration, residual, curvature};
  };
  if (!std::isfinite(residual)) return report(CgStatus::nonfinite);
  if (residual <= options.rtol) return report(CgStatus::converged);

  apply_preconditioner();
  std::copy(z, z + n, p);
  double rz = dot(r, z, n);
  while (iteration < options.max_iter) {
    apply(p);
    const double bend = dot(p, product, n);
    // The next x and r are tried first: a step that leaves the range of T must not spoil the last finite
    // ones.
    const T step = bend != 0 ? static_cast<T>(rz / bend) : T(0);
    for (Index i = 0; i < n; ++i) {
      next_x[i] = x[i] + step * p[i];
      product[i] = r[i] - step * product[i];
    }
    const double next_residual = norm(product, n) / b_norm;
    if (!std::isfinite(bend) || !std::isfinite(next_residual) || !std::isfinite(norm(next_x, n))) {
      return report(CgStatus::nonfinite);
    }
    if (bend <= 0 || rz <= 0) return report(CgStatus::negative_curvature);
    std::copy(next_x, next_x + n, x);
    std::copy(product, product + n, r);
    ++iteration;
    residual = next_residual;
    if (residual <= options.rtol) return report(CgStatus::converged);
    apply_preconditioner();
    const double rz_new = dot(r, z, n);
    const T momentum = static_cast<T>(rz_new / rz);
    for (Index i = 0; i < n; ++i) p[i] = z[i] + momentum * p[i];
    rz = rz_new;
  }
  return report(CgStatus::max_iter);
}

}  // namespace pgcore
