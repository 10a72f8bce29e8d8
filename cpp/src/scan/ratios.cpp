#include "pgcore/ratios.hpp"

#include <algorithm>
#include <cassert>
#include <limits>

#include "math/compiler.hpp"
#include "math/extended.hpp"
#include "math/simd.hpp"
#include "math/vecmath.hpp"
#include "pgcore/types.hpp"
#include "scan/tiles.hpp"

namespace pgcore::ratios {
namespace {

constexpr Index columns_per_block = 256, narrow = 64;

using scan::Order;
using scan::detail::Factors;
using scan::detail::Maps;
using scan::detail::Run;
using scan::detail::Scratch;

// Sums along segments, in double because products over thousands of steps are sums of logs.
template <class T>
struct Sums {
  static constexpr Factors factors = Factors::ones;
  static constexpr bool varying = false, carries_bootstrap = false;
  static constexpr double max_coefficient = 1;
  const T* addends;
  T* out;
};

template <class T, class Real>
struct PastSums : Sums<T> {
  static constexpr Order order = Order::forward;
  static constexpr bool direct = true, reads_behind = false;

  Maps<T, Real> maps(const Run<T, Real>& run, Index width, Scratch<Real>&, bool&) const {
    return {run.count, width, this->addends + run.first, nullptr, run.ends, 0, run.ends_step};
  }
  T* y(const Run<T, Real>& run, Scratch<Real>&) const { return this->out + run.first; }
  void write(const Run<T, Real>&, Index, const T*, const Real*) const {}
};

// The sum from the next step on.
template <class T, class Real>
struct LaterSums : Sums<T> {
  static constexpr Order order = Order::backward;
  static constexpr bool direct = false, reads_behind = true;

  Maps<Real, Real> maps(const Run<T, Real>& run, Index width, Scratch<Real>& s, bool&) const {
    std::copy(this->addends + run.first, this->addends + run.first + run.count, s.x);
    return {run.count, width, s.x, nullptr, run.ends, 0};
  }
  Real* y(const Run<T, Real>&, Scratch<Real>& s) const { return s.y; }
  void write(const Run<T, Real>& run, Index width, const Real* y, const Real*) const {
    T* to = this->out + run.first;
    PGCORE_INDEPENDENT
    for (Index k = 0; k < run.count; ++k) {
      to[k] = static_cast<T>(simd::select_or_zero(simd::mask<Real>(run.ends[k] == 0), y[k + width]));
    }
  }
};

// Every step takes the addend of its segment's end.
template <class T, class Real>
struct LastAddends : Sums<T> {
  static constexpr Order order = Order::backward;
  static constexpr bool direct = false, reads_behind = false;

  Maps<Real, Real> maps(const Run<T, Real>& run, Index width, Scratch<Real>& s, bool&) const {
    const T* a = this->addends + run.first;
    PGCORE_INDEPENDENT
    for (Index k = 0; k < run.count; ++k) {
      s.x[k] = simd::select_or_zero(simd::mask<Real>(run.ends[k] != 0), static_cast<Real>(a[k]));
    }
    return {run.count, width, s.x, nullptr, run.ends, 0};
  }
  Real* y(const Run<T, Real>& run, Scratch<Real>& s) const {
    return scan::detail::direct(this->out + run.first, s.y);
  }
  void write(const Run<T, Real>& run, Index, const Real* y, const Real*) const {
    scan::detail::copy_unless_direct(run.count, y, this->out + run.first);
  }
};

// The largest finite or infinite number of each column.
template <class T>
PGCORE_FLATTEN void raise_maxima(Index num_rows, Index stride, Index count, const T* x, T* largest) {
  for (Index t = 0; t < num_rows; ++t) {
    PGCORE_INDEPENDENT
    for (Index n = 0; n < count; ++n) {
      const T value = x[t * stride + n];
      largest[n] = value > largest[n] ? value : largest[n];
    }
  }
}

// Σw and Σw² of each column, w = e^(x − largest); equal infinities weigh 1, −∞ weighs 0.
template <class T>
PGCORE_FLATTEN void add_moments(Index num_rows, Index stride, Index count, const T* x, const T* largest,
                                double* sum, double* squares) {
  for (Index t = 0; t < num_rows; ++t) {
    PGCORE_INDEPENDENT
    for (Index n = 0; n < count; ++n) {
      const T value = x[t * stride + n];
      double w = vecmath::exp_to_one(static_cast<double>(value) - static_cast<double>(largest[n]));
      w = value == largest[n] ? 1.0 : w;
      w = value == -std::numeric_limits<T>::infinity() ? 0.0 : w;
      sum[n] += w;
      squares[n] += w * w;
    }
  }
}

template <class T, class Real>
struct WeightedRewardToGo {
  static constexpr Order order = Order::backward;
  static constexpr Factors factors = Factors::numbers;
  static constexpr bool direct = false, varying = true, reads_behind = true, carries_bootstrap = false;
  static constexpr double max_coefficient = scan::detail::Range<Real>::gamma;
  const T *rewards, *log_ratios;
  T* out;

