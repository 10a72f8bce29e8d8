// Minibatch regression learns a function, and its gradient limit holds.
#include <numeric>

#include "check.hpp"
#include "pgcore/value_fit.hpp"

using namespace pgcore;

int main() {
  const Index rows = 1000;
  ValueFit<float> fit({1, 32, 1}, Activation::tanh);
  auto theta = testing::normal<float>(fit.num_params(), 1);
  std::vector<float> m(theta.size()), v(theta.size()), targets(rows), predicted(rows);
  const auto x = testing::normal<float>(rows, 2);
  for (Index i = 0; i < rows; ++i)
    targets[static_cast<std::size_t>(i)] = std::sin(2 * x[static_cast<std::size_t>(i)]);
  std::vector<std::int64_t> order(rows);
  std::iota(order.begin(), order.end(), 0);
  Index step = 0;
  double first = 0, last = 0;
  for (int epoch = 0; epoch < 200; ++epoch) {
    last = fit.epoch(theta.data(), m.data(), v.data(), step, x.data(), targets.data(), rows, order.data(),
                     300, 1e9, {3e-3, 0.9, 0.999, 1e-8});
    if (epoch == 0) first = last;
  }
  CHECK(step == 800);  // 1000 rows in minibatches of 300: four a pass
  CHECK(last < 0.02 * first);
  fit.predict(theta.data(), rows, x.data(), predicted.data());
  double square_error = 0;
  for (std::size_t i = 0; i < targets.size(); ++i) square_error += std::pow(predicted[i] - targets[i], 2);
  CHECK(square_error / static_cast<double>(rows) < 0.02 * first);

  // With plain first steps (beta1 = beta2 = 0, a large epsilon) Adam moves by about gradient/epsilon: at most
  // the limit.
  auto moved = theta;
  std::fill(m.begin(), m.end(), 0.0f);
  std::fill(v.begin(), v.end(), 0.0f);
  for (float& t : targets) t += 100;
  fit.epoch(moved.data(), m.data(), v.data(), step, x.data(), targets.data(), rows, order.data(), rows, 0.5,
            {1.0, 0.0, 0.0, 1e6});
  double square = 0;
  for (std::size_t i = 0; i < theta.size(); ++i) {
    square += std::pow(1e6 * (static_cast<double>(m[i]) / 1e6), 2);
  }
  CHECK(std::abs(std::sqrt(square) - 0.5) < 1e-3);

  // A gradient that is not finite ends the pass before its step.
  targets[350] = std::nanf("");  // in the second of four minibatches
  const Index before = step;
  CHECK(std::isnan(fit.epoch(theta.data(), m.data(), v.data(), step, x.data(), targets.data(), rows,
                             order.data(), 300, 1e9, {3e-3, 0.9, 0.999, 1e-8})));
  CHECK(step == before + 1);
  bool finite = true;
  for (const float t : theta) finite = finite && std::isfinite(t);
  CHECK(finite);
  return testing::finish();
}
