// How backward recurrences are solved.
//
// Every one has the form  y_t = step(t, y_{t+1}),  affine in y_{t+1}, which a step ignores where a segment
// ends. Arrays are (T, N), time first; a step sees the flat index i = t·N + n, so that i + N is the next
// time. Rows are vectorised across columns; a single column is vectorised along time (`solve_column`).
//
// y is a `Real`: a float if the arrays are floats and the coefficients forget (`forgets`), else a double,
// because a float sum of a million terms is wrong by percents. Where coefficients vary (ratios of
// probabilities), products of them may leave the range of a Real although the answer doesn't: `Range` says
// what is safe, and what is not is solved again in `Extended` numbers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "math/compiler.hpp"
#include "math/extended.hpp"
#include "math/simd.hpp"
#include "math/vecmath.hpp"
#include "pgcore/parallel.hpp"
#include "pgcore/scan.hpp"
#include "pgcore/types.hpp"
#include "scan/composed.hpp"

namespace pgcore::scan::detail {

// Which arrays exist is known at compile time, so that inner loops need no null checks.
template <class T, bool HasEnds, bool HasBootstrap>
struct SegmentView {
  const std::uint8_t* ends;  // any byte but 0 is true
  const T* bootstrap;

  bool at_end([[maybe_unused]] Index i) const {
    if constexpr (HasEnds) return ends[i] != 0;
    return false;
  }
  // All bits set where step i does not end its segment.
  template <class Real>
  simd::Int<Real> inner([[maybe_unused]] Index i) const {
    if constexpr (HasEnds) return simd::mask<Real>(ends[i] == 0);
    return simd::mask<Real>(true);
  }

  // `next` inside a segment, zero at an end.
  template <class Real>
  Real inside(Index i, Real next) const {
    if constexpr (!HasEnds) return next;
    return simd::select_or_zero(inner<Real>(i), next);
  }
  Extended inside(Index i, Extended next) const { return at_end(i) ? Extended() : next; }

