// Orthonormal rows: right angles, length one, and the side they were on; also of rows that are nearly
// dependent.
#include "check.hpp"
#include "math/sums.hpp"
#include "pgcore/orthogonal.hpp"

using namespace pgcore;

namespace {

void test_rows(Index count, Index length, double apart) {
  auto rows = testing::normal<double>(count * length, 3);
  for (Index j = 1; j < count; ++j) {
    for (Index i = 0; i < length; ++i) rows[j * length + i] = rows[i] + apart * rows[j * length + i];
  }
  const auto before = rows;
  orthonormalize({rows.data(), count, length});
  double worst = 0;
  for (Index j = 0; j < count; ++j) {
    CHECK(dot(rows.data() + j * length, before.data() + j * length, length) > 0);
    for (Index k = 0; k <= j; ++k) {
      const double product = dot(rows.data() + j * length, rows.data() + k * length, length);
      worst = std::max(worst, std::abs(product - (j == k ? 1 : 0)));
    }
  }
  CHECK(worst < 1e-14);
}

}  // namespace

TEST("rows become orthonormal, each on the side where it was") {
  for (const Index length : {1, 2, 15, 16, 17, 70}) {
    for (const Index count : {Index{1}, length / 2, length}) {
      if (count > 0) test_rows(count, length, 1.0);
    }
  }
}
TEST("rows that are nearly dependent become orthonormal") {
  test_rows(5, 40, 1e-9);
  test_rows(12, 40, 1e-11);
}
TEST("no rows stay no rows") {
  double none = 0;
  orthonormalize({&none, 0, 0});
  CHECK(none == 0);
}
