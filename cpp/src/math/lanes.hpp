// Reductions of rows: a row is read 64 bytes at a time, each lane gathers a part of it, and the lanes of 16
// rows are put together at once. The order of operations depends neither on the level's registers nor on the
// number of rows, so neither do the bits.
#pragma once

#include <algorithm>
#include <utility>

#include "math/compiler.hpp"
#include "math/simd.hpp"
#include "pgcore/types.hpp"

namespace pgcore {

template <class T>
inline constexpr Index lanes = 64 / static_cast<Index>(sizeof(T));

// At most so many numbers are added one by one in T, so that rounding errors do not accumulate.
inline constexpr Index longest_short_row = 32;

struct Sum {
  static constexpr bool rounds = true;
  template <class V>
  static PGCORE_INLINE void add(const V& x, V& y) {
    y = y + x;
  }
};
struct Largest {
  static constexpr bool rounds = false;
  template <class V>
  static PGCORE_INLINE void add(const V& x, V& y) {
    y = simd::larger(x, y);
  }
};

namespace detail {

// Of segments of S lanes: to ← the first halves of v's, each followed by that of w's; or with Second the
// second halves.
template <int S, bool Second, class V, int... K>
PGCORE_INLINE inline void take_halves(const V& v, const V& w, V& to, std::integer_sequence<int, K...>) {
  constexpr int half = S / 2, skipped = Second ? half : 0;
#if defined(__GNUC__)
  constexpr int N = sizeof...(K);
  to = __builtin_shufflevector(v, w, (K % S < half ? K + skipped : N + K - half + skipped)...);
#else
  to = V{{(K % S < half ? v[K + skipped] : w[K - half + skipped])...}};
#endif
}

// Lane k of v[0] ← what the lanes of v[k] have gathered: the second half is added to the first, again and
// again.
template <class Op, int N, int S, class V>
PGCORE_INLINE inline void put_together(V* v) {
  if constexpr (S > 1) {
    constexpr std::make_integer_sequence<int, N> all{};
    for (int i = 0; i < S / 2; ++i) {
      V first, second;
      take_halves<S, false>(v[i], v[i + S / 2], first, all);
      take_halves<S, true>(v[i], v[i + S / 2], second, all);
      Op::add(second, first);
      v[i] = first;
    }
    put_together<Op, N, S / 2>(v);
  }
}
// The same of one vector, in lane 0.
template <class Op, int N, int S, class V>
PGCORE_INLINE inline void put_together_one(V& v) {
  if constexpr (S > 1) {
    V second;
    take_halves<S, true>(v, v, second, std::make_integer_sequence<int, N>{});
    Op::add(second, v);
    put_together_one<Op, N, S / 2>(v);
  }
}

// What the lanes of a row's numbers begin … end − 1 gather, the second half of them added to the first until
// one register is left. Numbers that do not fill the lanes are the last ones that do, or the first of a row
// that never fills them; the others of them do not count.
template <class Op, class V, class T, class F>
PGCORE_INLINE inline V gather(Index begin, Index end, T neutral, F&& f) {
  constexpr int parts = 64 / static_cast<int>(sizeof(V));
  constexpr Index width = lanes<T> / parts;
  if (end <= width) return simd::only_lanes<T>(0, end, f(0), V{} + neutral);  // the others add nothing
  V y[parts];
  for (V& part : y) part = V{} + neutral;
  Index k = begin;
  for (; k + lanes<T> <= end; k += lanes<T>) {
    for (int p = 0; p < parts; ++p) Op::add(f(k + p * width), y[p]);
  }
  const Index last = std::max<Index>(0, end - lanes<T>);
  for (int p = 0; p < parts && k < end; ++p) {
    const Index i = last + p * width;
    if (i + width <= k || i >= end) continue;
    Op::add(simd::only_lanes<T>(k - i, end - i, f(i), V{} + neutral), y[p]);
  }
  for (int half = parts / 2; half > 0; half /= 2) {
    for (int p = 0; p < half; ++p) Op::add(y[p + half], y[p]);
  }
  return y[0];
}

}  // namespace detail

template <class T, int Bytes>
inline constexpr Index lanes_of = Bytes / static_cast<Index>(sizeof(T));
template <class T, int Bytes>
using Register = simd::Vector<T, lanes_of<T, Bytes>>;

// out[r] = f(r, 0) + … + f(r, K − 1), where Op says what is added, for rows r < `rows`. f(r, k) gives the
// numbers from k on in a register of `Bytes`; of rows shorter than the lanes also those beyond their ends,
// which do not count. The sums of parts of long rows are added in double.
template <class Op, int Bytes, class T, class F, class Out>
PGCORE_INLINE inline void reduce_rows(Index rows, Index K, T neutral, F&& f, Out* out) {
  constexpr int width = simd::lanes_in<T>(Bytes);
  using V = Register<T, Bytes>;
  const Index longest = Op::rounds ? lanes<T> * longest_short_row : K;
  Index r = 0;
  if (K <= longest) {
    for (; r + width <= rows; r += width) {
      V v[width];
      for (Index i = 0; i < width; ++i) {
        v[i] = detail::gather<Op, V>(0, K, neutral, [&](Index k) PGCORE_INLINE { return f(r + i, k); });
      }
      detail::put_together<Op, width, width>(v);
      T y[width];
      simd::store(v[0], y);
      for (Index i = 0; i < width; ++i) out[r + i] = y[i];
    }
  }
  for (; r < rows; ++r) {
    const auto part = [&](Index begin, Index end) PGCORE_INLINE {
      V v = detail::gather<Op, V>(begin, end, neutral, [&](Index k) PGCORE_INLINE { return f(r, k); });
      detail::put_together_one<Op, width, width>(v);
      return T(v[0]);
    };
    const T first = part(0, std::min(K, longest));
    double total = static_cast<double>(first);
    for (Index k = longest; k < K; k += longest) {
      total += static_cast<double>(part(k, std::min(K, k + longest)));
    }
    out[r] = static_cast<Out>(total);
  }
}

// out[r] = the sum of the A numbers of row r, for rows of 2 … `longest_short_row` numbers that follow each
// other. Four rows at a time, each in four lanes: rows are too short to fill wider ones.
template <class T>
void sum_short_rows(Index rows, Index A, const T* x, double* out) {
  constexpr int width = 4;
  using V = simd::Vector<T, width>;
  // The numbers that do not fill the lanes are the last ones that do, or the first of a row that never fills
  // them.
  const Index whole = A / width * width, last = std::max<Index>(0, A - width);
  const auto sum_four = [=](const T* from, double* to) PGCORE_INLINE {
    V v[width] = {};
    const auto add = [&](Index k, auto&& counted) PGCORE_INLINE {
      simd::unrolled<width>([&](auto i) PGCORE_INLINE {
        V next;
        simd::load(from + i * A + k, next);
        v[i] = v[i] + counted(next);
      });
    };
    for (Index k = 0; k < whole; k += width) add(k, [](const V& y) PGCORE_INLINE { return y; });
    if (whole < A) {
      add(last,
          [=](const V& y) PGCORE_INLINE { return simd::only_lanes<T>(whole - last, A - last, y, V{}); });
    }
    detail::put_together<Sum, width, width>(v);
    for (int i = 0; i < width; ++i) to[i] = static_cast<double>(v[0][i]);
  };
  Index r = 0;
  const Index read = A < width ? width + 1 : width;  // rows, where the fourth is read beyond its end
  for (; r + read <= rows; r += width) sum_four(x + r * A, out + r);
  while (r < rows) {
    const Index count = std::min<Index>(width, rows - r);
    T copy[width * (longest_short_row + 1)] = {};
    double sums[width];
    std::copy_n(x + r * A, count * A, copy);
    sum_four(copy, sums);
    std::copy_n(sums, count, out + r);
    r += count;
  }
}

}  // namespace pgcore
