// Reductions of rows against loops, in registers of every width, and of any number of rows at once.
#include <algorithm>

#include "check.hpp"
#include "math/lanes.hpp"

using namespace pgcore;

namespace {

// The memory of the rows is longer than they are; the numbers after them must not be added.
template <class T, int Bytes, class Op>
std::vector<T> reduced(const std::vector<T>& x, Index rows, Index K, T neutral) {
  std::vector<T> out(static_cast<std::size_t>(rows));
  const auto f = [&](Index r, Index k) {
    Register<T, Bytes> y;
    simd::load(x.data() + r * K + k, y);
    return y;
  };
  reduce_rows<Op, Bytes>(rows, K, neutral, f, out.data());
  return out;
}

template <class T>
void test_rows(Index rows, Index K) {
  const testing::Case here("rows =", rows, "K =", K, "size", sizeof(T));
  auto x = testing::normal<T>(rows * K + lanes<T>, 1);
  std::fill(x.end() - lanes<T>, x.end(), std::numeric_limits<T>::quiet_NaN());
  const T lowest = -std::numeric_limits<T>::infinity();
  const auto sums = reduced<T, simd::register_bytes, Sum>(x, rows, K, T(0));
  const auto tops = reduced<T, simd::register_bytes, Largest>(x, rows, K, lowest);
  testing::Worst of_sums;
  for (Index r = 0; r < rows; ++r) {
    const T* row = x.data() + r * K;
    long double sum = 0;
    for (Index k = 0; k < K; ++k) sum += static_cast<long double>(row[k]);
    of_sums.add(sums[static_cast<std::size_t>(r)], sum);
    CHECK(tops[static_cast<std::size_t>(r)] == *std::max_element(row, row + K));
    // On its own, with what follows in memory.
    const std::vector<T> alone(row, row + K + lanes<T>);
    CHECK((reduced<T, simd::register_bytes, Sum>(alone, 1, K, T(0))[0] == sums[static_cast<std::size_t>(r)]));
  }
  CHECK(of_sums.within(sizeof(T) == 4 ? 1e-5 : 1e-13));
  CHECK((reduced<T, 16, Sum>(x, rows, K, T(0)) == sums));
  CHECK((reduced<T, 16, Largest>(x, rows, K, lowest) == tops));
}

template <class T>
void test_short_rows(Index rows, Index A) {
  const testing::Case here("rows =", rows, "A =", A, "size", sizeof(T));
  const auto x = testing::normal<T>(rows * A, 1);  // nothing beyond the last row may be read
  std::vector<double> sums(static_cast<std::size_t>(rows));
  sum_short_rows(rows, A, x.data(), sums.data());
  testing::Worst worst;
  for (Index r = 0; r < rows; ++r) {
    const std::vector<T> row(x.data() + r * A, x.data() + (r + 1) * A);
    long double sum = 0;
    for (const T y : row) sum += static_cast<long double>(y);
    worst.add(sums[static_cast<std::size_t>(r)], sum);
    double alone = 0;
    sum_short_rows(1, A, row.data(), &alone);
    CHECK(alone == sums[static_cast<std::size_t>(r)]);
  }
  CHECK(worst.within(sizeof(T) == 4 ? 1e-5 : 1e-13));
}

template <class T>
void test_largest_without_numbers() {
  const T nan = std::numeric_limits<T>::quiet_NaN(), lowest = -std::numeric_limits<T>::infinity();
  std::vector<T> x(static_cast<std::size_t>(20 + lanes<T>), nan);
  CHECK((reduced<T, simd::register_bytes, Largest>(x, 1, 20, lowest)[0] == lowest));
  x[19] = T(-3);
  CHECK((reduced<T, simd::register_bytes, Largest>(x, 1, 20, lowest)[0] == T(-3)));
}

}  // namespace

TEST("rows are reduced to what loops give, with the same bits in registers of any width") {
  for (const Index K : {1, 2, 7, 8, 9, 15, 16, 17, 31, 64, 65, 255, 257, 513, 1100}) {
    for (const Index rows : {1, 3, 16, 21}) {
      test_rows<float>(rows, K);
      test_rows<double>(rows, K);
    }
  }
}
TEST("sums of short rows are what loops give, with the same bits for a row on its own") {
  for (Index A = 2; A <= longest_short_row; ++A) {
    for (const Index rows : {1, 3, 4, 5, 8, 18}) {
      test_short_rows<float>(rows, A);
      test_short_rows<double>(rows, A);
    }
  }
}
TEST("a NaN is not the largest of a row") {
  test_largest_without_numbers<float>();
  test_largest_without_numbers<double>();
}
