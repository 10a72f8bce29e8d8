// Minibatch regression learns a function, and its gradient limit holds.
#include <numeric>

#include "check.hpp"
#include "pgcore/value_fit.hpp"

using namespace pgcore;

namespace {

constexpr Index rows = 1000;

// A network, data that it can learn, and the optimiser's state.
struct Problem {
  Problem() : theta(testing::normal<float>(fit.num_params(), 1)), x(testing::normal<float>(rows, 2)) {
    m.resize(theta.size());
    v.resize(theta.size());
    for (const float value : x) targets.push_back(std::sin(2 * value));
    order.resize(x.size());
    std::iota(order.begin(), order.end(), 0);
  }
  double epoch(Index batch_size, double max_grad_norm, const AdamOptions& adam) {
    using testing::vec;
    return fit.epoch({vec(theta), vec(m), vec(v), step}, inputs(), vec(targets), vec(order),
                     {batch_size, max_grad_norm, adam});
  }

  Inputs<float> inputs() const { return testing::rows(x, 1); }

  ValueFit<float> fit{{1, 32, 1}, Activation::tanh};
  std::vector<float> theta, x, m, v, targets;
  std::vector<std::int64_t> order;
  Index step = 0;
};

}  // namespace

TEST("minibatch regression learns a function") {
  Problem problem;
  double first = 0, last = 0;
  for (int epoch = 0; epoch < 200; ++epoch) {
    last = problem.epoch(300, 1e9, {3e-3, 0.9, 0.999, 1e-8});
    if (epoch == 0) first = last;
  }
  CHECK(problem.step == 800);  // 1000 rows in minibatches of 300: four a pass
  CHECK(last < 0.02 * first);
  std::vector<float> predicted(rows);
  problem.fit.predict(testing::vec(problem.theta), problem.inputs(), testing::vec(predicted));
  double square_error = 0;
  for (std::size_t i = 0; i < predicted.size(); ++i) {
    square_error += std::pow(predicted[i] - problem.targets[i], 2);
  }
  CHECK(square_error / static_cast<double>(rows) < 0.02 * first);
}

// With plain first steps (beta1 = beta2 = 0, a large epsilon) Adam moves by about gradient/epsilon: at most
// the limit.
TEST("a gradient longer than its limit is scaled down to it") {
  Problem problem;
  const auto before = problem.theta;
  for (float& t : problem.targets) t += 100;
  problem.epoch(rows, 0.5, {1.0, 0.0, 0.0, 1e6});
  double of_mean = 0, of_step = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    of_mean += std::pow(static_cast<double>(problem.m[i]), 2);
    of_step += std::pow(1e6 * (static_cast<double>(problem.theta[i]) - static_cast<double>(before[i])), 2);
  }
  CHECK(std::abs(std::sqrt(of_mean) - 0.5) < 1e-3);
  CHECK(std::sqrt(of_step) < 1.0);  // rounded to the parameters' precision
}

TEST("a gradient that is not finite ends the pass before its step") {
  Problem problem;
  problem.targets[350] = std::nanf("");  // in the second of four minibatches
  CHECK(std::isnan(problem.epoch(300, 1e9, {3e-3, 0.9, 0.999, 1e-8})));
  CHECK(problem.step == 1);
  for (const float value : problem.theta) CHECK(std::isfinite(value));
}
