#include "pgcore/cg.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "math/matrix.hpp"
#include "math/memory.hpp"
#include "math/simd.hpp"
#include "math/sums.hpp"

namespace pgcore {

template <class T>
Product<T> matrix_product(Rows<const T> matrix) {
  assert(matrix.num_rows() == matrix.width());
  return [=, n = matrix.width()](Vec<const T> v, Vec<T> out) {
    VectorMap<T>(out.data(), n).noalias() =
        ConstMatrixMap<T>(matrix.data(), n, n) * ConstVectorMap<T>(v.data(), n);
  };
}

namespace {

// Sizes between 2^−reach and 2^reach need no scaling. Together with `lost` that keeps pᵀAp in range, whose
// size is that of A, of M⁻¹ squared and of a residual squared.
template <class T>
constexpr int reach = sizeof(T) == 4 ? 32 : 64;

// A residual below this part of b is zero: products and squares of the numbers in it are lost in underflow.
template <class T>
constexpr double lost = sizeof(T) == 4 ? 1e-24 : 1e-100;

// A share of the objective's gain: see `has_drifted`.
constexpr double tolerated_drift = 0.1;

template <class T>
T largest(const T* v, Index n) {
  T size = 0;
  for (Index i = 0; i < n; ++i) size = std::max(size, std::abs(v[i]));
  return size;
}

template <class T>
bool all_within(const T* v, Index n, T limit) {
  using Count = simd::Int<T>;
  Count outside = 0;
  for (Index i = 0; i < n; ++i) outside |= !(std::abs(v[i]) <= limit);  // so is NaN
  return outside == 0;
}

template <class T>
bool all_finite(const T* v, Index n) {
  return all_within(v, n, std::numeric_limits<T>::max());
}

// The exponent of a size that needs scaling; else 0.
template <class T>
int exponent_of(T size) {
  if (!(size > 0) || !std::isfinite(size)) return 0;
  const int exponent = std::ilogb(size);
  return std::abs(exponent) > reach<T> ? exponent : 0;
}

// v ← 2^exponent · v
template <class T>
void scale(T* v, Index n, int exponent) {
  if (exponent == 0) return;
  for (Index i = 0; i < n; ++i) v[i] = std::ldexp(v[i], exponent);
}

// v ↦ 2^−exponent (A + damping·I) v, with operand and product both in the middle of T's range. The exponent
// is A's size as the first product shows it.
template <class T>
class ScaledProduct {
 public:
  ScaledProduct(Index n, const Product<T>& multiply, double damping = 0)
      : n_(n), multiply_(multiply), damping_(damping) {}

  int exponent() const { return exponent_; }

  void operator()(const T* v, T* out) {
    run(v, out);
    if (measured_) return;
    measured_ = true;
    for (int attempt = 0; attempt < 3; ++attempt) {
      const int change = misfit(v, out);
      if (change == 0) return;
      exponent_ += change;
      run(v, out);
    }
    if (largest(out, n_) == 0) exponent_ = 0;  // it is zero
  }

 private:
  void run(const T* v, T* out) {
    if (exponent_ == 0) {
      multiply_({v, n_}, {out, n_});
    } else {
      operand_.resize(n_);
      std::copy(v, v + n_, operand_.data());
      scale(operand_.data(), n_, -(exponent_ / 2));
      multiply_({operand_.data(), n_}, {out, n_});
      scale(out, n_, exponent_ / 2 - exponent_);
    }
    const T damping = static_cast<T>(std::ldexp(damping_, -exponent_));
    if (damping != 0) {
      for (Index i = 0; i < n_; ++i) out[i] += damping * v[i];
    }
  }

  // By how much the exponent must change for a product of a vector of ordinary size.
  int misfit(const T* v, const T* out) const {
    T finite = 0;
    bool infinite = false;
    for (Index i = 0; i < n_; ++i) {
      if (std::isnan(out[i])) return 0;
      if (std::isinf(out[i])) infinite = true;
      if (!std::isinf(out[i])) finite = std::max(finite, std::abs(out[i]));
    }
    // Beside large numbers infinity is overflow, and zero may be underflow.
    if (infinite) return finite == 0 || std::ilogb(finite) > reach<T> ? 2 * reach<T> : 0;
    if (finite == 0) return largest(v, n_) > 0 ? -2 * reach<T> : 0;
    return exponent_of(finite);
  }

  Index n_;
  const Product<T>& multiply_;
  double damping_;
  int exponent_ = 0;
  bool measured_ = false;
  AlignedBuffer<T> operand_;
};

// rᵀr, xᵀ(b + r) and xᵀx, in the order of `lane_sum`.
template <class T>
struct StepSums {
  StepSums(const T* b, const T* x, const T* r, Index n) {
    constexpr Index lanes = 16;
    double parts[3][lanes] = {};
    const auto add = [&](Index i, Index k) {
      const double x_i = static_cast<double>(x[i]), r_i = static_cast<double>(r[i]);
      parts[0][k] += r_i * r_i;
      parts[1][k] += x_i * (static_cast<double>(b[i]) + r_i);
      parts[2][k] += x_i * x_i;
    };
    Index i = 0;
    for (; i + lanes <= n; i += lanes) {
      for (Index k = 0; k < lanes; ++k) add(i + k, k);
    }
    for (Index k = 0; i + k < n; ++k) add(i + k, k);
    for (Index k = 0; k < lanes; ++k) {
      rr += parts[0][k];
      gain += parts[1][k];
      xx += parts[2][k];
    }
  }

