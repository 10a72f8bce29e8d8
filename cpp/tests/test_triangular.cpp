// Substitution against the products it undoes.
#include "check.hpp"
#include "math/triangular.hpp"

using namespace pgcore;

namespace {

template <class S, class X>
void test_column(Index n, Index stride, double tolerance) {
  const testing::Case here("n =", n, "stride =", stride);
  const auto drawn = testing::normal<S>(n * n, 1);
  auto matrix = drawn;
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < n; ++j)
      matrix[i * n + j] = j > i ? std::numeric_limits<S>::quiet_NaN() : drawn[i * n + j] / S(n);
    matrix[i * n + i] = S(1) + std::abs(drawn[i * n + i]);
  }
  const LowerTriangle<S> L(matrix.data(), n);
  const auto b = testing::normal<X>(n * stride, 2);
  auto lower = b, upper = b;
  solve_lower(L, Column<S, X>(L, lower.data(), stride));
  solve_lower_transposed(L, Column<S, X>(L, upper.data(), stride));
  testing::Worst of_lower, of_upper;
  for (Index i = 0; i < n; ++i) {
    double sum = 0, sum_transposed = 0;
    for (Index j = 0; j <= i; ++j) sum += L.at(i, j) * static_cast<double>(lower[j * stride]);
    for (Index j = i; j < n; ++j) sum_transposed += L.at(j, i) * static_cast<double>(upper[j * stride]);
    of_lower.add(sum, b[i * stride]);
    of_upper.add(sum_transposed, b[i * stride]);
    for (Index k = 1; k < stride; ++k) CHECK(lower[i * stride + k] == b[i * stride + k]);
  }
  CHECK(of_lower.within(tolerance));
  CHECK(of_upper.within(tolerance));
}

}  // namespace

TEST("solving undoes multiplying, and reads nothing above the diagonal") {
  for (const Index n : {1, 2, 5, 33}) {
    for (const Index stride : {1, 3}) {
      test_column<double, double>(n, stride, 1e-13);
      test_column<double, float>(n, stride, 1e-5);
      test_column<float, double>(n, stride, 1e-13);
    }
  }
}
TEST("the rest of a triangle leaves out its first rows and columns") {
  const double matrix[] = {1, 0, 0, 2, 3, 0, 4, 5, 6};
  const auto rest = LowerTriangle<double>(matrix, 3).from(1);
  CHECK(rest.size() == 2);
  CHECK(rest.at(0, 0) == 3.0);
  CHECK(rest.at(1, 0) == 5.0);
  CHECK(rest.at(1, 1) == 6.0);
}
