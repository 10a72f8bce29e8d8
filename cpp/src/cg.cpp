#include "pgcore/cg.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "matrix.hpp"
#include "memory.hpp"
#include "sums.hpp"

namespace pgcore {

template <class T>
Product<T> matrix_product(Index n, const T* matrix) {
  return [=](const T* v, T* out) {
    VectorMap<T>(out, n).noalias() = ConstMatrixMap<T>(matrix, n, n) * ConstVectorMap<T>(v, n);
  };
}

namespace {

template <class T>
bool all_finite(const T* v, Index n) {
  return lane_sum(n, [=](Index i) { return static_cast<double>(v[i] * T(0)); }) == 0;  // else NaN
}

// The power of two to divide b and x by: 1, unless squares of b's entries leave the range of double.
template <class T>
T scale_of(const T* b, Index n) {
  const double square = dot(b, b, n);
  if (square > 1e-250 && square < 1e250) return T(1);
  T largest = 0;
  for (Index i = 0; i < n; ++i) largest = std::max(largest, std::abs(b[i]));
  return largest > 0 && std::isfinite(largest) ? std::ldexp(T(1), std::ilogb(largest)) : T(1);
}

template <class T>
CgReport conjugate_gradient_scaled(Index n, const Product<T>& multiply, const T* b, T* x, bool warm,
                                   const CgOptions& options, const Product<T>& precondition) {
  const Index stride = padded<T>(n);
  AlignedBuffer<T> scratch((precondition ? 5 : 4) * stride);
  T *r = scratch.data(), *p = r + stride, *product = p + stride, *next_x = product + stride;
  T* z = precondition ? next_x + stride : r;
  const T damping = static_cast<T>(options.damping);
  const auto apply = [&](const T* v) {  // product = (A + damping·I) v
    multiply(v, product);
    if (damping != 0) {
      for (Index i = 0; i < n; ++i) product[i] += damping * v[i];
    }
  };
  const auto apply_preconditioner = [&] {
    if (precondition) precondition(r, z);
  };

  const double b_norm = norm(b, n);
  if (b_norm == 0 || !std::isfinite(b_norm) || (warm && !all_finite(x, n))) {
    std::fill(x, x + n, T(0));
    return {b_norm == 0 ? CgStatus::converged : CgStatus::nonfinite, 0, b_norm == 0 ? 0.0 : 1.0, 0.0,
            std::nan("")};
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
  double steepest = 0, flattest = std::numeric_limits<double>::infinity();  // Rayleigh quotients
  const auto report = [&](CgStatus status) {
    const double curvature = lane_sum(n, [&](Index i) {
      return static_cast<double>(x[i]) * (static_cast<double>(b[i]) - static_cast<double>(r[i]));
    });
    return CgReport{status, iteration, residual, curvature,
                    steepest > 0 ? steepest / flattest : std::nan("")};
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
    if (!std::isfinite(bend) || !std::isfinite(next_residual) || !all_finite(next_x, n)) {
      return report(CgStatus::nonfinite);
    }
    if (bend <= 0 || rz <= 0) return report(CgStatus::negative_curvature);
    const double quotient = bend / dot(p, p, n);
    steepest = std::max(steepest, quotient);
    flattest = std::min(flattest, quotient);
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

}  // namespace

template <class T>
CgReport conjugate_gradient(Index n, const Product<T>& multiply, const T* b, T* x, bool warm,
                            const CgOptions& options, const Product<T>& precondition) {
  const T scale = scale_of(b, n);
  if (scale == T(1)) return conjugate_gradient_scaled(n, multiply, b, x, warm, options, precondition);
  AlignedBuffer<T> scaled(n);
  for (Index i = 0; i < n; ++i) scaled.data()[i] = b[i] / scale;
  for (Index i = 0; warm && i < n; ++i) x[i] /= scale;
  CgReport report = conjugate_gradient_scaled(n, multiply, scaled.data(), x, warm, options, precondition);
  for (Index i = 0; i < n; ++i) x[i] *= scale;
  report.curvature *= static_cast<double>(scale) * static_cast<double>(scale);
  return report;
}

#define PGCORE_INSTANTIATE(T)                                                                          \
  template Product<T> matrix_product(Index, const T*);                                                 \
  template CgReport conjugate_gradient(Index, const Product<T>&, const T*, T*, bool, const CgOptions&, \
                                       const Product<T>&);
PGCORE_INSTANTIATE(float)
PGCORE_INSTANTIATE(double)

}  // namespace pgcore
