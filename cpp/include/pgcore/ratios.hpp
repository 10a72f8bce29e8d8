// Importance ratios along time, in logs: cumulative sums, weighted returns, effective sample size.
#pragma once

#include "pgcore/scan.hpp"
#include "pgcore/views.hpp"

namespace pgcore::ratios {

enum class Direction { past = 0, future = 1, trajectory = 2 };

// Arrays are (T, N), time first; `ends` (T, N) may be empty: only the last row ends. Per segment: past Σ_{t'
// ≤ t}, future Σ_{t' > t}, trajectory Σ over the segment.
template <class T>
void cumulative_log_ratios(Rows<const T> log_ratios, Rows<const bool> ends, Direction direction, Rows<T> out);

// G_t = r_t + γ_t·(bootstrap_t if end else ρ_{t+1} G_{t+1}),  ρ = exp(log ratio).
template <class T>
void weighted_reward_to_go(Rows<const T> rewards, Rows<const T> log_ratios, const scan::Segments<T>& segments,
                           scan::Coefficient<T> gamma, Rows<T> out);

// (Σw)²/Σw² of each column, w = exp(log weight), shifted by the largest. Limits: weights of +∞ share
// everything equally, no weight at all gives 0, NaN gives NaN.
template <class T>
void effective_sample_size(Rows<const T> log_weights, Vec<T> out);

}  // namespace pgcore::ratios
