// How backward recurrences are solved.
//
// Every one has the form  y_t = step(t, y_{t+1}),  affine in y_{t+1}, which a step ignores where a piece
// ends. Arrays are (T, N), time first; a step sees the flat index i = t·N + n, so that i + N is the next
// time. Rows are vectorised across columns; a single column is vectorised along time (`solve_column`).
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

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

inline constexpr Index min_column = 512;  // shorter columns take the plain recursion
inline constexpr Index column_block =
    720;  // scratch in the first-level cache, x and c not a multiple of 4 KiB apart

template <class T>
bool all_finite(const T* y, Index count) {
  typename vecmath::Format<T>::Int outside = 0;  // of the scalar's size, so that the loop vectorises
  for (Index k = 0; k < count; ++k) outside |= !(std::abs(y[k]) <= std::numeric_limits<T>::max());
  return outside == 0;
}

// Rows [first, last) by the definition, one after another.
template <class T, class Step>
void solve_plain(Index first, Index last, const Step& step, T* y) {
  T next = y[last];
  for (Index t = last - 1; t >= first; --t) y[t] = next = step(t, next);
}

// Composes the maps y ↦ x_t + c_t y of rows t, t + d, t + 2d and t + 3d, for every t.
template <class T>
void compose_four(Index d, Index count, T* x, T* c) {
  PGCORE_INDEPENDENT
  for (Index k = 0; k < count; ++k) {
    const T c0 = c[k], c1 = c[k + d], c2 = c[k + 2 * d], c3 = c[k + 3 * d];
    const T x2 = multiply_add(c2, x[k + 3 * d], x[k + 2 * d]);
    x[k] = multiply_add(c0, multiply_add(c1, x2, x[k + d]), x[k]);
    c[k] = (c0 * c1) * (c2 * c3);
  }
}

// One column, whose last row is known. The plain recursion waits for a multiplication and an addition at
// every row. Here the maps y_t = x_t + c_t y_{t+1} of 16 rows are composed first, in whole-vector work whose
// rows do not wait for each other; then y_t = x_t + c_t y_{t+16} takes 16 rows a step. Composition multiplies
// coefficients that the definition never multiplies by 0·∞, so a block with a value that isn't finite is done
// again by the definition.
template <class T, class Step>
void solve_column(Index num_rows, const Step& step, T* y) {
  constexpr Index window = 16;
  alignas(64) T x[column_block + window], c[column_block + window];
  for (Index last = num_rows - 1; last > 0;) {
    const Index first = std::max<Index>(0, last - column_block);
    const Index count = last - first;
    if (num_rows < min_column) {
      solve_plain(first, last, step, y);
    } else {
      PGCORE_INDEPENDENT
      for (Index k = 0; k < count; ++k) step.affine(first + k, x[k], c[k]);
      std::fill(x + count, x + count + window, T(0));  // the identity map beyond the block
      std::fill(c + count, c + count + window, T(1));
      compose_four(1, count, x, c);
      compose_four(4, count, x, c);
      T* block = y + first;
      alignas(64) T next[window];
      std::fill(next, next + window, y[last]);
      Index k = count - window;
      for (; k >= 0; k -= window) {
        for (Index j = 0; j < window; ++j) next[j] = multiply_add(c[k + j], next[j], x[k + j]);
        std::copy(next, next + window, block + k);
      }
      for (Index j = -k; j < window; ++j) block[k + j] = multiply_add(c[k + j], next[j], x[k + j]);
      if (!all_finite(block, count + 1)) solve_plain(first, last, step, y);
    }
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
