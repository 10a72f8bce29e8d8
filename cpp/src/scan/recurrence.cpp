#include "scan/recurrence.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "math/compiler.hpp"
#include "math/simd.hpp"
#include "pgcore/scan.hpp"
#include "pgcore/types.hpp"

namespace pgcore::scan::detail {
namespace {

template <class Real>
using Register = simd::Vector<Real, lanes<Real>>;

template <class S, class Real>
PGCORE_INLINE inline Register<Real> load(const S* from) {
  if constexpr (std::is_same_v<S, Real>) {
    Register<Real> to;
    simd::load(from, to);
    return to;
  } else {
    simd::Vector<S, lanes<Real>> numbers;
    simd::load(from, numbers);
    return simd::converted<Register<Real>>(numbers);
  }
}
template <class S, class Real>
PGCORE_INLINE inline void store(const Register<Real>& from, S* to) {
  if constexpr (std::is_same_v<S, Real>) {
    simd::store(from, to);
  } else {
    simd::store(simd::converted<simd::Vector<S, lanes<Real>>>(from), to);
  }
}
// ---- rows of at most a register ----

// Coefficients in registers: numbers, or masks instead of 1 and 0, which let no NaN through.
template <Factors factors, class Real>
struct Factor {
  static constexpr bool masks = factors == Factors::ones;
  static Real one() { return masks ? simd::bit_cast<Real>(simd::mask<Real>(true)) : Real(1); }
  PGCORE_INLINE static Register<Real> load(const Real* c, const std::uint8_t* ends) {
    return simd::where_zero<Real>(
        ends, masks ? simd::all_lanes<Register<Real>>(one()) : detail::load<Real, Real>(c));
  }
  PGCORE_INLINE static Register<Real> times(const Register<Real>& c, const Register<Real>& y) {
    if constexpr (masks) return simd::masked<Real>(c, y);
    return c * y;
  }
};

// A register that holds as many whole rows of `Columns` numbers as fit: in its last lanes, or in its first
// ones for the order forward. The other lanes belong to a row that is computed later.
template <class Real, int Columns, Order order>
struct Layout {
  static constexpr bool backward = order == Order::backward;
  static constexpr int rows = lanes<Real> / Columns, used = rows * Columns, unused = lanes<Real> - used;
  static constexpr int column_of(int lane) { return (backward ? lane - unused + Columns : lane) % Columns; }
  // For every lane that of its column in the row computed last, and in a row that begins at lane 0.
  struct LastRow {
    static constexpr int lane(int k) { return (backward ? unused : used - Columns) + column_of(k); }
  };
  struct Carry {
    static constexpr int lane(int k) { return column_of(k); }
  };
  // The lanes D places further on in the order of computation's reverse; `none` where there are none.
  template <int D>
  PGCORE_INLINE static Register<Real> behind(const Register<Real>& v, const Register<Real>& none) {
    Register<Real> to;
    if constexpr (backward) {
      simd::shift<D, lanes<Real>>(v, none, to);
    } else {
      simd::shift<lanes<Real> - D, lanes<Real>>(none, v, to);
    }
    return to;
  }
};

// Lane k holds the map y ↦ x_k + c_k y; afterwards the composition of it and of all behind it in its column.
template <class F, class In, int D, class Real>
PGCORE_INLINE inline void compose(Register<Real>& x, Register<Real>& c) {
  if constexpr (D < In::used) {
    x += F::times(c, In::template behind<D>(x, Register<Real>{}));
    c = F::times(c, In::template behind<D>(c, simd::all_lanes<Register<Real>>(F::one())));
    compose<F, In, 2 * D, Real>(x, c);
  }
}

template <class Real>
bool finite(const Register<Real>& not_finite) {
  return !std::isnan(simd::sum_of_lanes<Real>(not_finite));
}

template <class S, class Real>
Maps<S, Real> from(const Maps<S, Real>& maps, Index k) {
  return {maps.count,  maps.columns,  maps.x + k, maps.c + k * maps.c_step, maps.ends + k * maps.ends_step,
          maps.c_step, maps.ends_step};
}

// Rows that do not fill a register, from lane `lane` on; all else is 0.
template <class S, class Real>
struct Rest {
  alignas(64) S x[lanes<Real>], y[lanes<Real>];
  alignas(64) Real c[lanes<Real>];
  alignas(64) std::uint8_t ends[lanes<Real>];

