#include "scan/recurrence.hpp"

#include <cmath>
#include <cstdint>
#include <utility>

#include "math/compiler.hpp"
#include "math/simd.hpp"
#include "pgcore/types.hpp"

namespace pgcore::scan::detail {
namespace {

template <class Real>
using Register = simd::Vector<Real, lanes<Real>>;

template <class Real>
PGCORE_INLINE inline Register<Real> all(Real x) {
  return Register<Real>{} + x;
}

template <Factors factors, class Real>
struct Factor;
template <class Real>
struct Factor<Factors::numbers, Real> {
  static Real one() { return Real(1); }
  template <class V>
  PGCORE_INLINE static V times(const V& c, const V& y) {
    return c * y;
  }
};
template <class Real>
struct Factor<Factors::masks, Real> {
  static Real one() { return simd::bit_cast<Real>(simd::mask<Real>(true)); }
  PGCORE_INLINE static Real times(Real c, Real y) {
    return simd::select_or_zero(simd::bit_cast<simd::Int<Real>>(c), y);
  }
  PGCORE_INLINE static Register<Real> times(const Register<Real>& c, const Register<Real>& y) {
    return simd::masked<Real>(c, y);
  }
};

// A register whose last lanes hold as many whole rows of `Columns` numbers as fit; those before them belong
// to an earlier row, and are computed again with it.
template <class Real, int Columns>
struct Layout {
  static constexpr int rows = lanes<Real> / Columns, used = rows * Columns, first = lanes<Real> - used;
  static constexpr int column_of(int lane) { return (lane - first + Columns) % Columns; }
  // Every lane's column in the first whole row, and in a row that begins at lane 0.
  struct FirstRow {
    static constexpr int lane(int k) { return first + column_of(k); }
  };
  struct Next {
    static constexpr int lane(int k) { return column_of(k); }
  };
};

// Lane k holds the map y ↦ x_k + c_k y; afterwards the composition of those of its column from lane k on.
template <Factors factors, class Real, int Columns, int D = Columns>
PGCORE_INLINE inline void compose(Register<Real>& x, Register<Real>& c) {
  using F = Factor<factors, Real>;
  constexpr int count = lanes<Real>;
  if constexpr (D < Layout<Real, Columns>::used) {
    constexpr Register<Real> zero{};
    Register<Real> later;
    simd::shift<D, count>(x, zero, later);
    x += F::times(c, later);
    simd::shift<D, count>(c, all(F::one()), later);
    c = F::times(c, later);
    compose<factors, Real, Columns, 2 * D>(x, c);
  }
}

template <class Real>
bool finite(const Register<Real>& not_finite) {
  return !std::isnan(simd::sum_of_lanes<Real>(not_finite));
}

// Only x_first + c_first·next waits for the register behind.
template <Factors factors, class Real, int Columns>
bool recur_in_registers(Index count, Index, const Real* x, const Real* c, Real* y) {
  using F = Factor<factors, Real>;
  using In = Layout<Real, Columns>;
  constexpr int width = lanes<Real>;
  Register<Real> next, next_row;
  simd::load(y + count, next_row);
  simd::permute<typename In::Next, width>(next_row, next);
  // Become NaN for NaN and infinity.
  Register<Real> not_finite{}, given = next * Real(0);
  for (Index end = count; end > 0; end -= In::used) {
    const Index k = end - width;
    Register<Real> offset, factor, first_offset, first_factor;
    simd::load(x + k, offset);
    simd::load(c + k, factor);
    if constexpr (factors == Factors::masks) given += offset * Real(0);
    compose<factors, Real, Columns>(offset, factor);
    const Register<Real> result = offset + F::times(factor, next);
    simd::permute<typename In::FirstRow, width>(offset, first_offset);
    simd::permute<typename In::FirstRow, width>(factor, first_factor);
    next = first_offset + F::times(first_factor, next);
    not_finite += result * Real(0);
    simd::store(result, y + k);
  }
  // Masks let nothing through, so that NaN and infinity are right where they were given.
  return finite<Real>(not_finite) || (factors == Factors::masks && !finite<Real>(given));
}

// Rows of at least a register.
template <Factors factors, class Real>
bool recur_in_rows(Index count, Index columns, const Real* x, const Real* c, Real* y) {
  Register<Real> not_finite{};
  for (Index k = count - lanes<Real>; k > -lanes<Real>; k -= lanes<Real>) {
    Register<Real> offset, factor, next;
    simd::load(x + k, offset);
    simd::load(c + k, factor);
    simd::load(y + k + columns, next);
    offset += Factor<factors, Real>::times(factor, next);
    not_finite += offset * Real(0);
    simd::store(offset, y + k);
  }
  return factors == Factors::masks || finite<Real>(not_finite);
}

template <class Real>
using Recurrence = bool (*)(Index, Index, const Real*, const Real*, Real*);
template <Factors factors, class Real, int... K>
Recurrence<Real> of_few_columns(Index columns, std::integer_sequence<int, K...>) {
  static constexpr Recurrence<Real> table[] = {recur_in_registers<factors, Real, K + 1>...};
  return table[columns - 1];
}

}  // namespace

template <Factors factors, class Real>
bool recur(Index count, Index columns, const Real* x, const Real* c, Real* y) {
  constexpr std::make_integer_sequence<int, lanes<Real>> few;
  if (columns > lanes<Real>) return recur_in_rows<factors>(count, columns, x, c, y);
  return of_few_columns<factors, Real>(columns, few)(count, columns, x, c, y);
}

template <Factors factors, class Real>
void recur_plainly(Index count, Index columns, const Real* x, const Real* c, const std::uint8_t* end,
                   Index step, Real* y) {
  for (Index k = count - 1; k >= 0; --k) {
    y[k] = end[k * step] != 0 ? x[k] : x[k] + Factor<factors, Real>::times(c[k], y[k + columns]);
  }
}

#define PGCORE_INSTANTIATE(factors, Real)                                                                  \
  template bool recur<factors>(Index, Index, const Real*, const Real*, Real*);                             \
  template void recur_plainly<factors>(Index, Index, const Real*, const Real*, const std::uint8_t*, Index, \
                                       Real*);
PGCORE_INSTANTIATE(Factors::numbers, float)
PGCORE_INSTANTIATE(Factors::numbers, double)
PGCORE_INSTANTIATE(Factors::masks, double)

}  // namespace pgcore::scan::detail
