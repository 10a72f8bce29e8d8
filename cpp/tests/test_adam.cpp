// Adam: against the algorithm in double, at block edges, and gradients whose squares leave the range.
#include <limits>

#include "check.hpp"
#include "pgcore/adam.hpp"

using namespace pgcore;

namespace {

template <class T>
void test_steps(Index n, double epsilon) {
  const testing::Case here("n =", n, "epsilon =", epsilon);
  const AdamOptions options{0.1, 0.9, 0.999, epsilon};
  std::vector<T> theta(n), m(n), v(n);
  std::vector<double> expected(n), mean(n), square(n);
  for (Index step = 1; step <= 5; ++step) {
    auto gradient = testing::normal<T>(n, static_cast<unsigned>(step));
    gradient[0] = 0;
    adam_step<T>({theta.data(), n}, {gradient.data(), n}, {m.data(), n}, {v.data(), n}, step, options);
    for (Index i = 0; i < n; ++i) {
      const double g = static_cast<double>(gradient[i]), t = static_cast<double>(step);
      mean[i] = 0.9 * mean[i] + 0.1 * g;
      square[i] = 0.999 * square[i] + 0.001 * g * g;
      const double root = std::sqrt(square[i] / (1 - std::pow(0.999, t))) + epsilon;
      if (root > 0) expected[i] -= 0.1 * mean[i] / (1 - std::pow(0.9, t)) / root;
    }
  }
  CHECK(theta[0] == T(0));
  CHECK(testing::relative_error(theta, expected) < (sizeof(T) == 4 ? 1e-5 : 1e-12));
}

// A constant gradient makes steps of the learning rate, whatever its size and its neighbours'.
template <class T>
void test_sizes() {
  const T largest = std::numeric_limits<T>::max(), smallest = std::numeric_limits<T>::min();
  const T sizes[] = {largest, largest / 2, std::sqrt(largest), T(1), std::sqrt(smallest), smallest};
  for (const T size : sizes) {
    for (const Index at : {0, 255, 256, 299}) {
      const testing::Case here("size", size, "at", at);
      std::vector<T> theta(300), m(300), v(300), gradient(300, T(1));
      gradient[at] = -size;
      for (Index step = 1; step <= 20; ++step) {
        adam_step<T>({theta.data(), 300}, {gradient.data(), 300}, {m.data(), 300}, {v.data(), 300}, step,
                     {0.1, 0.9, 0.999, 0.0});
      }
      CHECK(std::abs(theta[at] - T(2)) < T(1e-3));
      CHECK(std::abs(theta[(at + 1) % 300] + T(2)) < T(1e-3));
    }
  }
}

}  // namespace

TEST("Adam's steps are those of the algorithm in double") {
  for (const Index n : {1, 15, 255, 256, 257, 1000}) {
    for (const double epsilon : {0.0, 1e-8, 1e-50}) {
      test_steps<float>(n, epsilon);
      test_steps<double>(n, epsilon);
    }
  }
}
TEST("a constant gradient of any size makes steps of the learning rate") {
  test_sizes<float>();
  test_sizes<double>();
}
