// Sums that decide something: accumulated in double, in a fixed number of lanes, so that the result depends
// on neither the caller's alignment nor the vector width.
#pragma once

#include <algorithm>
#include <cmath>

#include "math/lanes.hpp"
#include "math/simd.hpp"
#include "pgcore/types.hpp"

namespace pgcore {

// Σ f(i) over i in 0 … count − 1.
template <class F>
double lane_sum(Index count, F&& f) {
  constexpr Index lanes = 16;
  double partial[lanes] = {};
  Index i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (Index k = 0; k < lanes; ++k) partial[k] += f(i + k);
  }
  for (Index k = 0; i + k < count; ++k) partial[k] += f(i + k);
  double total = 0;
  for (Index k = 0; k < lanes; ++k) total += partial[k];
  return total;
}

// Σ f(i) of a row, with f in T: one by one, or in lanes of T, of which short sums are added in double.
template <class T, class F>
T row_sum(Index count, F&& f) {
  constexpr Index lanes = 8;
  if (count <= lanes) {
    T total = 0;
    for (Index i = 0; i < count; ++i) total += f(i);
    return total;
  }
  double total = 0;
  for (Index first = 0; first < count; first += lanes * longest_short_row) {
    const Index end = std::min(count, first + lanes * longest_short_row);
    T partial[lanes] = {};
    Index i = first;
    for (; i + lanes <= end; i += lanes) {
      for (Index k = 0; k < lanes; ++k) partial[k] += f(i + k);
    }
    for (Index k = 0; i + k < end; ++k) partial[k] += f(i + k);
    total += static_cast<double>(simd::sum_of_lanes<T>(partial));
  }
  return static_cast<T>(total);
}

template <class T>
double dot(const T* a, const T* b, Index count) {
  return lane_sum(count, [=](Index i) { return static_cast<double>(a[i]) * static_cast<double>(b[i]); });
}

// Finite whenever the numbers and the norm are, also where squares are not.
template <class T>
double norm(const T* a, Index count) {
  const double square = dot(a, a, count);
  if (square > 1e-280 && std::isfinite(square)) return std::sqrt(square);
  double largest = 0;
  for (Index i = 0; i < count; ++i) largest = std::max(largest, std::abs(static_cast<double>(a[i])));
  if (largest == 0 || !std::isfinite(largest)) return std::sqrt(square);
  return largest * std::sqrt(lane_sum(count, [=](Index i) {
           const double part = static_cast<double>(a[i]) / largest;
           return part * part;
         }));
}

}  // namespace pgcore
