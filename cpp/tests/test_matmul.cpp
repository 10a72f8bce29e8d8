// Products of matrices against the sums that define them.
#include "check.hpp"
#include "math/matmul.hpp"

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

}  // namespace

TEST("products are the sums that define them") {
  for (const Index n : {0, 1, 5, 40}) {
    for (const Index k : {0, 1, 17, 130}) {
      for (const Index m : {1, 3, 33}) {
        test_products<double>(n, k, m, 1e-13);
        test_products<float>(n, k, m, 1e-5);
      }
    }
  }
}
