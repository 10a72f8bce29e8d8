// Backward recurrences over time: reward-to-go, generalised advantages, V-trace. Arrays are (T, N), time
// first.
#pragma once

#include "pgcore/types.hpp"
#include "pgcore/views.hpp"

namespace pgcore::scan {

// Where segments end, and the values of what follows truncated ones.
template <class T>
struct Segments {
  Rows<const bool> ends;        // (T, N), or empty: only the last row ends
  Rows<const T> bootstrap;      // (T, N), or empty: zero
  Vec<const T> last_bootstrap;  // (N,), the bootstrap values of the last row, or empty: zero

  bool serves(Index num_rows, Index num_columns) const {
    return (ends.empty() || ends.has_shape(num_rows, num_columns)) &&
           (bootstrap.empty() || bootstrap.has_shape(num_rows, num_columns)) &&
           (last_bootstrap.empty() || last_bootstrap.size() == num_columns);
  }
};

// G_t = r_t + γ·(bootstrap_t if end else G_{t+1}).
template <class T>
void reward_to_go(Rows<const T> rewards, const Segments<T>& segments, double gamma, Rows<T> out);

// δ_t = r_t + γ·(bootstrap_t if end else v_{t+1}) − v_t;  A_t = δ_t + γλ·(0 if end else A_{t+1});  targets =
// A + v.
template <class T>
void gae(Rows<const T> rewards, Rows<const T> values, const Segments<T>& segments, double gamma, double lam,
         Rows<T> advantages, Rows<T> value_targets);

// With ρ̄, c̄ = min(clip, exp(log ratio)):  vs_t = v_t + ρ̄_t δ_t + γ c̄_t·(0 if end else vs_{t+1} − v_{t+1});
// advantage_t = ρ̄_t (r_t + γ·(bootstrap_t if end else vs_{t+1}) − v_t)   (Espeholt et al. 2018, eq. 1).
template <class T>
void vtrace(Rows<const T> rewards, Rows<const T> values, Rows<const T> log_ratios,
            const Segments<T>& segments, double gamma, double rho_clip, double c_clip, Rows<T> advantages,
            Rows<T> value_targets);

// A number for each step, or one for all.
template <class T>
struct Coefficient {
  double all = 0;      // of every step, where `each` is empty
  Rows<const T> each;  // (T, N)
};

enum class Order { backward = 0, forward = 1 };

template <class T>
void affine_scan(Rows<const T> x, Coefficient<T> c, const Segments<T>& segments, Order order, Rows<T> out);
template <class T>
void reward_to_go(Rows<const T> rewards, const Segments<T>& segments, Coefficient<T> gamma, Rows<T> out);
template <class T>
void n_step_return(Rows<const T> rewards, Rows<const T> values, const Segments<T>& segments,
                   Coefficient<T> gamma, Index n, Rows<T> out);
template <class T>
void gae(Rows<const T> rewards, Rows<const T> values, Rows<const T> next_values, const Segments<T>& segments,
         Coefficient<T> gamma, Coefficient<T> lam, Rows<T> advantages, Rows<T> value_targets);
template <class T>
struct VtraceOptions {
  Coefficient<T> gamma, lam;             // lam multiplies c̄
  double rho_clip, c_clip, pg_rho_clip;  // infinite: no limit
};
template <class T>
void vtrace(Rows<const T> rewards, Rows<const T> values, Rows<const T> log_ratios, Rows<const T> next_values,
            const Segments<T>& segments, const VtraceOptions<T>& options, Rows<T> advantages,
            Rows<T> value_targets);

}  // namespace pgcore::scan
