#include "pgcore/orthogonal.hpp"

#include "math/compiler.hpp"
#include "math/sums.hpp"

namespace pgcore {

// Gram and Schmidt's, modified, twice: what rounding leaves of earlier rows the first time is gone after the
// second.
void orthonormalize(Index count, Index length, double* rows) {
  for (Index j = 0; j < count; ++j) {
    double* row = rows + j * length;
    for (int pass = 0; pass < 2; ++pass) {
      for (Index k = 0; k < j; ++k) {
        const double* earlier = rows + k * length;
        const double along = dot(earlier, row, length);
        PGCORE_INDEPENDENT
        for (Index i = 0; i < length; ++i) row[i] -= along * earlier[i];
      }
    }
    const double size = norm(row, length);
    for (Index i = 0; i < length; ++i) row[i] /= size;
  }
}

}  // namespace pgcore
