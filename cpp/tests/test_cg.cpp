// Conjugate gradient: solutions, right-hand sides at the ends of the range, and numbers that are not finite.
#include <limits>

#include "check.hpp"
#include "pgcore/cg.hpp"

using namespace pgcore;

namespace {

// A = tridiag(−1, 4, −1), times `scale`.
template <class T>
Product<T> tridiagonal(Index n, T scale) {
  return [=](Vec<const T> v, Vec<T> out) {
    for (Index i = 0; i < n; ++i) {
      out[i] = scale * (4 * v[i] - (i > 0 ? v[i - 1] : T(0)) - (i + 1 < n ? v[i + 1] : T(0)));
    }
  };
}

template <class T>
void test_solutions(Index n, T scale_of_matrix, T scale_of_rhs, bool warm) {
  const testing::Case here("n =", n, "matrix", scale_of_matrix, "right-hand side", scale_of_rhs, "warm",
                           warm);
  const auto multiply = tridiagonal(n, scale_of_matrix);
  auto b = testing::normal<T>(n, 1);
  for (T& entry : b) entry *= scale_of_rhs;
  std::vector<T> x(b.size(), scale_of_rhs / scale_of_matrix), product(b.size());
  const T rtol = std::is_same_v<T, float> ? T(1e-5) : T(1e-12);
  const CgReport report =
      conjugate_gradient<T>(multiply, testing::vec(b), testing::vec(x), warm, {rtol, 0.0, 10 * n, 0.0});
  CHECK(report.status == CgStatus::converged);
  multiply(testing::vec(x), testing::vec(product));
  double worst = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    worst = std::max(worst, static_cast<double>(std::abs(product[i] / scale_of_rhs - b[i] / scale_of_rhs)));
  }
  CHECK(worst <= static_cast<double>(10 * rtol));
}

template <class T>
void test_not_finite(T bad) {
  const auto multiply = tridiagonal<T>(3, T(1));
  const std::vector<T> b{1, bad, 2}, good{1, 2, 3};
  std::vector<T> x(3);
  CHECK(
      conjugate_gradient<T>(multiply, testing::vec(b), testing::vec(x), false, {1e-6, 0.0, 30, 0.0}).status ==
      CgStatus::nonfinite);
  x = {T(0), bad, T(0)};
  CHECK(conjugate_gradient<T>(multiply, testing::vec(good), testing::vec(x), true, {1e-6, 0.0, 30, 0.0})
            .status == CgStatus::nonfinite);
  CHECK(x == std::vector<T>(3));
}

// xᵀAx of a solution, where A and b are scaled: with b twice, with A once.
template <class T>
void test_curvature(double a, double b) {
  const Product<T> multiply = [=](Vec<const T> v, Vec<T> out) {
    for (Index i = 0; i < 2; ++i) out[i] = static_cast<T>(a) * v[i];
  };
  const T rhs[] = {static_cast<T>(3 * b), static_cast<T>(4 * b)};
  T x[2];
  const CgReport report = conjugate_gradient<T>(multiply, {rhs, 2}, {x, 2}, false, {1e-6, 0.0, 9, 0.0});
  CHECK(report.status == CgStatus::converged);
  const double expected = 25 * (b / a) * b;
  CHECK(std::abs(report.curvature - expected) <= 1e-6 * expected);
}

// ‖r‖ ≤ atol ends the iteration, in the units of b; the observer sees every iterate, in those of x.
template <class T>
void test_absolute_tolerance(T scale_of_matrix, T scale_of_rhs) {
  const testing::Case here("matrix", scale_of_matrix, "right-hand side", scale_of_rhs);
  constexpr Index n = 33;
  const auto multiply = tridiagonal(n, scale_of_matrix);
  auto b = testing::normal<T>(n, 1);
  for (T& entry : b) entry *= scale_of_rhs;
  std::vector<T> x(b.size()), product(b.size());
  const double atol = 0.05 * static_cast<double>(scale_of_rhs);
  std::vector<double> residuals;
  const CgObserver<T> observe = [&](Vec<const T> iterate) {
    multiply(iterate, testing::vec(product));
    double square = 0;
    for (std::size_t i = 0; i < b.size(); ++i) {
      const double part = static_cast<double>((b[i] - product[i]) / scale_of_rhs);
      square += part * part;
    }
    residuals.push_back(std::sqrt(square) * static_cast<double>(scale_of_rhs));
  };
  const CgReport report = conjugate_gradient<T>(multiply, testing::vec(b), testing::vec(x), false,
                                                {0.0, atol, 10 * n, 0.0}, nullptr, observe);
  CHECK(report.status == CgStatus::converged);
  CHECK(report.iterations > 2);
  CHECK(static_cast<Index>(residuals.size()) == report.iterations);
  for (std::size_t k = 0; k + 1 < residuals.size(); ++k) CHECK(residuals[k] > atol);
  CHECK(residuals.back() <= 1.001 * atol);
}

