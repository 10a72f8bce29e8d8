// A layer for the few rows that acting takes between two steps of the environments.
//
// In vectors of 256 bits: after wider ones some processors run everything at a lower clock for about a
// millisecond, and the environments' step, which comes next, takes up to a fifth longer. A single store of
// 512 bits is enough, so look at bench/after_acting.py after a change here.
#pragma once

#include "pgcore/activation.hpp"
#include "pgcore/types.hpp"

namespace pgcore::few_rows {

inline constexpr int vector_bytes = 32;
template <class T>
inline constexpr Index lanes = vector_bytes / static_cast<Index>(sizeof(T));

// Whether `layer` is faster than products in tiles, the lower clock included: for one row, and for at most as
// many rows as a vector has lanes unless the weights (k, m) are many.
template <class T>
bool preferred(Index rows, Index k, Index m) {
  return rows == 1 || (rows <= lanes<T> && k * m <= 128 * 128);
}

// z (rows, m) ← φ(h (rows, k) Wᵀ + b), with W (m, k); `slope` as for `activate`.
template <class T>
void layer(Activation activation, Index rows, Index k, Index m, const T* h, const T* weight, const T* bias,
           T* z, T* slope);

}  // namespace pgcore::few_rows
