// Products of row-major matrices, in tiles whose sums stay in registers.
//
// A tile is a few rows by a few vectors of columns. The right factor is copied to a panel: the columns of a
// tile, filled up with zeros, row after row. A tile's sums go through their terms in order, so that an
// element's bits do not depend on its place in a tile. Results of one or two rows or columns are sums in
// lanes.
#pragma once

#include <algorithm>
#include <type_traits>

#include "math/compiler.hpp"
#include "math/simd.hpp"
#include "math/vecmath.hpp"
#include "pgcore/types.hpp"

namespace pgcore::tiles {

#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int num_registers = 32;
#else
inline constexpr int num_registers = 16;
#endif
inline constexpr int most_vectors = 4;
// Rows of a tile that is N vectors wide: sums leave registers for the factors, and are enough for an addition
// to begin before the last one has ended.
template <int N>
inline constexpr int tile_rows = std::min(8, (num_registers - N - 1) / N);
// Vectors of a tile's row where C has n rows.
inline int tile_vectors(Index n) {
  return num_registers == 32 || n <= tile_rows<most_vectors> ? most_vectors : 2;
}
template <class T>
inline constexpr int lanes = simd::lanes_in<T>(simd::register_bytes);
template <class T>
inline constexpr Index panel_width = most_vectors * lanes<T>;
// Rows of a panel; longer sums are taken in parts. Panels are on the stack.
inline constexpr Index panel_rows = 128;
// Rows of a strip, whose results stay in the first-level cache until they are used.
inline constexpr Index strip_rows = 48;

template <class T>
using Vector = simd::Vector<T, lanes<T>>;

// Element (i, j) is data[i·row + j·column].
template <class T>
struct Factor {
  const T* data;
  Index row, column;
};

// to (R, N vectors) ← from + A B for R rows of A and a panel B of k rows. `from` begins anew every from_row
// numbers; no `from` is zeros. Of the last vector only `last` lanes are read and written, all of them if
// Whole.
template <class T, int R, int N, bool Whole>
PGCORE_INLINE inline void tile(Index k, Factor<T> A, const T* B, Index panel_row, Index last, const T* from,
                               Index from_row, T* to, Index to_row) {
  constexpr int L = lanes<T>;
  Vector<T> sums[R][N] = {};
  const auto for_all = [](auto&& f) {
    simd::unrolled<R>([&](auto r) { simd::unrolled<N>([&](auto n) { f(r, n); }); });
  };
  if (from) {
    for_all([&](auto r, auto n) {
      const T* part = from + r * from_row + n * L;
      if constexpr (Whole || n + 1 < N) {
        simd::load(part, sums[r][n]);
      } else {
        T some[L] = {};
        for (Index i = 0; i < last; ++i) some[i] = part[i];
        simd::load(some, sums[r][n]);
      }
    });
  }
  for (Index i = 0; i < k; ++i) {
    Vector<T> right[N];
    simd::unrolled<N>([&](auto n) { simd::load(B + i * panel_row + n * L, right[n]); });
    for_all([&](auto r, auto n) {
      simd::add_product(simd::all_lanes<Vector<T>>(A.data[r * A.row + i * A.column]), right[n], sums[r][n]);
    });
  }
  for_all([&](auto r, auto n) {
    T* part = to + r * to_row + n * L;
    if constexpr (Whole || n + 1 < N) {
      simd::store(sums[r][n], part);
    } else {
      T some[L];
      simd::store(sums[r][n], some);
      for (Index i = 0; i < last; ++i) part[i] = some[i];
    }
  });
}

// f(constant) with the integral constant that equals `value`, from 1 to Most.
template <int Most, class F>
PGCORE_INLINE inline void with_constant(Index value, F&& f) {
  if constexpr (Most == 1) {
    f(std::integral_constant<int, 1>{});
  } else if (value == Most) {
    f(std::integral_constant<int, Most>{});
  } else {
    with_constant<Most - 1>(value, f);
  }
}

// What a strip of tiles below each other is made of: see `tile`.
template <class T>
struct Strip {
  Index k;
  Factor<T> A;
  const T* B;
  Index panel_row, last;
  const T* from;
  Index from_row;
  T* to;
  Index to_row;
};

template <class T, int N, bool Whole>
void strip(Index n, const Strip<T>& s) {
  constexpr int most = tile_rows<N>;
  const auto rows_from = [&](Index i, auto R) {
    tile<T, R, N, Whole>(s.k, {s.A.data + i * s.A.row, s.A.row, s.A.column}, s.B, s.panel_row, s.last,
                         s.from ? s.from + i * s.from_row : nullptr, s.from_row, s.to + i * s.to_row,
                         s.to_row);
  };
  Index i = 0;
  for (; i + 2 * most <= n; i += most) rows_from(i, std::integral_constant<int, most>{});
  // What is left in one tile, or in two of about the same height: low ones wait for their sums.
  for (Index rows; i < n; i += rows) {
    rows = n - i <= most ? n - i : (n - i + 1) / 2;
    with_constant<most>(rows, [&](auto R) { rows_from(i, R); });
  }
}

// panel ← rows × count elements of B, the rest of each row zeros; returns the length of its rows.
template <class T>
Index pack(Factor<T> B, Index rows, Index count, T* panel) {
  const Index width = (count + lanes<T> - 1) / lanes<T> * lanes<T>;
  if (B.column == 1) {
    const Index whole = count - count % lanes<T>;
    for (Index i = 0; i < rows; ++i) {
      const T* from = B.data + i * B.row;
      T* to = panel + i * width;
      Vector<T> part;
      for (Index j = 0; j < whole; j += lanes<T>) simd::load(from + j, part), simd::store(part, to + j);
      for (Index j = whole; j < count; ++j) to[j] = from[j];
    }
  } else {
    Index i = 0;
    for (; B.row == 1 && i + 4 <= rows; i += 4) {
      Index j = 0;
      for (; j + 4 <= count; j += 4) {
        simd::transpose_four(B.data + i + j * B.column, B.column, panel + i * width + j, width);
      }
      for (; j < count; ++j) {
        for (Index s = i; s < i + 4; ++s) panel[s * width + j] = B.data[s + j * B.column];
      }
    }
    for (; i < rows; ++i) {
      for (Index j = 0; j < count; ++j) panel[i * width + j] = B.data[i * B.row + j * B.column];
    }
  }
  if (count < width) {
    for (Index i = 0; i < rows; ++i) std::fill(panel + i * width + count, panel + (i + 1) * width, T(0));
  }
  return width;
}

// Element (i, j) of a result is data[i·row + j·column].
template <class T>
struct Result {
  T* data;
  Index row, column;
};

// C (n, M) ← from + A B of M columns, where rows of A and columns of B are contiguous: the products of a sum
// are in lanes. No `from` is zeros.
template <class T, int M>
void dots(Index n, Index k, Factor<T> A, Factor<T> B, Factor<T> from, Result<T> C) {
  constexpr int L = lanes<T>, R = L / M;
  const Index whole = k - k % L;
  for (Index i = 0; i < n; i += R) {
    const Index rows = std::min<Index>(R, n - i);
    const T* left[R];
    simd::unrolled<R>([&](auto r) { left[r] = A.data + (i + std::min<Index>(r, rows - 1)) * A.row; });
    Vector<T> sums[L] = {}, total;
    for (Index l = 0; l < whole; l += L) {
      Vector<T> right[M];
      simd::unrolled<M>([&](auto j) { simd::load(B.data + j * B.column + l, right[j]); });
      simd::unrolled<R>([&](auto r) {
        Vector<T> x;
        simd::load(left[r] + l, x);
        simd::unrolled<M>([&](auto j) { simd::add_product(x, right[j], sums[r * M + j]); });
      });
    }
    simd::sums_of_lanes(sums, total);
    T totals[L];
    simd::store(total, totals);
    for (Index r = 0; r < rows; ++r) {
      for (Index j = 0; j < M; ++j) {
        T sum = totals[r * M + j];
        for (Index l = whole; l < k; ++l) sum += left[r][l] * B.data[j * B.column + l];
        T& to = C.data[(i + r) * C.row + j * C.column];
        to = from.data ? from.data[(i + r) * from.row + j * from.column] + sum : sum;
      }
    }
  }
}

// C (n, m) ← from + A B row by row, where one of n and k is 1: what takes time is to read B or to write C,
// from end to end.
template <class T>
void rows_one_by_one(Index n, Index k, Index m, Factor<T> A, const T* B, Index B_row, const T* from,
                     Index from_row, T* C, Index C_row) {
  for (Index i = 0; i < n; ++i) {
    T* to = C + i * C_row;
    if (!from) std::fill_n(to, m, T(0));
    if (from && from + i * from_row != to) std::copy_n(from + i * from_row, m, to);
    for (Index l = 0; l < k; ++l) {
      const T left = A.data[i * A.row + l * A.column], *right = B + l * B_row;
      PGCORE_INDEPENDENT
      for (Index j = 0; j < m; ++j) to[j] = vecmath::multiply_add(left, right[j], to[j]);
    }
  }
}

// C (n, m) ← from + A (n, k) B (k, m). Rows of `from` are from_row apart: 0 is the same for all rows, and no
// `from` is zeros. Then f(part, rows, columns) of every part of C, whose rows are C_row apart.
template <class T, class F>
void product(Index n, Index k, Index m, Factor<T> A, Factor<T> B, const T* from, Index from_row, T* C,
             Index C_row, F&& f) {
  if (k >= lanes<T> && A.column == 1 && B.row == 1) {
    // Of so few rows, the transpose: to copy B would take longer than the products.
    if (n <= 2) {
      for (Index i = 0; i < n; i += 2) {
        const auto multiply = i + 1 == n ? dots<T, 1> : dots<T, 2>;
        multiply(m, k, {B.data, B.column, 1}, {A.data + i * A.row, 1, A.row},
                 {from ? from + i * from_row : nullptr, 1, from_row}, {C + i * C_row, 1, C_row});
      }
      return f(C, n, m);
    }
    // One or two columns beyond whole vectors would leave most lanes idle.
    const Index rest = m % lanes<T>;
    if (rest == 1 || rest == 2) {
      const auto multiply = rest == 1 ? dots<T, 1> : dots<T, 2>;
      m -= rest;
      multiply(n, k, A, {B.data + m * B.column, 1, B.column}, {from ? from + m : nullptr, from_row, 1},
               {C + m, C_row, 1});
      f(C + m, n, rest);
    }
  }
  if (B.column == 1 && (n == 1 || k == 1)) {
    rows_one_by_one(n, k, m, A, B.data, B.row, from, from_row, C, C_row);
    return f(C, n, m);
  }
  alignas(64) T memory[panel_rows * panel_width<T>];
  const Index width = tile_vectors(n) * lanes<T>;
  for (Index j = 0; j < m; j += width) {
    const Index count = std::min(width, m - j);
    const T* start = from ? from + j : nullptr;
    Index start_row = from_row;
    for (Index l = 0; l == 0 || l < k; l += panel_rows) {
      const Index depth = std::min(panel_rows, k - l);
      const Factor<T> part{B.data + l * B.row + j * B.column, B.row, B.column};
      const T* panel = part.data;
      Index panel_row = B.row;
      // Whole vectors of few columns lie as in a panel, and to copy more of them takes some use.
      if (B.column != 1 || count % lanes<T> != 0 || (B.row > 2 * panel_width<T> && n > 32)) {
        panel_row = pack(part, depth, count, memory);
        panel = memory;
      }
      const bool ends = l + panel_rows >= k;
      const Index vectors = (count + lanes<T> - 1) / lanes<T>, last = count - (vectors - 1) * lanes<T>;
      with_constant<most_vectors>(vectors, [&](auto N) {
        const auto multiply = last == lanes<T> ? strip<T, N, true> : strip<T, N, false>;
        for (Index i = 0; i < n; i += strip_rows) {
          const Index rows = std::min(strip_rows, n - i);
          T* to = C + i * C_row + j;
          multiply(rows, {depth,
                          {A.data + i * A.row + l * A.column, A.row, A.column},
                          panel,
                          panel_row,
                          last,
                          start ? start + i * start_row : nullptr,
                          start_row,
                          to,
                          C_row});
          if (ends) f(to, rows, count);
        }
      });
      start = C + j;
      start_row = C_row;
    }
  }
}

// For products of which nothing else is made.
inline constexpr auto nothing = [](auto*, Index, Index) {};

}  // namespace pgcore::tiles
