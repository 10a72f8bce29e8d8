// Products of row-major matrices.
#pragma once

#include "pgcore/types.hpp"

namespace pgcore {

// C (n, m) ← A (n, k) B (k, m).
template <class T>
void multiply(Index n, Index k, Index m, const T* A, const T* B, T* C);
// C (n, m) ← A (n, k) B (m, k)ᵀ, or C += A Bᵀ.
template <class T>
void multiply_transposed(Index n, Index k, Index m, const T* A, const T* B, T* C, bool add = false);
// C (n, m) += A (k, n)ᵀ B (k, m).
template <class T>
void add_transposed_product(Index n, Index k, Index m, const T* A, const T* B, T* C);

}  // namespace pgcore
