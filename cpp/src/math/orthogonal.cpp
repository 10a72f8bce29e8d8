#include "pgcore/orthogonal.hpp"

#include <cassert>

#include "math/compiler.hpp"
#include "math/sums.hpp"
#include "pgcore/types.hpp"

namespace pgcore {

// Gram and Schmidt's, modified, twice: what rounding leaves of earlier rows the first time is gone after the
// second.
void orthonormalize(Rows<double> rows) {
  const Index count = rows.num_rows(), length = rows.width();
  assert(count <= length);
  for (Index j = 0; j < count; ++j) {
    double* row = rows.row(j);
    for (int pass = 0; pass < 2; ++pass) {
      for (Index k = 0; k < j; ++k) {
        const double* earlier = rows.row(k);
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
