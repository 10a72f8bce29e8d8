#include "pgcore/ratios.hpp"

#include <algorithm>
#include <cassert>
#include <limits>
#include <numeric>

#include "math/compiler.hpp"
#include "math/extended.hpp"
#include "math/simd.hpp"
#include "math/vecmath.hpp"
#include "pgcore/types.hpp"
#include "scan/tiles.hpp"

namespace pgcore::ratios {
namespace {

constexpr Index columns_per_block = 256;

using scan::detail::Run;

// Sums along segments, in double because products over thousands of steps are sums of logs.
template <Direction direction>
struct Sums {
  template <class T, class Real>
  struct Kernel {
    static constexpr bool forward = direction == Direction::past, varying = false;
    static constexpr scan::detail::Factors factors = scan::detail::Factors::masks;
    static constexpr double max_coefficient = 1;
    const T*
        addends;  // of `trajectory`: the sums of the past, of which every step gets that at its segment's end
    T* out;

    static Index at(const Run<T, Real>& run, Index k) { return forward ? run.count - 1 - k : k; }

    bool maps(const Run<T, Real>& run, Real* x, Real* c, Real*) const {
      const T* a = addends + run.first;
      PGCORE_INDEPENDENT
      for (Index k = 0; k < run.count; ++k) {
        const simd::Int<Real> inner = simd::mask<Real>(run.ends[k] == 0);
        const Real addend = static_cast<Real>(a[k]);
        x[at(run, k)] = direction == Direction::trajectory ? simd::select_or_zero(~inner, addend) : addend;
        c[at(run, k)] = simd::bit_cast<Real>(inner);
      }
      return true;
    }
    void write(const Run<T, Real>& run, Index width, const Real* y, const Real*) const {
      T* to = out + run.first;
      PGCORE_INDEPENDENT
      for (Index k = 0; k < run.count; ++k) {
        const Real later = simd::select_or_zero(simd::mask<Real>(run.ends[k] == 0), y[k + width]);
        to[k] = static_cast<T>(direction == Direction::future ? later : y[at(run, k)]);
      }
    }
  };
};

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

template <class T, class Real>
struct WeightedRewardToGo {
  static constexpr bool forward = false, varying = true;
  static constexpr scan::detail::Factors factors = scan::detail::Factors::numbers;
  static constexpr double max_coefficient = scan::detail::Range<Real>::gamma;
  const T *rewards, *log_ratios;
  T* out;

  bool maps(const Run<T, Real>& run, Real* x, Real* c, Real*) const {
    const T *r = rewards + run.first, *log_ratio = log_ratios + run.first + run.next;
    simd::Int<T> extreme = 0;
    PGCORE_INDEPENDENT
    for (Index k = 0; k < run.count; ++k) {
      const simd::Int<Real> inner = simd::mask<Real>(run.ends[k] == 0);
      const Real rho = scan::detail::ratio<Real>(log_ratio[k]);
      extreme |= scan::detail::exceeds(log_ratio[k], T(scan::detail::Range<Real>::log_ratio)) &
                 simd::mask<T>(run.ends[k] == 0);
      x[k] = Real(r[k]) + simd::select_or_zero(~inner, run.gamma[k] * static_cast<Real>(run.bootstrap[k]));
      c[k] = simd::select_or_zero(inner, run.gamma[k] * rho);
    }
    return extreme == 0;
  }
  void write(const Run<T, Real>& run, Index, const Real* y, const Real*) const {
    T* to = out + run.first;
    PGCORE_INDEPENDENT
    for (Index k = 0; k < run.count; ++k) to[k] = static_cast<T>(y[k]);
  }

  // One step in numbers of any size.
  Extended value(const Run<T, Real>& run, Index k, const Extended& next) const {
    const Extended r(rewards[run.first + k]), gamma(run.gamma[k]);
    if (run.ends[k] != 0) return r + gamma * Extended(run.bootstrap[k]);
    return r + gamma * (Extended::exp(static_cast<double>(log_ratios[run.first + k + run.next])) * next);
  }
  void write_one(const Run<T, Real>& run, Index k, const Extended&, const Extended& y) const {
    out[run.first + k] = static_cast<T>(y);
  }
};

double sample_size(double sum, double squares) {
  return squares == 0 ? 0.0 : sum * sum / squares;
}

}  // namespace

template <class T>
void cumulative_log_ratios(Rows<const T> log_ratios, Rows<const bool> ends, Direction direction,
                           Rows<T> out) {
  const scan::Segments<T> segments{ends, {}, {}};
  const scan::detail::Operands<T> in{log_ratios.num_rows(), log_ratios.width(), segments, {1, {}}, {1, {}}};
  assert(segments.serves(in.num_rows, in.num_columns) && out.has_shape(in.num_rows, in.num_columns));
  if (direction == Direction::future) {
    return scan::detail::solve<Sums<Direction::future>::template Kernel>(in, in.decay(), log_ratios.data(),
                                                                         out.data());
  }
  scan::detail::solve<Sums<Direction::past>::template Kernel>(in, in.decay(), log_ratios.data(), out.data());
  if (direction == Direction::trajectory) {
    const T* past = out.data();
    scan::detail::solve<Sums<Direction::trajectory>::template Kernel>(in, in.decay(), past, out.data());
  }
}

template <class T>
void weighted_reward_to_go(Rows<const T> rewards, Rows<const T> log_ratios, const scan::Segments<T>& segments,
                           scan::Coefficient<T> gamma, Rows<T> out) {
  const scan::detail::Operands<T> in{rewards.num_rows(), rewards.width(), segments, gamma, {1, {}}};
  assert(segments.serves(in.num_rows, in.num_columns) && gamma.serves(in.num_rows, in.num_columns) &&
         log_ratios.has_shape(in.num_rows, in.num_columns) && out.has_shape(in.num_rows, in.num_columns));
  scan::detail::solve<WeightedRewardToGo>(in, in.decay(), rewards.data(), log_ratios.data(), out.data());
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

#define PGCORE_INSTANTIATE(T)                                                                 \
  template void cumulative_log_ratios(Rows<const T>, Rows<const bool>, Direction, Rows<T>);   \
  template void weighted_reward_to_go(Rows<const T>, Rows<const T>, const scan::Segments<T>&, \
                                      scan::Coefficient<T>, Rows<T>);                         \
  template void effective_sample_size(Rows<const T>, Vec<T>);
PGCORE_INSTANTIATE(float)
PGCORE_INSTANTIATE(double)

}  // namespace pgcore::ratios