  // The value that follows step i: `next` inside a segment, its bootstrap value at an end.
  template <class Real>
  Real follow(Index i, Real next) const {
    if constexpr (!HasBootstrap) return inside(i, next);
    return simd::select(inner<Real>(i), next, static_cast<Real>(bootstrap[i]));
  }
  Extended follow(Index i, Extended next) const {
    if constexpr (HasBootstrap) return at_end(i) ? Extended(static_cast<double>(bootstrap[i])) : next;
    return inside(i, next);
  }
  PGCORE_INLINE void prefetch(Index i) const {
    if constexpr (HasEnds) pgcore::prefetch(ends + i);
    if constexpr (HasBootstrap) pgcore::prefetch(bootstrap + i);
  }
};

template <class T, class F>
void with_segments(const Segments<T>& segments, F&& f) {
  if (segments.ends.empty()) {
    f(SegmentView<T, false, false>{nullptr, nullptr});
  } else if (segments.bootstrap.empty()) {
    f(SegmentView<T, true, false>{reinterpret_cast<const std::uint8_t*>(segments.ends.data()), nullptr});
  } else {
    f(SegmentView<T, true, true>{reinterpret_cast<const std::uint8_t*>(segments.ends.data()),
                                 segments.bootstrap.data()});
  }
}

inline constexpr Index min_column = 512;     // shorter columns take the plain recursion
inline constexpr Index column_block = 1024;  // what it reads, composes and writes fits the first-level cache
inline constexpr Index columns_per_block = 256;

// ---- which type of number is enough ----

// Whether a sum with such a coefficient forgets what came 256 steps ago, so that no more rounding than that
// of some 256 additions is ever in it.
inline bool forgets(double coefficient) {
  return std::fabs(coefficient) <= 1 - 1.0 / 256;
}

// What a Real can do: with discounts of 0 or from 1/gamma to gamma, with ratios of e^±log_ratio, and with
// values of 0 or from `least` to `most`, `rows` steps stay inside the normal numbers; in steps composed to
// one, a value below `least` shows up before a product of ratios underflows to 0.
template <class Real>
struct Range;
template <>
struct Range<float> {
  static constexpr float gamma = 10, log_ratio = 15, least = 1e-20f, most = 1e10f;
  static constexpr Index rows = 2;
};
template <>
struct Range<double> {
  static constexpr double gamma = 1e3, log_ratio = 80, least = 1e-140, most = 1e140;
  static constexpr Index rows = 4;
};

// Products of as many coefficients as a register has lanes are normal numbers.
template <class Real>
inline constexpr double max_coefficient = std::is_same_v<Real, float> ? 100 : 1e35;

inline bool within(double coefficient, double limit) {
  return coefficient == 0 || (std::fabs(coefficient) <= limit && std::fabs(coefficient) >= 1 / limit);
}

// All bits set for |x| > limit and for NaN.
template <class T>
simd::Int<T> exceeds(T x, T limit) {
  const simd::Int<T> size = simd::bit_cast<simd::Int<T>>(x) & std::numeric_limits<simd::Int<T>>::max();
  return simd::mask<T>(size > simd::bit_cast<simd::Int<T>>(limit));
}

// Whether all are 0 or within the Range; NaN is not.
template <class Real>
bool in_range(const Real* y, Index count) {
  using Int = simd::Int<Real>;
  const Int least = simd::bit_cast<Int>(Range<Real>::least);
  Int out = 0;
  for (Index k = 0; k < count; ++k) {
    const Int size = simd::bit_cast<Int>(y[k]) & std::numeric_limits<Int>::max();
    out |= exceeds(y[k], Range<Real>::most) | (simd::mask<Real>(size < least) & simd::mask<Real>(size > 0));
  }
  return out == 0;
}

// e^x; in ordinary numbers only for x in range.
template <class Real, class T>
Real ratio(T x) {
  if constexpr (std::is_same_v<Real, Extended>) return Extended::exp(static_cast<double>(x));
  return static_cast<Real>(vecmath::exp_moderate(x));
}

// ---- one column ----

// The column's rows from `last` − stride up to `first`, one after another, where `next` is y of row `last`.
template <class Real, class Step>
Real solve_rows(Index first, Index last, Index stride, const Step& step, Real next) {
  for (Index i = last - stride; i >= first; i -= stride) {
    const Real value = step(i, next);
    step.emit(i, next, value);
    next = value;
  }
  return next;
}

// Rows first … first + count − 1: their maps are laid out in scratch and composed there, or applied one after
// another, while the rows of the next block are fetched from memory; then everything is written. x[count]
// holds y of the row after them, and x[0] receives that of the first. False, and nothing is done, if the
// definition might give something else.
template <class Real, class Step>
PGCORE_FLATTEN bool solve_block(Index first, Index count, const Step step, bool compose, Real* x, Real* c) {
  using Int = simd::Int<Real>;
  const Real next = x[count];
  if (!step.template composable<Real>() || (Step::varying && !in_range(&next, 1))) return false;
  Int extreme = 0;
  PGCORE_INDEPENDENT
  for (Index k = 0; k < count; ++k) {
    step.affine(first + k, x[k], c[k]);
    if constexpr (Step::varying) extreme |= static_cast<Int>(step.template extreme<Real>(first + k));
  }
  if (extreme != 0) return false;
  constexpr bool in_place = std::is_same_v<Real, typename Step::Scalar> && Step::output_is_y;
  Real* y = x;
  if constexpr (in_place) y = step.output(first);
  bool finite = true;
  if (compose) {
    finite = solve_composed(count, x, c, next, y, [&](Index k) PGCORE_INLINE {
      if (const Index t = first + k - column_block; t >= 0) step.prefetch(t);
    });
  } else {
    Real after = next;
    for (Index k = count - 1; k >= 0; --k) y[k] = after = x[k] + c[k] * after;
  }
  if (!finite || (Step::varying && !in_range(y, count))) return false;
  if constexpr (in_place) {
    step.emit_others(first, count);
    x[0] = y[0];
  } else {
    PGCORE_INDEPENDENT
    for (Index k = 0; k < count; ++k) step.emit(first + k, y[k + 1], y[k]);
  }
  return true;
}

// What a column keeps from block to block.
template <class Real, class Step>
using Carried = std::conditional_t<Step::varying, Extended, Real>;

template <class Real, class Step>
void solve_column(Index num_rows, const Step& step) {
  alignas(64) Real x[column_block + 1], c[column_block];
  const bool compose = num_rows >= min_column;
  auto next = step.template last<Carried<Real, Step>>(num_rows - 1, 0);
  step.emit_last(num_rows - 1, next);
  for (Index last = num_rows - 1; last > 0;) {
    const Index first = std::max<Index>(0, last - column_block), count = last - first;
    x[count] = static_cast<Real>(next);
    if ((compose || Step::varying) && solve_block(first, count, step, compose, x, c)) {
      next = Carried<Real, Step>(x[0]);
    } else {
      next = solve_rows(first, last, 1, step, next);
    }
    last = first;
  }
}

// ---- several columns ----

// Whether one of several columns leaves the Range.
template <class Real, class Step>
bool leaves_range(Index num_rows, Index num_columns, Index n, const Step& step) {
  const Index last_row = (num_rows - 1) * num_columns + n;
  if (!step.template composable<Real>() || step.template last_extreme<Real>(last_row)) return true;
  Real y = step.template last<Real>(last_row, n);
  for (Index i = last_row - num_columns; i >= 0 && in_range(&y, 1); i -= num_columns) {
    if (step.template extreme<Real>(i) != 0) return true;
    y = step(i, y);
  }
  return !in_range(&y, 1);
}

// Columns first … first + count − 1. Whether some of them may have left the Range.
template <class Real, class Step>
PGCORE_FLATTEN bool solve_columns(Index num_rows, Index num_columns, Index first, Index count,
                                  const Step step) {
  alignas(64) Real y[columns_per_block];
  const Index last_row = (num_rows - 1) * num_columns + first;
  for (Index n = 0; n < count; ++n) {
    y[n] = step.template last<Real>(last_row + n, first + n);
    step.emit_last(last_row + n, y[n]);
  }
  [[maybe_unused]] bool suspect = false;
  if constexpr (Step::varying) {
    for (Index n = 0; n < count; ++n) suspect |= step.template last_extreme<Real>(last_row + n);
  }
  for (Index t = num_rows - 2; t >= 0; --t) {
    const Index row = t * num_columns + first;
    [[maybe_unused]] simd::Int<Real> extreme = 0;
    PGCORE_INDEPENDENT
    for (Index n = 0; n < count; ++n) {
      const Real next = y[n], value = step(row + n, next);
      if constexpr (Step::varying) extreme |= step.template extreme<Real>(row + n);
      y[n] = value;
      step.emit(row + n, next, value);
    }
    if constexpr (Step::varying) {
      suspect |= extreme != 0;
      if (t % Range<Real>::rows == 0) suspect |= !in_range(y, count);
    }
  }
  if constexpr (Step::varying) return suspect || !step.template composable<Real>() || !in_range(y, count);
  return false;
}

template <class Real, class Step>
void solve(Index num_rows, Index num_columns, const Step& step) {
  if (num_rows == 0 || num_columns == 0) return;
  const Index num_blocks = (num_columns + columns_per_block - 1) / columns_per_block;
  parallel::for_blocks(num_blocks, num_rows * num_columns >= parallel::min_scalars, [&](Index block) {
    const Index first = block * columns_per_block;
    if (num_columns == 1) return solve_column<Real>(num_rows, step);
    const Index count = std::min(columns_per_block, num_columns - first);
    const bool suspect = solve_columns<Real>(num_rows, num_columns, first, count, step);
    if constexpr (Step::varying) {
      for (Index n = first; suspect && n < first + count; ++n) {
        if (!leaves_range<Real>(num_rows, num_columns, n, step)) continue;
        const Index last = (num_rows - 1) * num_columns + n;
        const Extended next = step.template last<Extended>(last, n);
        step.emit_last(last, next);
        solve_rows(n, last, num_columns, step, next);
      }
    }
  });
}

// Single precision where it is what the arrays have and coefficients of this size forget.
template <class T, class Step>
void solve(Index num_rows, Index num_columns, const Step& step, double coefficient) {
  if (forgets(coefficient)) {
    solve<T>(num_rows, num_columns, step);
  } else {
    solve<double>(num_rows, num_columns, step);
  }
}

}  // namespace pgcore::scan::detail
