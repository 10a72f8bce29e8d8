// The vector vocabulary against loops over lanes.
#include <cstdint>
#include <limits>

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
void test_choices() {
  constexpr int N = simd::lanes_in<T>(16);
  using V = simd::Vector<T, N>;
  const T nan = std::numeric_limits<T>::quiet_NaN(), infinity = std::numeric_limits<T>::infinity();
  const auto lane = [](const V& v, int k) { return T(v[k]); };
  V x = V{} + T(2), y = V{} + T(1);
  x[0] = nan;
  y[1] = infinity;
  CHECK(lane(simd::larger(x, y), 0) == T(1));
  CHECK(lane(simd::larger(x, y), 1) == infinity);
  CHECK(lane(simd::if_below(T(1), y), 0) == T(0));
  CHECK(lane(simd::if_below(T(2), y), 0) == T(1));
  CHECK(lane(simd::if_below(T(2), x), 0) == T(0));
  x[1] = infinity;
  CHECK(lane(simd::difference(x, y), 1) == T(0));
  CHECK(std::isnan(lane(simd::difference(x, y), 0)));
  CHECK(lane(simd::difference(V{} + T(5), V{} + T(2)), 0) == T(3));
  for (Index first = -1; first <= N; ++first) {
    for (Index last = first; last <= N + 1; ++last) {
      const V z = simd::only_lanes<T>(first, last, V{} + T(1), V{});
      for (int k = 0; k < N; ++k) CHECK(lane(z, k) == T(first <= k && k < last ? 1 : 0));
    }
  }
  const auto numbers = testing::normal<T>(2, 1);
  const auto wide = simd::load_as_double<2>(numbers.data());
  for (int k = 0; k < 2; ++k)
    CHECK(double(wide[k]) == static_cast<double>(numbers[static_cast<std::size_t>(k)]));
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
TEST("choices between lanes are those between numbers") {
  test_choices<float>();
  test_choices<double>();
}
TEST("masks select by bits") {
  test_masks<float>();
  test_masks<double>();
}
TEST("bytes of any value but 0 let no lane through") {
  const std::uint8_t bytes[] = {0, 1, 0, 128, 255, 0, 0, 2, 0, 0, 7, 0, 1, 1, 0, 0};
  const auto test = [&](auto number) {
    using T = decltype(number);
    constexpr int lanes = simd::lanes_in<T>(simd::register_bytes);
    T numbers[lanes], kept[lanes];
    for (int k = 0; k < lanes; ++k) numbers[k] = k == 3 ? std::numeric_limits<T>::quiet_NaN() : T(k + 1);
    simd::Vector<T, lanes> v;
    simd::load(numbers, v);
    simd::store(simd::where_zero<T>(bytes, v), kept);
    for (int k = 0; k < lanes; ++k) CHECK(kept[k] == (bytes[k] == 0 ? numbers[k] : T(0)));
  };
  test(1.0f);
  test(1.0);
}
