// Accuracy of the elementary functions against long double, and their edges.
#include <limits>

#include "check.hpp"
#include "math/vecmath.hpp"

using namespace pgcore;

namespace {

template <class T>
double units_in_last_place(T got, long double exact) {
  const T rounded = static_cast<T>(std::abs(exact));
  const T next = std::nextafter(rounded, std::numeric_limits<T>::infinity());
  return static_cast<double>(std::abs(static_cast<long double>(got) - exact) /
                             (static_cast<long double>(next) - static_cast<long double>(rounded)));
}

template <class T, class F, class G>
double worst(T low, T high, F&& f, G&& exact) {
  double largest = 0;
  for (int i = 0; i <= 200000; ++i) {
    const T x = low + (high - low) * static_cast<T>(i) / static_cast<T>(200000);
    largest = std::max(largest, units_in_last_place(f(x), exact(static_cast<long double>(x))));
  }
  return largest;
}

template <class T>
void test_accuracy() {
  const auto exp = [](T x) { return vecmath::exp(x); };
  const auto tanh = [](T x) { return vecmath::tanh(x); };
  const auto log = [](T x) { return vecmath::log_from_one(x); };
  const auto excess = [](T x) { return vecmath::exp_excess(x); };
  const auto exact_exp = [](long double x) { return std::exp(x); };
  const auto exact_tanh = [](long double x) { return std::tanh(x); };
  const auto exact_log = [](long double x) { return std::log(x); };
  // Of what std::expm1 would have to subtract x from, nothing is left near zero: its series instead.
  const auto exact_excess = [](long double x) {
    long double sum = 0, term = x * x / 2;
    for (int k = 3; std::abs(x) < 1 && term != 0 && k < 40; term *= x / k++) sum += term;
    return std::abs(x) < 1 ? sum : std::expm1(x) - x;
  };
  CHECK(worst<T>(-80, 80, exp, exact_exp) < 3);
  CHECK(worst<T>(-1, 1, exp, exact_exp) < 3);
  CHECK(worst<T>(-80, 80, excess, exact_excess) < 5);
  CHECK(worst<T>(-2, 2, excess, exact_excess) < 5);
  CHECK(worst<T>(T(-1e-3), T(1e-3), excess, exact_excess) < 3);
  CHECK(worst<T>(T(-1e-12), T(1e-12), excess, exact_excess) < 3);
  CHECK(worst<T>(T(-1e30), -80, excess, exact_excess) < 2);
  CHECK(worst<T>(-25, 25, tanh, exact_tanh) < 4);
  CHECK(worst<T>(-1, 1, tanh, exact_tanh) < 4);
  CHECK(worst<T>(T(-1e-3), T(1e-3), tanh, exact_tanh) < 4);
  CHECK(worst<T>(1, 2, log, exact_log) < 4);
  CHECK(worst<T>(1, 10000, log, exact_log) < 4);
}

// The cheaper forms give the same bits where they are defined.
template <class T>
void test_forms() {
  const T deepest = vecmath::Format<T>::exp_min * T(1.01),
          moderate = std::log(std::numeric_limits<T>::max()) - T(2);
  bool same = true;
  for (int i = 0; i <= 200000; ++i) {
    const T share = static_cast<T>(i) / static_cast<T>(200000);
    const T below = deepest * share, near = moderate * (2 * share - 1);
    same &= vecmath::exp_to_one(below) == vecmath::exp(below);
    same &= vecmath::exp_moderate(near) == vecmath::exp(near);
  }
  CHECK(same);
  const T nan = std::numeric_limits<T>::quiet_NaN();
  CHECK(std::isnan(vecmath::exp_to_one(nan)));
  CHECK(std::isnan(vecmath::exp_moderate(nan)));
  CHECK(vecmath::exp_to_one(-std::numeric_limits<T>::infinity()) == T(0));
}

template <class T>
void test_edges() {
  using Limits = std::numeric_limits<T>;
  const T infinity = Limits::infinity(), nan = Limits::quiet_NaN();
  CHECK(vecmath::exp(infinity) == infinity);
  CHECK(vecmath::exp(-infinity) == T(0));
  CHECK(vecmath::exp(T(0)) == T(1));
  CHECK(std::isnan(vecmath::exp(nan)));
  CHECK(vecmath::exp(std::log(Limits::max()) * T(1.01)) == infinity);
  const T deep = std::log(Limits::min()) - T(3);  // a subnormal result
  CHECK(std::abs(vecmath::exp(deep) / std::exp(deep) - T(1)) < T(1e-3));
  CHECK(vecmath::exp_excess(T(0)) == T(0));
  CHECK(vecmath::exp_excess(infinity) == infinity);
  CHECK(vecmath::exp_excess(-infinity) == infinity);
  CHECK(vecmath::exp_excess(std::log(Limits::max()) * T(1.01)) == infinity);
  CHECK(std::isnan(vecmath::exp_excess(nan)));
  CHECK(vecmath::tanh(infinity) == T(1));
  CHECK(vecmath::tanh(-infinity) == T(-1));
  CHECK(std::isnan(vecmath::tanh(nan)));
  CHECK(vecmath::tanh(T(0)) == T(0));
  CHECK(std::signbit(vecmath::tanh(T(-0.0))));
  CHECK(vecmath::tanh(Limits::min()) == Limits::min());
  CHECK(vecmath::log_from_one(T(1)) == T(0));
  CHECK(vecmath::log_from_one(infinity) == infinity);
  CHECK(std::isnan(vecmath::log_from_one(nan)));
}

}  // namespace

TEST("elementary functions are accurate to a few units in the last place") {
  test_accuracy<float>();
  test_accuracy<double>();
}
TEST("cheaper forms of the exponential give its bits") {
  test_forms<float>();
  test_forms<double>();
}
TEST("elementary functions at their edges") {
  test_edges<float>();
  test_edges<double>();
}
