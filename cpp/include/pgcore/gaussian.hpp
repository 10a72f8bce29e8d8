// The normal distribution over action vectors: log-density, score, divergence; diagonal and full covariance.
// A is the number of action dimensions.
#pragma once

#include "pgcore/types.hpp"

namespace pgcore::gaussian {

inline constexpr double half_log_2pi = 0.91893853320467274178;

// log σ of a batch: one row for all, or one per row.
template <class T>
struct LogStd {
  const T* data;
  bool shared;
  const T* row(Index i, Index A) const { return shared ? data : data + i * A; }
};

// log π = −½ Σ ((a − μ)/σ)² − Σ log σ − (A/2) log 2π.
template <class T>
void log_prob(Index num_rows, Index A, const T* actions, const T* mean, LogStd<T> log_std, T* out);

// ∂ log π/∂μ = (a − μ)/σ²,  ∂ log π/∂ log σ = ((a − μ)/σ)² − 1.
template <class T>
void score(Index num_rows, Index A, const T* actions, const T* mean, LogStd<T> log_std, T* d_mean,
           T* d_log_std);

// KL(p‖q) = Σ ½ (e^u − 1 − u) + ½ ((μ_p − μ_q)/σ_q)²,  u = 2 (log σ_p − log σ_q).
template <class T>
void kl(Index num_rows, Index A, const T* mean_p, LogStd<T> log_std_p, const T* mean_q, LogStd<T> log_std_q,
        T* out);

// Σ log σ + (A/2)(1 + log 2π).
template <class T>
void entropy(Index num_rows, Index A, const T* log_std, T* out);

// ---- Full covariance Σ = L Lᵀ: L is (A, A), lower triangular, positive diagonal; its upper part is never
// read. S, the type of L, may be wider than T: 1/L_ii need not be in the range of T. ----

// Σ log L_ii.
template <class S>
double log_det(const S* L, Index A);

// log π = −½‖L⁻¹(a − μ)‖² − Σ log L_ii − (A/2) log 2π.
template <class T, class S>
void log_prob_tril(Index num_rows, Index A, const T* actions, const T* mean, const S* L, T* out);

// With z = L⁻¹(a − μ), y = L⁻ᵀ z:  ∂ log π/∂μ = y,  ∂ log π/∂L = tril(y zᵀ) − diag(1/L_ii); or with
// `log_diagonal` in place of the diagonal's derivatives those with respect to log L_ii.
template <class T, class S>
void score_tril(Index num_rows, Index A, const T* actions, const T* mean, const S* L, T* d_mean, T* d_tril,
                bool log_diagonal = false);

// KL(p‖q) = ½ (‖L_q⁻¹ L_p‖² − A + ‖L_q⁻¹(μ_p − μ_q)‖²) + Σ log(L_q,ii / L_p,ii).
template <class T, class S>
void kl_tril(Index num_rows, Index A, const T* mean_p, const S* tril_p, const T* mean_q, const S* tril_q,
             T* out);

}  // namespace pgcore::gaussian
