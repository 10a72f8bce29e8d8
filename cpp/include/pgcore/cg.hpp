// Conjugate gradient for (A + damping·I) x = b, with A symmetric positive semi-definite and given by
// products.
#pragma once

#include <functional>

#include "pgcore/types.hpp"
#include "pgcore/views.hpp"

namespace pgcore {

enum class CgStatus { converged = 0, max_iter = 1, negative_curvature = 2, nonfinite = 3 };

struct CgReport {
  CgStatus status;
  Index iterations;
  double residual_norm;  // ‖b − (A + damping·I)x‖ / ‖b‖, from the recurrence
  double curvature;      // xᵀ(A + damping·I)x
  double condition;      // largest over smallest pᵀ(A + damping·I)p/pᵀp of the search directions; NaN if none
};

struct CgOptions {
  double rtol = 1e-6;
  double atol = 0.0;  // it stops at ‖r‖ ≤ max(rtol·‖b‖, atol)
  Index max_iter = 0;
  double damping = 0.0;
};

// out ← A v, for vectors of the operator's length.
template <class T>
using Product = std::function<void(Vec<const T> v, Vec<T> out)>;

// A v for a dense row-major matrix (n, n), which must outlive the product.
template <class T>
Product<T> matrix_product(Rows<const T> matrix);

// Sees the iterate after each iteration; the memory is valid during the call.
template <class T>
using CgObserver = std::function<void(Vec<const T> x)>;

// `precondition(r, z)` writes z = M⁻¹ r; an empty one means none. `x` holds the start when `warm`, and the
// solution afterwards. Dot products are in double. b and x must not alias.
template <class T>
CgReport conjugate_gradient(const Product<T>& multiply, Vec<const T> b, Vec<T> x, bool warm,
                            const CgOptions& options, const Product<T>& precondition = nullptr,
                            const CgObserver<T>& observe = nullptr);

}  // namespace pgcore