// A direction without curvature, and one whose curvature is rounding.
template <class T>
void test_statuses() {
  const T b[] = {T(1), T(1)};
  const auto status = [&](T a00, T a01, T a11) {
    const T matrix[] = {a00, a01, a01, a11};
    T x[2];
    return conjugate_gradient<T>(matrix_product<T>({matrix, 2, 2}), {b, 2}, {x, 2}, false,
                                 {0.0, 0.0, 50, 0.0})
        .status;
  };
  CHECK(status(1, 0, 1) == CgStatus::converged);
  CHECK(status(0, 0, 0) == CgStatus::negative_curvature);
  CHECK(status(1, 0, 0) == CgStatus::negative_curvature);
  CHECK(status(1, 0, -1) == CgStatus::negative_curvature);
  CHECK(status(1, -1, T(0.5)) == CgStatus::negative_curvature);
  const T close = 1 - std::numeric_limits<T>::epsilon() / 2;
  CHECK(status(close, 1, close) != CgStatus::nonfinite);
}

}  // namespace

TEST("a solution's status says whether there is one") {
  test_statuses<float>();
  test_statuses<double>();
}
TEST("an absolute tolerance ends the iteration, and every iterate is shown") {
  for (const double a : {1e-15, 1.0, 1e15}) {
    for (const double b : {1e-15, 1.0, 1e15})
      test_absolute_tolerance(static_cast<float>(a), static_cast<float>(b));
  }
  for (const double a : {1e-130, 1.0, 1e130}) {
    for (const double b : {1e-130, 1.0, 1e130}) test_absolute_tolerance(a, b);
  }
}
TEST("the curvature of a solution, whatever the size of matrix and right-hand side") {
  for (const double size : {1e-15, 1.0, 1e15}) {
    test_curvature<float>(size, 1.0);
    test_curvature<float>(1.0, size);
    test_curvature<float>(size, size);
  }
  for (const double size : {1e-130, 1.0, 1e130}) {
    test_curvature<double>(size, 1.0);
    test_curvature<double>(1.0, size);
    test_curvature<double>(size, size);
  }
}
TEST("systems are solved, also at the ends of the range") {
  for (const double scale : {1e-18, 1e-30, 1e18, 1e30}) {
    for (const bool warm : {false, true}) test_solutions<float>(33, static_cast<float>(scale), 1.0f, warm);
    test_solutions<float>(33, static_cast<float>(scale), static_cast<float>(scale), true);
    test_solutions<float>(33, 1.0f, static_cast<float>(scale), true);
  }
  for (const Index n : {Index{1}, Index{2}, Index{33}}) {
    for (const bool warm : {false, true}) {
      test_solutions<float>(n, 1.0f, 1.0f, warm);
      test_solutions<float>(n, 1.0f, 1e25f, warm);
      for (const double scale : {1e-300, 1e-170, 1.0, 1e160, 1e300}) {
        test_solutions<double>(n, 1.0, scale, warm);
        test_solutions<double>(n, scale, 1.0, false);
      }
    }
  }
}
TEST("numbers that are not finite are reported") {
  for (const bool infinite : {false, true}) {
    test_not_finite(infinite ? std::numeric_limits<float>::infinity() : std::nanf(""));
    test_not_finite(infinite ? std::numeric_limits<double>::infinity() : std::nan(""));
  }
}
