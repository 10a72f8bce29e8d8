// The vector vocabulary against loops over lanes.
#include "check.hpp"
#include "math/simd.hpp"

using namespace pgcore;

namespace {

template <class T, int N>
void test_vectors() {
  using V = simd::Vector<T, N>;
  const testing::Case here("size", sizeof(T), "lanes", N);
  const auto x = testing::normal<T>(N, 1), y = testing::normal<T>(N, 2);
  V a, b, shifted;
  simd::load(x.data(), a);
  simd::load(y.data(), b);
  std::vector<T> product(N), expected(N);
  simd::store(V(a * b + T(2) * a), product.data());
  for (std::size_t k = 0; k < N; ++k) expected[k] = x[k] * y[k] + T(2) * x[k];
  CHECK(product == expected);
  if constexpr (N > 1) {
    simd::shift<N / 2, N>(a, b, shifted);
    simd::store(shifted, product.data());
    for (std::size_t k = 0; k < N; ++k) expected[k] = k + N / 2 < N ? x[k + N / 2] : y[k - N / 2];
    CHECK(product == expected);
  }
  std::vector<T> halves = x;
  for (std::size_t half = N / 2; half > 0; half /= 2) {
    for (std::size_t k = 0; k < half; ++k) halves[k] += halves[k + half];
  }
  CHECK(simd::sum_of_lanes<T>(a) == halves[0]);
}

template <class T>
void test_masks() {
  CHECK(simd::select(simd::mask<T>(true), T(1), T(2)) == T(1));
  CHECK(simd::select(simd::mask<T>(false), T(1), T(2)) == T(2));
  const T nan = std::numeric_limits<T>::quiet_NaN();
  CHECK(simd::select(simd::mask<T>(false), nan, T(2)) == T(2));
  CHECK(std::isnan(simd::select(simd::mask<T>(true), nan, T(2))));
  CHECK(simd::select_or_zero(simd::mask<T>(false), nan) == T(0));
  CHECK(simd::select_or_zero(simd::mask<T>(true), T(-3)) == T(-3));
  CHECK(simd::bit_cast<T>(simd::bit_cast<simd::Bits<T>>(T(-0.5))) == T(-0.5));
}

}  // namespace

TEST("operations on vectors are operations on lanes") {
  test_vectors<float, 1>();
  test_vectors<float, 4>();
  test_vectors<float, 8>();
  test_vectors<float, 16>();
  test_vectors<double, 2>();
  test_vectors<double, 4>();
  test_vectors<double, 8>();
}
TEST("masks select by bits") {
  test_masks<float>();
  test_masks<double>();
}
