// The normal distribution over action vectors: log-density, score, divergence; diagonal and full covariance.
// Actions and means are (B, A), with A the number of action dimensions.
#pragma once

#include "pgcore/types.hpp"
#include "pgcore/views.hpp"

namespace pgcore::gaussian {

inline constexpr double half_log_2pi = 0.91893853320467274178;

// log σ of a batch: one row for all, or one per row.
template <class T>
struct LogStd {
  Rows<const T> rows;
  bool shared;
  const T* row(Index i) const { return rows.row(shared ? 0 : i); }
  bool serves(Index num_rows, Index A) const { return rows.has_shape(shared ? 1 : num_rows, A); }
};

// log π = −½ Σ ((a − μ)/σ)² − Σ log σ − (A/2) log 2π.
template <class T>
void log_prob(Rows<const T> actions, Rows<const T> mean, LogStd<T> log_std, Vec<T> out);

// ∂ log π/∂μ = (a − μ)/σ²,  ∂ log π/∂ log σ = ((a − μ)/σ)² − 1.
template <class T>
void score(Rows<const T> actions, Rows<const T> mean, LogStd<T> log_std, Rows<T> d_mean, Rows<T> d_log_std);

// KL(p‖q) = Σ ½ (e^u − 1 − u) + ½ ((μ_p − μ_q)/σ_q)²,  u = 2 (log σ_p − log σ_q).
template <class T>
void kl(Rows<const T> mean_p, LogStd<T> log_std_p, Rows<const T> mean_q, LogStd<T> log_std_q, Vec<T> out);

// Σ log σ + (A/2)(1 + log 2π).
template <class T>
void entropy(Rows<const T> log_std, Vec<T> out);

// ---- Full covariance Σ = L Lᵀ: L is (A, A), lower triangular, positive diagonal; its upper part is never
// read. S, the type of L, may be wider than T: 1/L_ii need not be in the range of T. ----

// Σ log L_ii.
template <class S>
double log_det(Rows<const S> L);

// log π = −½‖L⁻¹(a − μ)‖² − Σ log L_ii − (A/2) log 2π.
template <class T, class S>
void log_prob_tril(Rows<const T> actions, Rows<const T> mean, Rows<const S> L, Vec<T> out);

// With z = L⁻¹(a − μ), y = L⁻ᵀ z:  ∂ log π/∂μ = y,  ∂ log π/∂L = tril(y zᵀ) − diag(1/L_ii); or with
// `log_diagonal` in place of the diagonal's derivatives those with respect to log L_ii. d_tril is (B, A²).
template <class T, class S>
void score_tril(Rows<const T> actions, Rows<const T> mean, Rows<const S> L, Rows<T> d_mean, Rows<T> d_tril,
                bool log_diagonal = false);

// KL(p‖q) = ½ (‖L_q⁻¹ L_p‖² − A + ‖L_q⁻¹(μ_p − μ_q)‖²) + Σ log(L_q,ii / L_p,ii).
template <class T, class S>
void kl_tril(Rows<const T> mean_p, Rows<const S> tril_p, Rows<const T> mean_q, Rows<const S> tril_q,
             Vec<T> out);

}  // namespace pgcore::gaussian
