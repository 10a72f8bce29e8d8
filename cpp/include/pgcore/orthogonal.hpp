// Orthonormal vectors from independent ones.
#pragma once

#include "pgcore/views.hpp"

namespace pgcore {

// Rows, no more than they are long, become orthonormal, each with a positive part along the row
// that it was: for Gaussian rows they are uniform over all such sets. In double, in a fixed order, so that
// the bits are the same for every instruction set.
void orthonormalize(Rows<double> rows);

}  // namespace pgcore
