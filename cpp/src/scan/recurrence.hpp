// The recurrence y_k = x_k + c_k y_{k + columns} over scratch memory, where all scans end up: numbers of the
// same column are `columns` places apart, and the last rows come first.
#pragma once

#include <cstdint>

#include "math/simd.hpp"
#include "pgcore/types.hpp"

namespace pgcore::scan::detail {

template <class Real>
inline constexpr int lanes = simd::lanes_in<Real>(simd::register_bytes);

// What coefficients are: any numbers, or the masks of sums (all bits set for 1, none for 0).
enum class Factors { numbers, masks };

// For k from count − 1 down to 0; `columns` numbers behind y are those that follow. `lanes` numbers before x
// and c are 0, those before y are overwritten, and `lanes` numbers behind the `columns` ones may be read.
//
// Where several rows fit a register, their maps y ↦ x + c y are composed first, so that rows need not wait
// for each other. False, and y is void, if that may differ from the definition by more than rounding: it
// multiplies coefficients that the definition never multiplies, so that 0·∞ leaks NaN from behind an end, and
// adds numbers in another order, so that sums overflow. Products of as many coefficients as a register has
// lanes must be 0 or normal numbers (`max_coefficient`).
template <Factors factors, class Real>
bool recur(Index count, Index columns, const Real* x, const Real* c, Real* y);

// The same one by one, whatever the numbers are: y_k = x_k where end[k·step] is not 0.
template <Factors factors, class Real>
void recur_plainly(Index count, Index columns, const Real* x, const Real* c, const std::uint8_t* end,
                   Index step, Real* y);

template <class Real>
inline constexpr double max_coefficient = sizeof(Real) == sizeof(float) ? 100 : 1e35;

}  // namespace pgcore::scan::detail