  double rr = 0, gain = 0, xx = 0;  // the gain is 2 bᵀx − xᵀAx: twice what ½ xᵀAx − bᵀx is below zero
};

// b = 2^b_exponent b̂ and A = 2^exponent Â make x = 2^(b_exponent − exponent) x̂: what follows is about b̂, Â,
// x̂.
template <class T>
class Solver {
 public:
  Solver(const Product<T>& multiply, Vec<const T> b, Vec<T> x, const CgOptions& options,
         const Product<T>& precondition, const CgObserver<T>& observe)
      : n_(b.size()),
        result_(x.data()),
        options_(options),
        A_(n_, multiply, options.damping),
        M_(n_, precondition),
        preconditioned_(precondition),
        observe_(observe),
        memory_((precondition ? 7 : 6) * padded<T>(n_)) {
    assert(x.size() == n_);
    T** parts[] = {&b_, &x_, &next_x_, &r_, &p_, &product_, &z_};
    T* next = memory_.data();
    for (T** part : parts) *part = std::exchange(next, next + padded<T>(n_));
    if (!precondition) z_ = nullptr;
    std::copy_n(b.data(), n_, b_);
  }

  CgReport solve(bool warm) {
    std::fill(x_, x_ + n_, T(0));
    const T size = largest(b_, n_);
    if (!all_finite(b_, n_) || (warm && !all_finite(result_, n_))) return report(CgStatus::nonfinite);
    if (size == 0) {
      residual_ = 0;
      return report(CgStatus::converged);
    }
    b_exponent_ = exponent_of(size);
    scale(b_, n_, -b_exponent_);
    rr_ = dot(b_, b_, n_);
    b_norm_ = std::sqrt(rr_);
    std::copy(b_, b_ + n_, r_);
    if (warm && !begin_at(result_)) return report(CgStatus::nonfinite);
    const double absolute = std::ldexp(options_.atol, -b_exponent_) / b_norm_;
    const double goal = std::max({options_.rtol, absolute, lost<T>});
    if (residual_ <= goal) return report(CgStatus::converged);

    double rz = 0;
    for (Index step = 0; step < options_.max_iter; ++step) {
      const T* z = r_;
      if (preconditioned_) {
        M_(r_, z_);
        z = z_;
      }
      const double last_rz = std::exchange(rz, preconditioned_ ? dot(r_, z, n_) : rr_);
      if (!std::isfinite(rz)) return report(CgStatus::nonfinite);
      if (rz <= 0) return report(sign_of(rz, std::sqrt(rr_) * norm(z, n_)));
      if (step == 0) {
        std::copy(z, z + n_, p_);
      } else {
        const T momentum = static_cast<T>(rz / last_rz);
        for (Index i = 0; i < n_; ++i) p_[i] = z[i] + momentum * p_[i];
      }
      if (const auto status = take_step(rz)) return report(*status);
      if (observe_) show();
      if (residual_ <= goal) return report(CgStatus::converged);
    }
    return report(CgStatus::max_iter);
  }

 private:
  // x ← x0 and r ← b − A x0; zero and b where those are better: where x0 does not make the objective smaller,
  // or is so large that it can't. Returns whether the product was finite.
  bool begin_at(const T* x0) {
    const int x0_exponent = exponent_of(largest(x0, n_));
    std::copy(x0, x0 + n_, next_x_);
    scale(next_x_, n_, -x0_exponent);
    if (largest(next_x_, n_) == 0) return true;
    A_(next_x_, product_);
    if (!all_finite(product_, n_)) return false;
    const int shift = x0_exponent + A_.exponent() - b_exponent_;
    if (shift > reach<T>) return true;
    scale(next_x_, n_, shift);
    scale(product_, n_, shift);
    for (Index i = 0; i < n_; ++i) product_[i] = b_[i] - product_[i];
    const StepSums<T> sums(b_, next_x_, product_, n_);
    if (!std::isfinite(sums.rr) || sums.gain < 0) return true;
    std::swap(x_, next_x_);
    std::swap(r_, product_);
    rr_ = sums.rr;
    residual_ = std::sqrt(rr_) / b_norm_;
    gained_ = sums.gain;
    return true;
  }

