#include "pgcore/ratios.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "recurrence.hpp"
#include "sums.hpp"

namespace pgcore::ratios {
namespace {

// One tile of columns; running sums in double, because products over thousands of steps are sums of logs.
template <class T>
void cumulate(Index num_rows, Index num_columns, Index first, Index count, const T* log_ratios,
              const bool* ends, Direction direction, T* out) {
  SmallBuffer<double> sum(count);
  const auto ends_at = [=](Index t, Index n) {
    return t + 1 == num_rows || (ends && ends[t * num_columns + n]);
  };
  std::fill(sum.data(), sum.data() + count, 0.0);
  if (direction == Direction::future) {
    for (Index t = num_rows - 1; t >= 0; --t) {
      const Index row = t * num_columns + first;
      for (Index n = 0; n < count; ++n) {
        const double after = ends_at(t, first + n) ? 0.0 : sum[n];
        out[row + n] = static_cast<T>(after);
        sum[n] = after + static_cast<double>(log_ratios[row + n]);
      }
    }
    return;
  }
  for (Index t = 0; t < num_rows; ++t) {
    const Index row = t * num_columns + first;
    for (Index n = 0; n < count; ++n) {
      const double until = sum[n] + static_cast<double>(log_ratios[row + n]);
      out[row + n] = static_cast<T>(until);
      sum[n] = ends_at(t, first + n) ? 0.0 : until;
    }
  }
  if (direction == Direction::past) return;
  for (Index t = num_rows - 2; t >= 0;
       --t) {  // every step gets its piece's total, which stands at the piece's end
    const Index row = t * num_columns + first;
    for (Index n = 0; n < count; ++n) {
      if (!ends_at(t, first + n)) out[row + n] = out[row + num_columns + n];
    }
  }
}

}  // namespace

template <class T>
void cumulative_log_ratios(Index num_rows, Index num_columns, const T* log_ratios, const bool* ends,
                           Direction direction, T* out) {
  constexpr Index columns_per_block = 256;
  const Index num_blocks = (num_columns + columns_per_block - 1) / columns_per_block;
  parallel::for_blocks(num_blocks, num_rows * num_columns >= parallel::min_scalars, [&](Index block) {
    const Index first = block * columns_per_block;
    cumulate(num_rows, num_columns, first, std::min(columns_per_block, num_columns - first), log_ratios, ends,
             direction, out);
  });
}

template <class T>
void weighted_reward_to_go(Index num_rows, Index num_columns, const T* rewards, const T* log_ratios,
                           const scan::Cuts<T>& cuts, T gamma, T* out) {
  scan::detail::with_cuts(cuts, [&](auto view) {
    struct Step {
      decltype(view) cut;
      const T *r, *log_ratio, *last_tail;
      Index stride;
      T gamma;
      T last(Index i, Index n) const { return r[i] + gamma * (last_tail ? last_tail[n] : T(0)); }
      T rho(Index i) const { return vecmath::exp(log_ratio[i + stride]); }
      T operator()(Index i, T next) const { return r[i] + gamma * cut.follow(i, rho(i) * next); }
      void affine(Index i, T& x, T& c) const {
        x = r[i] + gamma * cut.follow(i, T(0));
        c = cut.inside(i, gamma * rho(i));
      }
      void prefetch(Index i) const {
        cut.prefetch(i);
        pgcore::prefetch(r + i);
        pgcore::prefetch(log_ratio + i);
      }
      void emit(Index, T, T) const {}
    };
    scan::detail::solve(num_rows, num_columns,
                        Step{view, rewards, log_ratios, cuts.last_tail, num_columns, gamma}, out);
  });
}

template <class T>
void effective_sample_size(Index num_rows, Index num_columns, const T* log_weights, T* out) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  for (Index n = 0; n < num_columns; ++n) {
    const auto at = [=](Index t) { return log_weights[t * num_columns + n]; };
    T largest = -infinity;
    for (Index t = 0; t < num_rows; ++t) largest = at(t) > largest ? at(t) : largest;
    const auto weight = [=](Index t) {
      if (largest == infinity && !std::isnan(at(t))) return at(t) == infinity ? 1.0 : 0.0;
      if (at(t) == -infinity) return 0.0;
      return static_cast<double>(vecmath::exp(static_cast<double>(at(t)) - static_cast<double>(largest)));
    };
    const double sum = lane_sum(num_rows, weight);
    const double squares = lane_sum(num_rows, [=](Index t) { return weight(t) * weight(t); });
    out[n] = static_cast<T>(squares == 0 ? 0.0 : sum * sum / squares);
  }
}

#define PGCORE_INSTANTIATE(T)                                                                         \
  template void cumulative_log_ratios(Index, Index, const T*, const bool*, Direction, T*);            \
  template void weighted_reward_to_go(Index, Index, const T*, const T*, const scan::Cuts<T>&, T, T*); \
  template void effective_sample_size(Index, Index, const T*, T*);
PGCORE_INSTANTIATE(float)
PGCORE_INSTANTIATE(double)

}  // namespace pgcore::ratios
