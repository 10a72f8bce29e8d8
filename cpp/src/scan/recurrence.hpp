// The recurrence in which all scans end: y_k = x_k + c_k·(0 at an end, else y of the same column in the row
// behind), from the last row to the first; forward, with the row before. Rows lie one behind the other.
#pragma once

#include <cstdint>

#include "math/simd.hpp"
#include "pgcore/scan.hpp"
#include "pgcore/types.hpp"

namespace pgcore::scan::detail {

template <class Real>
inline constexpr int lanes = simd::lanes_in<Real>(simd::register_bytes);

// What coefficients are: any numbers, or all of them 1, where `c` is not read.
enum class Factors { numbers, ones };

// `count` numbers in rows of `columns`. They are stored as S, and y is carried as a Real.
template <class S, class Real>
struct Maps {
  Index count, columns;
  const S* x;
  const Real* c;
  const std::uint8_t* ends;  // any byte but 0 is true
  // From number to number; 0: a register of equal ones serves all.
  Index c_step = 1, ends_step = 1;
};

// `carry` holds the row behind, and receives the first one.
//
// Where several rows fit a register, their maps y ↦ x + c y are composed first, so that rows need not wait
// for each other. False, and carry as before, if that may differ from the definition by more than rounding:
// it multiplies coefficients that the definition never multiplies, so that 0·∞ leaks NaN from behind an end,
// and adds numbers in another order, so that sums overflow. Products of as many coefficients as a register
// has lanes must be 0 or normal numbers (`max_coefficient`).
template <Factors factors, Order order, class S, class Real>
bool recur(const Maps<S, Real>& maps, Real* carry, S* y);

template <class Real>
inline constexpr double max_coefficient = sizeof(Real) == sizeof(float) ? 100 : 1e35;

// The same one by one, whatever the numbers are.
template <Factors factors, Order order, class S, class Real>
void recur_plainly(const Maps<S, Real>& maps, Real* carry, S* y);

}  // namespace pgcore::scan::detail