  // One step along p; a status where the iteration ends, with x and r as they were.
  std::optional<CgStatus> take_step(double rz) {
    A_(p_, product_);
    const double bend = dot(p_, product_, n_), length = dot(p_, p_, n_);
    if (!std::isfinite(bend)) return CgStatus::nonfinite;
    if (bend <= 0) {
      return sign_of(bend, std::max(steepest_ * length, norm(product_, n_) * std::sqrt(length)));
    }
    // The next x and r are tried first: a step that leaves the range of T must not overwrite the last finite
    // ones.
    const T step = static_cast<T>(rz / bend);
    T* next_r = product_;
    for (Index i = 0; i < n_; ++i) {
      next_x_[i] = x_[i] + step * p_[i];
      next_r[i] = r_[i] - step * product_[i];
    }
    const StepSums<T> sums(b_, next_x_, next_r, n_);
    const double residual = std::sqrt(sums.rr) / b_norm_;
    const int shift = b_exponent_ - A_.exponent();
    const T limit = std::ldexp(std::numeric_limits<T>::max(), -std::max(shift, 0));
    if (!std::isfinite(residual) || !all_within(next_x_, n_, limit)) return CgStatus::nonfinite;
    gained_ += rz / bend * rz;
    steepest_ = std::max(steepest_, bend / length);
    flattest_ = std::min(flattest_, bend / length);
    if (!drifted_ && has_drifted(sums)) keep_best();
    std::swap(x_, next_x_);
    std::swap(r_, product_);
    residual_ = residual;
    rr_ = sums.rr;
    ++iterations_;
    return std::nullopt;
  }

  // Whether rounding errors dominate: x and r do not show the gain that the steps promise, or the rounding of
  // x alone may have cost as much.
  bool has_drifted(const StepSums<T>& sums) const {
    const double rounding = std::numeric_limits<T>::epsilon() * steepest_ * sums.xx;
    return !(std::abs(sums.gain - gained_) <= tolerated_drift * gained_ && rounding <= gained_);
  }

  // What a quadratic form ≤ 0 of the given size means: that its matrix is not positive definite, or, where
  // rounding explains it, that there is no further progress.
  CgStatus sign_of(double number, double size) const {
    const double rounding = std::numeric_limits<T>::epsilon() * std::sqrt(static_cast<double>(n_)) * size;
    return number == 0 || number < -4 * rounding ? CgStatus::negative_curvature : CgStatus::max_iter;
  }

  void keep_best() {
    drifted_ = true;
    best_.resize(2 * n_);
    std::copy(x_, x_ + n_, best_.data());
    std::copy(r_, r_ + n_, best_.data() + n_);
    best_residual_ = residual_;
  }

  // The iterate as the caller sees it. The memory of the next one is free between steps.
  void show() {
    std::copy(x_, x_ + n_, next_x_);
    scale(next_x_, n_, b_exponent_ - A_.exponent());
    observe_({next_x_, n_});
  }

  CgReport report(CgStatus status) {
    if (drifted_) {
      std::copy_n(best_.data(), n_, x_);
      std::copy_n(best_.data() + n_, n_, r_);
      residual_ = best_residual_;
      if (status == CgStatus::converged) status = CgStatus::max_iter;
    }
    const int shift = b_exponent_ - A_.exponent();
    double curvature = 0;
    std::copy(x_, x_ + n_, result_);
    scale(result_, n_, shift);
    if (iterations_ > 0 || gained_ > 0) {
      curvature = lane_sum(n_, [x = x_, b = b_, r = r_](Index i) {
        return static_cast<double>(x[i]) * (static_cast<double>(b[i]) - static_cast<double>(r[i]));
      });
    }
    return {status, iterations_, residual_, std::ldexp(curvature, b_exponent_ + shift),
            steepest_ > 0 ? steepest_ / flattest_ : std::nan("")};
  }

  const Index n_;
  T* const result_;
  const CgOptions options_;
  ScaledProduct<T> A_, M_;
  const bool preconditioned_;
  const CgObserver<T>& observe_;
  AlignedBuffer<T> memory_, best_;
  T *b_, *x_, *next_x_, *r_, *p_, *product_, *z_;
  int b_exponent_ = 0;
  double b_norm_ = 0;
  double residual_ = 1, best_residual_ = 1;
  double rr_ = 0;                                                             // rᵀr
  double gained_ = 0;                                                         // by the recurrence
  double steepest_ = 0, flattest_ = std::numeric_limits<double>::infinity();  // Rayleigh quotients
  Index iterations_ = 0;
  bool drifted_ = false;  // `best_` holds x and r from before
};

}  // namespace

template <class T>
CgReport conjugate_gradient(const Product<T>& multiply, Vec<const T> b, Vec<T> x, bool warm,
                            const CgOptions& options, const Product<T>& precondition,
                            const CgObserver<T>& observe) {
  return Solver<T>(multiply, b, x, options, precondition, observe).solve(warm);
}

#define PGCORE_INSTANTIATE(T)                                                                           \
  template Product<T> matrix_product(Rows<const T>);                                                    \
  template CgReport conjugate_gradient(const Product<T>&, Vec<const T>, Vec<T>, bool, const CgOptions&, \
                                       const Product<T>&, const CgObserver<T>&);
PGCORE_INSTANTIATE(float)
PGCORE_INSTANTIATE(double)

}  // namespace pgcore
