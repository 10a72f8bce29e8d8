// How backward recurrences are solved.
//
// Every one has the form  y_t = step(t, y_{t+1}),  affine in y_{t+1}, which a step ignores where a piece
// ends. Arrays are (T, N), time first; a step sees the flat index i = t·N + n, so that i + N is the next
// time. Rows are vectorised across columns; a single column is vectorised along time (`solve_column`).
#pragma once

#include <algorithm>

#include "composed.hpp"
#include "pgcore/parallel.hpp"
#include "pgcore/scan.hpp"
#include "vecmath.hpp"

namespace pgcore::scan {

using vecmath::multiply_add;

namespace detail {

// Compile-time knowledge of which cut arrays exist keeps the inner loops free of null checks.
template <class T, bool HasEnds, bool HasTail>
struct CutView {
  const std::uint8_t* ends;
  const T* tail;
  using Int = typename vecmath::Format<T>::Int;

  bool at_end([[maybe_unused]] Index i) const {
    if constexpr (HasEnds) return ends[i] != 0;
    return false;
  }
  // All bits set where step i does not end its piece. Selecting by bits is what compilers always turn into
  // vector code; two conditionals on the same flag become a branch.
  Int inner(Index i) const {
    if constexpr (HasEnds) return static_cast<Int>(ends[i]) - 1;
    return -1;
  }
  static T keep(Int mask, T value) {
    return vecmath::bit_cast<T>(static_cast<Int>(vecmath::bit_cast<Int>(value) & mask));
  }

  // `next` inside a piece, zero at an end.
  T inside(Index i, T next) const {
    if constexpr (!HasEnds) return next;
    return keep(inner(i), next);
  }
  // The value that follows step i: `next` inside a piece, its tail at an end.
  T follow(Index i, T next) const {
    if constexpr (!HasTail) return inside(i, next);
    const Int mask = inner(i);
    return vecmath::bit_cast<T>(
        static_cast<Int>((vecmath::bit_cast<Int>(next) & mask) | (vecmath::bit_cast<Int>(tail[i]) & ~mask)));
  }
  void prefetch(Index i) const {
    if constexpr (HasEnds) pgcore::prefetch(ends + i);
    if constexpr (HasTail) pgcore::prefetch(tail + i);
  }
};

template <class T, class F>
void with_cuts(const Cuts<T>& cuts, F&& f) {
  if (!cuts.ends) {
    f(CutView<T, false, false>{nullptr, nullptr});
  } else if (!cuts.tail) {
    f(CutView<T, true, false>{reinterpret_cast<const std::uint8_t*>(cuts.ends), nullptr});
  } else {
    f(CutView<T, true, true>{reinterpret_cast<const std::uint8_t*>(cuts.ends), cuts.tail});
  }
}

inline constexpr Index min_column = 512;     // shorter columns take the plain recursion
inline constexpr Index column_block = 1024;  // what it reads, composes and writes fits the first-level cache

// Rows [first, last) by the definition, one after another.
template <class T, class Step>
void solve_plain(Index first, Index last, const Step& step, T* y) {
  T next = y[last];
  for (Index t = last - 1; t >= first; --t) y[t] = next = step(t, next);
}

// One column, whose last row is known, in blocks: rows' maps are laid out in scratch and composed there,
// while the rows of the next block are on their way from memory.
template <class T, class Step>
void solve_column(Index num_rows, const Step& step, T* y) {
  alignas(64) T x[column_block], c[column_block];
  for (Index last = num_rows - 1; last > 0;) {
    const Index first = std::max<Index>(0, last - column_block), count = last - first;
    bool solved = false;
    if (num_rows >= min_column) {
      PGCORE_INDEPENDENT
      for (Index k = 0; k < count; ++k) step.affine(first + k, x[k], c[k]);
      solved = solve_composed(count, x, c, y[last], y + first, [=](Index k) {
        if (const Index t = first + k - column_block; t >= 0) {
          step.prefetch(t);
          prefetch(y + t);
        }
      });
    }
    if (!solved) solve_plain(first, last, step, y);
    PGCORE_INDEPENDENT
    for (Index t = first; t < last; ++t) step.emit(t, y[t + 1], y[t]);
    last = first;
  }
}

template <class T, class Step>
void solve(Index num_rows, Index num_columns, const Step& step, T* y) {
  if (num_rows == 0 || num_columns == 0) return;
  constexpr Index columns_per_block = 256;
  const Index num_blocks = (num_columns + columns_per_block - 1) / columns_per_block;
  parallel::for_blocks(num_blocks, num_rows * num_columns >= parallel::min_scalars, [&](Index block) {
    const Index first = block * columns_per_block;
    const Index count = std::min(columns_per_block, num_columns - first);
    const Index last_row = (num_rows - 1) * num_columns + first;
    for (Index n = 0; n < count; ++n) y[last_row + n] = step.last(last_row + n, first + n);
    if (num_columns == 1) return solve_column(num_rows, step, y);
    for (Index t = num_rows - 2; t >= 0; --t) {
      const Index row = t * num_columns + first;
      PGCORE_INDEPENDENT
      for (Index i = row; i < row + count; ++i) {
        const T next = y[i + num_columns];
        const T value = step(i, next);
        y[i] = value;
        step.emit(i, next, value);
      }
    }
  });
}

}  // namespace detail

}  // namespace pgcore::scan
