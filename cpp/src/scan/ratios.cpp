#include "pgcore/ratios.hpp"

#include <algorithm>
#include <cassert>
#include <limits>
#include <numeric>
#include <type_traits>

#include "math/compiler.hpp"
#include "math/simd.hpp"
#include "math/vecmath.hpp"
#include "pgcore/parallel.hpp"
#include "pgcore/types.hpp"
#include "scan/recurrence.hpp"

namespace pgcore::ratios {
namespace {

constexpr Index columns_per_block = 256;

// One tile of columns; running sums in double, because products over thousands of steps are sums of logs.
// `count` is a number, or a type that says 1, for a single column whose sum stays in a register.
template <class T, class Count, class Cut>
void cumulate(Index num_rows, Index num_columns, Index first, Count count, const T* log_ratios,
              const Cut& cut, Direction direction, T* out) {
  double sum[columns_per_block] = {};
  const auto for_row = [&](Index t, auto&& f) {
    if constexpr (!std::is_same_v<Count, Index>) return f(t, sum[0]);
    const Index row = t * num_columns + first;
    PGCORE_INDEPENDENT
    for (Index n = 0; n < count; ++n) f(row + n, sum[n]);
  };
  if (direction == Direction::future) {
    for (Index t = num_rows - 1; t >= 0; --t) {
      for_row(t, [&](Index i, double& s) {
        const double after = cut.inside(i, s);
        out[i] = static_cast<T>(after);
        s = after + static_cast<double>(log_ratios[i]);
      });
    }
    return;
  }
  for (Index t = 0; t < num_rows; ++t) {
    for_row(t, [&](Index i, double& s) {
      const double until = s + static_cast<double>(log_ratios[i]);
      out[i] = static_cast<T>(until);
      s = cut.inside(i, until);
    });
  }
  if (direction == Direction::past) return;
  // Every step gets its segment's total, which is at the segment's end.
  for (Index t = num_rows - 2; t >= 0; --t) {
    for_row(t, [&](Index i, double&) {
      const T own = out[i], next = out[i + num_columns];
      out[i] = cut.at_end(i) ? own : next;
    });
  }
}

// The largest finite or infinite number of each column.
template <class T>
PGCORE_FLATTEN void column_maxima(Index num_rows, Index num_columns, Index count, const T* x, T* largest) {
  std::fill(largest, largest + count, -std::numeric_limits<T>::infinity());
  for (Index t = 0; t < num_rows; ++t) {
    PGCORE_INDEPENDENT
    for (Index n = 0; n < count; ++n) {
      const T value = x[t * num_columns + n];
      largest[n] = value > largest[n] ? value : largest[n];
    }
  }
}

// Σw and Σw² of each column, w = e^(x − largest); equal infinities weigh 1, −∞ weighs 0.
template <class T>
PGCORE_FLATTEN void add_moments(Index num_rows, Index num_columns, Index count, const T* x, const T* largest,
                                double* sum, double* squares) {
  for (Index t = 0; t < num_rows; ++t) {
    PGCORE_INDEPENDENT
    for (Index n = 0; n < count; ++n) {
      const T value = x[t * num_columns + n];
      double w = vecmath::exp(static_cast<double>(value) - static_cast<double>(largest[n]));
      w = value == largest[n] ? 1.0 : w;
      w = value == -std::numeric_limits<T>::infinity() ? 0.0 : w;
      sum[n] += w;
      squares[n] += w * w;
    }
  }
}

template <class T, class Cut>
struct WeightedRewardToGo {
  using Scalar = T;
  static constexpr bool varying = true, output_is_y = true;
  using Int = simd::Int<T>;
  Cut cut;
  const T *r, *log_ratio, *last_bootstrap;
  Index stride;
  double gamma;
  T* out;