  Maps<Real, Real> maps(const Run<T, Real>& run, Index width, Scratch<Real>& s, bool& ordinary) const {
    const T *r = rewards + run.first, *log_ratio = log_ratios + run.first + run.next;
    simd::Int<T> extreme = 0;
    PGCORE_INDEPENDENT
    for (Index k = 0; k < run.count; ++k) {
      const Real rho = scan::detail::ratio<Real>(log_ratio[k]);
      extreme |= scan::detail::exceeds(log_ratio[k], T(scan::detail::Range<Real>::log_ratio)) &
                 simd::mask<T>(run.ends[k] == 0);
      const Real rest = run.gamma[k] * static_cast<Real>(run.bootstrap[k]);
      s.x[k] = Real(r[k]) + simd::select_or_zero(simd::mask<Real>(run.ends[k] != 0), rest);
      s.c[k] = run.gamma[k] * rho;
    }
    ordinary = extreme == 0;
    return {run.count, width, s.x, s.c, run.ends};
  }
  Real* y(const Run<T, Real>&, Scratch<Real>& s) const { return s.y; }
  void write(const Run<T, Real>& run, Index, const Real* y, const Real*) const {
    std::copy(y, y + run.count, out + run.first);
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
  using scan::detail::solve;
  const Sums<T> sums{log_ratios.data(), out.data()};
  const scan::detail::Sizes one{1, 1};
  if (direction == Direction::future) return solve<LaterSums>(in, one, sums);
  solve<PastSums>(in, one, sums);
  if (direction == Direction::trajectory) solve<LastAddends>(in, one, Sums<T>{out.data(), out.data()});
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
  if (num_columns == 0) return;
  // Several rows of few columns are one wide row: `joined` of them, whose columns are added in the end; fewer
  // where there are few rows, because adding takes time too.
  const Index width = std::min(num_columns, columns_per_block);
  const Index enough = std::max(narrow / 4 / width, num_rows / 16);
  Index joined = 1;  // a power of two, so that halves are added to halves
  while (2 * joined <= std::min({narrow / width, enough, num_rows})) joined *= 2;
  const Index whole = num_rows / joined, rest = num_rows % joined * width;
  for (Index first = 0; first < num_columns; first += width) {
    const Index count = std::min(width, num_columns - first), wide = joined * count;
    const T *x = log_weights.data() + first, *tail = x + whole * wide;
    T largest[columns_per_block];
    double sum[columns_per_block], squares[columns_per_block];
    std::fill(largest, largest + wide, -std::numeric_limits<T>::infinity());
    std::fill(sum, sum + wide, 0.0);
    std::fill(squares, squares + wide, 0.0);
    const Index stride = joined * num_columns;
    raise_maxima(whole, stride, wide, x, largest);
    raise_maxima(1, 0, rest, tail, largest);
    for (Index half = wide / 2; half >= count; half /= 2) {
      for (Index n = 0; n < half; ++n) largest[n] = std::max(largest[n], largest[n + half]);
    }
    for (Index done = count; done < wide; done *= 2) std::copy_n(largest, done, largest + done);
    add_moments(whole, stride, wide, x, largest, sum, squares);
    add_moments(1, 0, rest, tail, largest, sum, squares);
    for (Index half = wide / 2; half >= count; half /= 2) {
      for (Index n = 0; n < half; ++n) {
        sum[n] += sum[n + half];
        squares[n] += squares[n + half];
      }
    }
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