  PGCORE_NOINLINE Maps<S, Real> take(const Maps<S, Real>& maps, Index count, Index lane) {
    for (Index k = 0; k < lanes<Real>; ++k) {
      const Index i = k - lane;
      const bool there = 0 <= i && i < count;
      x[k] = there ? maps.x[i] : S(0);
      c[k] = there && maps.c ? maps.c[i * maps.c_step] : Real(0);
      ends[k] = there ? maps.ends[i * maps.ends_step] : std::uint8_t{0};
    }
    return {count, maps.columns, x, c, ends};
  }
};

template <Factors factors, Order order, class S, class Real, int Columns>
bool recur_in_registers(const Maps<S, Real>& maps, Real* carry, S* y) {
  using F = Factor<factors, Real>;
  using In = Layout<Real, Columns, order>;
  constexpr int width = lanes<Real>;
  alignas(64) Real row[width] = {};
  std::copy(carry, carry + Columns, row);
  Register<Real> next, result{};
  simd::permute<typename In::Carry, width>(load<Real, Real>(row), next);
  Register<Real> not_finite{}, given = next * Real(0);  // become NaN for NaN and infinity
  const Index whole = maps.count < width ? 0 : (maps.count - width) / In::used + 1;
  const Index rest = maps.count - whole * In::used, lane = In::backward ? width - rest : 0;
  Rest<S, Real> few;
  for (Index n = 0; n < whole + (rest > 0); ++n) {
    const Index k = In::backward ? maps.count - n * In::used - width : n * In::used;
    Maps<S, Real> at = from(maps, k);
    S* to = y + k;
    if (n == whole) {
      at = few.take(from(maps, In::backward ? 0 : k), rest, lane);
      to = few.y;
    }
    Register<Real> offset = load<S, Real>(at.x), factor = F::load(at.c, at.ends), last_offset, last_factor;
    if constexpr (F::masks && In::rows > 1) given += offset * Real(0);
    compose<F, In, Columns, Real>(offset, factor);
    result = offset + F::times(factor, next);
    // Only this waits for the register before.
    simd::permute<typename In::LastRow, width>(offset, last_offset);
    simd::permute<typename In::LastRow, width>(factor, last_factor);
    next = last_offset + F::times(last_factor, next);
    not_finite += result * Real(0);
    store<S, Real>(result, to);
  }
  if (rest > 0) std::copy(few.y + lane, few.y + lane + rest, y + (In::backward ? 0 : maps.count - rest));
  // Masks let nothing through, so that NaN and infinity are right where they were given.
  if (!finite<Real>(not_finite) && !(F::masks && (In::rows == 1 || !finite<Real>(given)))) return false;
  simd::store(result, row);
  const Index used = rest > 0 ? rest : Index{In::used};
  const Index last_row = In::backward ? width - used : used - Columns;
  std::copy(row + last_row, row + last_row + Columns, carry);
  return true;
}

// ---- wider rows ----

// R registers side by side, whose columns begin at `first`; y stays in registers from row to row. `equal`:
// all coefficients are, and nothing ends.
template <Factors factors, Order order, bool equal, int R, class S, class Real>
PGCORE_INLINE inline void recur_in_strip(const Maps<S, Real>& maps, Index first, Register<Real>* next, S* y) {
  const Index step = order == Order::backward ? -maps.columns : maps.columns;
  Index k = first + (order == Order::backward ? maps.count - maps.columns : 0);
  [[maybe_unused]] Register<Real> c{};
  if constexpr (factors == Factors::numbers) c = load<Real, Real>(maps.c);
  for (Index left = maps.count; left > 0; left -= maps.columns, k += step) {
    for (int r = 0; r < R; ++r) {
      const Index i = k + r * lanes<Real>;
      Register<Real> following = next[r];
      if constexpr (factors == Factors::numbers) {
        following *= equal ? c : load<Real, Real>(maps.c + i * maps.c_step);
      }
      if constexpr (!equal) following = simd::where_zero<Real>(maps.ends + i * maps.ends_step, following);
      next[r] = load<S, Real>(maps.x + i) + following;
      store<S, Real>(next[r], y + i);
    }
  }
}

// The columns from `first` on, as many registers side by side as there are.
template <Factors factors, Order order, bool equal, int R, class S, class Real>
Index recur_in_strips(const Maps<S, Real>& maps, Index first, Real* carry, S* y) {
  constexpr Index width = lanes<Real>;
  for (; first + R * width <= maps.columns; first += R * width) {
    Register<Real> next[R];
    for (int r = 0; r < R; ++r) next[r] = load<Real, Real>(carry + first + r * width);
    recur_in_strip<factors, order, equal, R>(maps, first, next, y);
    for (int r = 0; r < R; ++r) simd::store(next[r], carry + first + r * width);
  }
  return first;
}

template <Factors factors, Order order, bool equal, class S, class Real>
bool recur_in_rows(const Maps<S, Real>& maps, Real* carry, S* y) {
  const Index tail = maps.columns - lanes<Real>;  // overlaps what is before it
  Register<Real> last = load<Real, Real>(carry + tail);
  Index first = recur_in_strips<factors, order, equal, 8>(maps, 0, carry, y);
  first = recur_in_strips<factors, order, equal, 4>(maps, first, carry, y);
  first = recur_in_strips<factors, order, equal, 2>(maps, first, carry, y);
  first = recur_in_strips<factors, order, equal, 1>(maps, first, carry, y);
  if (first < maps.columns) {
    recur_in_strip<factors, order, equal, 1>(maps, tail, &last, y);
    simd::store(last, carry + tail);
  }
  return true;
}

template <class S, class Real>
using Recurrence = bool (*)(const Maps<S, Real>&, Real*, S*);
template <Factors factors, Order order, class S, class Real, int... K>
Recurrence<S, Real> of_few_columns(Index columns, std::integer_sequence<int, K...>) {
  static constexpr Recurrence<S, Real> table[] = {recur_in_registers<factors, order, S, Real, K + 1>...};
  return table[columns - 1];
}

}  // namespace

template <Factors factors, Order order, class S, class Real>
bool recur(const Maps<S, Real>& maps, Real* carry, S* y) {
  constexpr std::make_integer_sequence<int, lanes<Real>> few;
  if (maps.columns > lanes<Real>) {
    const bool equal = maps.c_step == 0 && maps.ends_step == 0 && maps.ends[0] == 0;
    // Wide rows one by one: the processor prefetches memory that lies together, not parts of many rows.
    const Index count = maps.columns > 8 * lanes<Real> ? maps.columns : maps.count;
    for (Index done = 0; done < maps.count; done += count) {
      const Index k = order == Order::backward ? maps.count - done - count : done;
      Maps<S, Real> rows = from(maps, k);
      rows.count = count;
      equal ? recur_in_rows<factors, order, true>(rows, carry, y + k)
            : recur_in_rows<factors, order, false>(rows, carry, y + k);
    }
    return true;
  }
  return of_few_columns<factors, order, S, Real>(maps.columns, few)(maps, carry, y);
}

template <Factors factors, Order order, class S, class Real>
void recur_plainly(const Maps<S, Real>& maps, Real* carry, S* y) {
  const bool backward = order == Order::backward;
  for (Index n = 0; n < maps.columns; ++n) {
    Real next = carry[n];
    for (Index left = maps.count; left > 0; left -= maps.columns) {
      const Index k = n + (backward ? left - maps.columns : maps.count - left);
      const Real following = factors == Factors::ones ? next : maps.c[k * maps.c_step] * next;
      next = static_cast<Real>(maps.x[k]) + (maps.ends[k * maps.ends_step] != 0 ? Real(0) : following);
      y[k] = static_cast<S>(next);
    }
    carry[n] = next;
  }
}

#define PGCORE_INSTANTIATE_ORDER(factors, order, S, Real)               \
  template bool recur<factors, order>(const Maps<S, Real>&, Real*, S*); \
  template void recur_plainly<factors, order>(const Maps<S, Real>&, Real*, S*);
#define PGCORE_INSTANTIATE(factors, S, Real)                  \
  PGCORE_INSTANTIATE_ORDER(factors, Order::backward, S, Real) \
  PGCORE_INSTANTIATE_ORDER(factors, Order::forward, S, Real)
PGCORE_INSTANTIATE(Factors::numbers, float, float)
PGCORE_INSTANTIATE(Factors::numbers, float, double)
PGCORE_INSTANTIATE(Factors::numbers, double, double)
PGCORE_INSTANTIATE(Factors::ones, float, double)
PGCORE_INSTANTIATE(Factors::ones, double, double)

}  // namespace pgcore::scan::detail
