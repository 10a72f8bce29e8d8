// Products of matrices against the sums that define them.
#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"
#include "math/matmul.hpp"
#include "math/tiles.hpp"

using namespace pgcore;

namespace {

template <class T>
void test_products(Index n, Index k, Index m, double tolerance) {
  const testing::Case here("n =", n, "k =", k, "m =", m);
  const auto a = testing::normal<T>(n * k, 1), b = testing::normal<T>(k * m, 2),
             c = testing::normal<T>(n * m, 3);
  std::vector<T> a_transposed(a.size()), b_transposed(b.size());
  for (Index i = 0; i < n; ++i) {
    for (Index l = 0; l < k; ++l) a_transposed[l * n + i] = a[i * k + l];
  }
  for (Index l = 0; l < k; ++l) {
    for (Index j = 0; j < m; ++j) b_transposed[j * k + l] = b[l * m + j];
  }
  auto plain = c, transposed = c, added = c, of_transposed = c;
  multiply(n, k, m, a.data(), b.data(), plain.data());
  multiply_transposed(n, k, m, a.data(), b_transposed.data(), transposed.data());
  multiply_transposed(n, k, m, a.data(), b_transposed.data(), added.data(), true);
  add_transposed_product(n, k, m, a_transposed.data(), b.data(), of_transposed.data());
  testing::Worst worst;
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < m; ++j) {
      double sum = 0;
      for (Index l = 0; l < k; ++l)
        sum += static_cast<double>(a[i * k + l]) * static_cast<double>(b[l * m + j]);
      const Index at = i * m + j;
      worst.add(plain[at], sum);
      worst.add(transposed[at], sum);
      worst.add(added[at], static_cast<double>(c[at]) + sum);
      worst.add(of_transposed[at], static_cast<double>(c[at]) + sum);
    }
  }
  CHECK(worst.within(tolerance));
}

// A B with a row `from` added to all rows, then doubled part by part: every element once.
template <class T>
void test_parts(Index n, Index k, Index m, bool transposed) {
  const testing::Case here("n =", n, "k =", k, "m =", m, "transposed", transposed);
  const auto a = testing::normal<T>(n * k, 1), b = testing::normal<T>(k * m, 2),
             from = testing::normal<T>(m, 3);
  const tiles::Factor<T> right =
      transposed ? tiles::Factor<T>{b.data(), 1, k} : tiles::Factor<T>{b.data(), m, 1};
  const Index width = m + 3;  // of the rows of the result: what is between them stays
  std::vector<T> c(static_cast<std::size_t>(n * width), T(7));
  tiles::product<T>(n, k, m, {a.data(), k, 1}, right, from.data(), 0, c.data(), width,
                    [=](T* part, Index rows, Index columns) {
                      for (Index i = 0; i < rows; ++i) {
                        for (Index j = 0; j < columns; ++j) part[i * width + j] *= 2;
                      }
                    });
  testing::Worst worst;
  bool kept = true;
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < m; ++j) {
      double sum = static_cast<double>(from[j]);
      for (Index l = 0; l < k; ++l) {
        sum += static_cast<double>(a[i * k + l]) *
               static_cast<double>(right.data[l * right.row + j * right.column]);
      }
      worst.add(c[i * width + j], 2 * sum);
    }
    for (Index j = m; j < width; ++j) kept &= c[i * width + j] == T(7);
  }
  CHECK(worst.within(sizeof(T) == 4 ? 4e-5 : 1e-13));  // sums of 300, doubled
  CHECK(kept);
}

// NaN in a row of A or in a column of B is in the sums that read it, and in no other.
template <class T>
void test_nan(Index n, Index k, Index m) {
  const testing::Case here("n =", n, "k =", k, "m =", m);
  auto a = testing::normal<T>(n * k, 1), b = testing::normal<T>(m * k, 2);
  std::vector<T> c(static_cast<std::size_t>(n * m));
  const Index row = n / 2, column = m - 1;
  a[row * k + k - 1] = std::numeric_limits<T>::quiet_NaN();
  b[column * k] = std::numeric_limits<T>::infinity();
  b[column * k + k - 1] = std::numeric_limits<T>::quiet_NaN();
  multiply_transposed(n, k, m, a.data(), b.data(), c.data());
  bool right = true;
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < m; ++j) right &= std::isnan(c[i * m + j]) == (i == row || j == column);
  }
  CHECK(right);
}

}  // namespace

TEST("a product may begin with a row, and is finished part by part") {
  for (const Index n : {1, 2, 3, 7, 100}) {
    for (const Index k : {1, 16, 33, 300}) {
      for (const Index m : {1, 2, 16, 18, 35, 64, 150}) {
        for (const bool transposed : {false, true}) {
          test_parts<double>(n, k, m, transposed);
          test_parts<float>(n, k, m, transposed);
        }
      }
    }
  }
}
TEST("sums read no numbers of others") {
  for (const Index n : {1, 2, 9, 50}) {
    for (const Index m : {1, 2, 7, 17, 18, 70}) {
      test_nan<double>(n, 40, m);
      test_nan<float>(n, 40, m);
    }
  }
}
TEST("products are the sums that define them") {
  for (const Index n : {0, 1, 2, 5, 40}) {
    for (const Index k : {0, 1, 17, 130}) {
      for (const Index m : {1, 2, 3, 17, 33, 64, 150}) {
        test_products<double>(n, k, m, 1e-13);
        test_products<float>(n, k, m, 1e-5);
      }
    }
  }
}