  template <class Real>
  bool composable() const {
    return scan::detail::within(gamma, scan::detail::Range<Real>::gamma);
  }
  template <class Real>
  Int extreme(Index i) const {
    return scan::detail::exceeds(log_ratio[i + stride], T(scan::detail::Range<Real>::log_ratio)) &
           cut.template inner<T>(i);
  }
  template <class Real>
  bool last_extreme(Index) const {
    return false;
  }
  template <class Real>
  Real rho(Index i) const {
    return scan::detail::ratio<Real>(log_ratio[i + stride]);
  }
  template <class Real>
  Real last(Index i, Index n) const {
    return Real(r[i]) + Real(gamma) * Real(last_bootstrap ? last_bootstrap[n] : T(0));
  }
  template <class Real>
  Real operator()(Index i, Real next) const {
    return Real(r[i]) + Real(gamma) * cut.follow(i, rho<Real>(i) * next);
  }
  template <class Real>
  void affine(Index i, Real& x, Real& c) const {
    x = Real(r[i]) + Real(gamma) * cut.follow(i, Real(0));
    c = cut.inside(i, Real(gamma) * rho<Real>(i));
  }
  PGCORE_INLINE void prefetch(Index i) const {
    cut.prefetch(i);
    pgcore::prefetch(r + i);
    pgcore::prefetch(log_ratio + i);
    pgcore::prefetch(out + i);
  }
  T* output(Index i) const { return out + i; }
  void emit_others(Index, Index) const {}
  template <class Real>
  void emit(Index i, Real, Real y) const {
    out[i] = static_cast<T>(y);
  }
  template <class Real>
  void emit_last(Index i, Real y) const {
    out[i] = static_cast<T>(y);
  }
};

double sample_size(double sum, double squares) {
  return squares == 0 ? 0.0 : sum * sum / squares;
}

}  // namespace

template <class T>
void cumulative_log_ratios(Rows<const T> log_ratios, Rows<const bool> ends, Direction direction,
                           Rows<T> out) {
  const Index num_rows = log_ratios.num_rows(), num_columns = log_ratios.width();
  assert((ends.empty() || ends.has_shape(num_rows, num_columns)) && out.has_shape(num_rows, num_columns));
  const Index num_blocks = (num_columns + columns_per_block - 1) / columns_per_block;
  parallel::for_blocks(num_blocks, num_rows * num_columns >= parallel::min_scalars, [&](Index block) {
    const Index first = block * columns_per_block, count = std::min(columns_per_block, num_columns - first);
    scan::detail::with_segments(scan::Segments<double>{ends, {}, {}}, [&](auto cut) {
      if (num_columns == 1) {
        constexpr std::integral_constant<Index, 1> one;
        cumulate(num_rows, one, 0, one, log_ratios.data(), cut, direction, out.data());
      } else {
        cumulate(num_rows, num_columns, first, count, log_ratios.data(), cut, direction, out.data());
      }
    });
  });
}

template <class T>
void weighted_reward_to_go(Rows<const T> rewards, Rows<const T> log_ratios, const scan::Segments<T>& segments,
                           double gamma, Rows<T> out) {
  const Index num_rows = rewards.num_rows(), num_columns = rewards.width();
  assert(segments.serves(num_rows, num_columns) && log_ratios.has_shape(num_rows, num_columns) &&
         out.has_shape(num_rows, num_columns));
  scan::detail::with_segments(segments, [&](auto cut) {
    const WeightedRewardToGo<T, decltype(cut)> step{
        cut,         rewards.data(), log_ratios.data(), segments.last_bootstrap.data(),
        num_columns, gamma,          out.data()};
    scan::detail::solve<T>(num_rows, num_columns, step, gamma);
  });
}

template <class T>
void effective_sample_size(Rows<const T> log_weights, Vec<T> out) {
  const Index num_rows = log_weights.num_rows(), num_columns = log_weights.width();
  assert(out.size() == num_columns);
  const T* x = log_weights.data();
  if (num_columns == 1) {  // taken as 16 columns, so that rows need not wait for each other
    constexpr Index lanes = 16;
    const Index whole = num_rows / lanes, rest = num_rows % lanes;
    const T* tail = x + whole * lanes;
    T largest[lanes], last[lanes];
    double sum[lanes] = {}, squares[lanes] = {};
    column_maxima(whole, lanes, lanes, x, largest);
    column_maxima(1, lanes, rest, tail, last);
    const T top = std::max(*std::max_element(largest, largest + lanes),
                           rest == 0 ? largest[0] : *std::max_element(last, last + rest));
    std::fill(largest, largest + lanes, top);
    add_moments(whole, lanes, lanes, x, largest, sum, squares);
    add_moments(1, lanes, rest, tail, largest, sum, squares);
    out[0] = static_cast<T>(
        sample_size(std::accumulate(sum, sum + lanes, 0.0), std::accumulate(squares, squares + lanes, 0.0)));
    return;
  }
  for (Index first = 0; first < num_columns; first += columns_per_block) {
    const Index count = std::min(columns_per_block, num_columns - first);
    T largest[columns_per_block];
    double sum[columns_per_block] = {}, squares[columns_per_block] = {};
    column_maxima(num_rows, num_columns, count, x + first, largest);
    add_moments(num_rows, num_columns, count, x + first, largest, sum, squares);
    for (Index n = 0; n < count; ++n) out[first + n] = static_cast<T>(sample_size(sum[n], squares[n]));
  }
}

#define PGCORE_INSTANTIATE(T)                                                                         \
  template void cumulative_log_ratios(Rows<const T>, Rows<const bool>, Direction, Rows<T>);           \
  template void weighted_reward_to_go(Rows<const T>, Rows<const T>, const scan::Segments<T>&, double, \
                                      Rows<T>);                                                       \
  template void effective_sample_size(Rows<const T>, Vec<T>);
PGCORE_INSTANTIATE(float)
PGCORE_INSTANTIATE(double)

}  // namespace pgcore::ratios
