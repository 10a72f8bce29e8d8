// Sums against long double, where lengths end a block of lanes and where squares leave the range.
#include "check.hpp"
#include "math/sums.hpp"

using namespace pgcore;

namespace {

template <class T>
void test_sums(Index count) {
  const testing::Case here("count =", count);
  const auto x = testing::normal<T>(count, 1), y = testing::normal<T>(count, 2);
  long double of_x = 0, product = 0, square = 0;
  for (Index i = 0; i < count; ++i) {
    of_x += static_cast<long double>(x[i]);
    product += static_cast<long double>(x[i]) * static_cast<long double>(y[i]);
    square += static_cast<long double>(x[i]) * static_cast<long double>(x[i]);
  }
  testing::Worst exact, rounded;
  exact.add(lane_sum(count, [&](Index i) { return static_cast<double>(x[i]); }), of_x);
  exact.add(dot(x.data(), y.data(), count), product);
  exact.add(norm(x.data(), count), std::sqrt(square));
  rounded.add(row_sum<T>(count, [&](Index i) { return x[i]; }), of_x);
  CHECK(exact.within(1e-12));
  CHECK(rounded.within(sizeof(T) == 4 ? 1e-5 : 1e-12));
}

template <class T>
void test_norms(T size) {
  const testing::Case here("size", size);
  const std::vector<T> x{3 * size, 0, 4 * size};
  CHECK(std::abs(norm(x.data(), 3) / (5 * static_cast<double>(size)) - 1) < 1e-6);
}

}  // namespace

TEST("sums in lanes are the sums they stand for") {
  for (const Index count : {0, 1, 7, 8, 9, 15, 16, 17, 255, 256, 257, 1000}) {
    test_sums<float>(count);
    test_sums<double>(count);
  }
}
TEST("norms of numbers whose squares leave the range") {
  for (const float size : {1e-37f, 1.0f, 1e37f}) test_norms(size);
  for (const double size : {1e-300, 1e-160, 1.0, 1e160, 1e300}) test_norms(size);
  const double zero[] = {0, 0};
  CHECK(norm(zero, 2) == 0.0);
}
