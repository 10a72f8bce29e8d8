// Orthonormal vectors from independent ones.
#pragma once

#include "pgcore/types.hpp"

namespace pgcore {

// The rows of a (count, length), count ≤ length, become orthonormal, each with a positive part along the row
// that it was: for Gaussian rows they are uniform over all such sets. In double, in a fixed order, so that
// the bits are the same for every instruction set.
void orthonormalize(Index count, Index length, double* rows);

}  // namespace pgcore
