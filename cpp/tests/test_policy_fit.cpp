// Minibatch ascent on a surrogate: its step against central differences of the objective, its report, where
// it ends, and several objects at work at once.
#include <limits>
#include <thread>

#include "check.hpp"
#include "pgcore/parallel.hpp"
#include "pgcore/policy_fit.hpp"

using namespace pgcore;

namespace {

constexpr Index obs_dim = 3, rows = 300;  // more than a block
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr SurrogateOptions plain{infinity, 0, 0, infinity, infinity, false};
// Adam whose ε is beyond every gradient steps by rate/ε times the gradient.
constexpr AdamOptions along_the_gradient{1e8 * 1e-3, 0.9, 0.999, 1e8};

template <class T>
struct Problem {
  Problem(const HeadOptions<T>& head, double distance)
      : policy(obs_dim, {6}, Activation::tanh, head),
        theta(testing::normal<T>(policy.num_params(), 1)),
        obs(testing::normal<T>(rows * obs_dim, 3)),
        advantages(testing::normal<T>(rows, 6)),
        old_log_probs(static_cast<std::size_t>(rows)),
        m(theta.size()),
        v(theta.size()) {
    for (T& value : theta) value *= T(0.3);
    const Index A = policy.action_width();
    auto noise = testing::normal<T>(rows * A, 4);
    if (policy.discrete()) {
      for (T& value : noise) value = T(0.5) + T(0.5) * std::tanh(value);
    }
    real.resize(static_cast<std::size_t>(rows * A));
    choice.resize(real.size());
    policy.sample(theta.data(), rows, obs.data(), noise.data(),
                  {policy.discrete() ? nullptr : real.data(), policy.discrete() ? choice.data() : nullptr},
                  old_log_probs.data());
    const auto away = testing::normal<T>(policy.num_params(), 8);
    for (std::size_t i = 0; i < theta.size(); ++i) theta[i] += static_cast<T>(distance) * away[i];
    for (Index i = 0; i < rows; ++i) order.push_back((i * 7) % rows);
  }

  Actions<T> actions() const {
    return {policy.discrete() ? nullptr : real.data(), policy.discrete() ? choice.data() : nullptr};
  }

  double objective(const std::vector<T>& at, const SurrogateOptions& options) {
    std::vector<T> log_probs(static_cast<std::size_t>(rows)), entropy(log_probs.size());
    policy.log_prob(at.data(), rows, obs.data(), actions(), log_probs.data());
    policy.entropy(at.data(), rows, obs.data(), entropy.data());
    double sum = 0;
    for (std::size_t i = 0; i < log_probs.size(); ++i) {
      const double log_ratio = static_cast<double>(log_probs[i]) - static_cast<double>(old_log_probs[i]);
      const double ratio = std::exp(log_ratio), A = static_cast<double>(advantages[i]);
      const double clipped = std::clamp(ratio, 1 - options.clip_range, 1 + options.clip_range);
      sum += std::min(ratio * A, clipped * A) + options.entropy_coef * static_cast<double>(entropy[i]) -
             options.kl_coef * (ratio - 1 - log_ratio);
    }
    return sum / rows;
  }

  SurrogateReport pass(PolicyFit<T>& fit, Index batch_size, const SurrogateOptions& options,
                       const AdamOptions& adam) {
    return fit.epoch(theta.data(), m.data(), v.data(), step, obs.data(), actions(), advantages.data(),
                     old_log_probs.data(), rows, order.data(), batch_size, options, adam);
  }

  Policy<T> policy;
  std::vector<T> theta, obs, advantages, old_log_probs, m, v, real;
  std::vector<std::int64_t> choice, order;
  Index step = 0;
};

void check_step(const HeadOptions<double>& head, const SurrogateOptions& options) {
  Problem<double> problem(head, 0.2);
  const auto before = problem.theta;
  const auto direction = testing::normal<double>(problem.policy.num_params(), 2);
  double difference = 0, value = problem.objective(before, options), along = 0;
  for (const double sign : {1.0, -1.0}) {
    auto moved = before;
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += sign * 1e-6 * direction[i];
    difference += sign * problem.objective(moved, options) / 2e-6;
  }
  PolicyFit<double> fit(problem.policy);
  const auto report = problem.pass(fit, rows, options, along_the_gradient);
  for (std::size_t i = 0; i < before.size(); ++i) {
    along += (problem.theta[i] - before[i]) / 1e-3 * direction[i];
  }
  CHECK(std::abs(along - difference) < 1e-5 * (1 + std::abs(difference)));
  CHECK(report.minibatches == 1 && !report.stopped && report.finite);
  const double reported =
      report.surrogate + options.entropy_coef * report.entropy - options.kl_coef * report.approx_kl;
  CHECK(std::abs(reported - value) < 1e-12 * (1 + std::abs(value)));
}

template <class T>
void check_ends(const HeadOptions<T>& head) {
  Problem<T> problem(head, 0.0);
  PolicyFit<T> fit(problem.policy);
  const AdamOptions adam{0.05, 0.9, 0.999, 1e-8};
  CHECK(problem.pass(fit, 64, plain, adam).minibatches == 5 && problem.step == 5);
  auto limited = plain;
  limited.max_kl = 0;
  const auto unchanged = problem.theta;
  const auto report = problem.pass(fit, 64, limited, adam);
  CHECK(report.stopped && report.minibatches == 0 && problem.step == 5 && problem.theta == unchanged);
  problem.advantages[17] = std::numeric_limits<T>::quiet_NaN();
  CHECK(!problem.pass(fit, rows, plain, adam).finite && problem.theta == unchanged);
}

// Objects of their own on one policy: what they share, they only read.
void check_threads(const HeadOptions<float>& head) {
  Problem<float> first(head, 0.1), second(head, 0.1);
  PolicyFit<float> of_first(first.policy), of_second(first.policy);
  const AdamOptions adam{0.01, 0.9, 0.999, 1e-8};
  std::thread other([&] { first.pass(of_first, 50, plain, adam); });
  second.pass(of_second, 50, plain, adam);
  other.join();
  CHECK(first.theta == second.theta);
}

template <class T>
std::vector<HeadOptions<T>> heads() {
  return {{"diagonal", {2}, 0, {}},    {"state", {2}, T(-0.5), {}},
          {"full", {3}, 0, {}},        {"fixed", {2}, 0, {1, 0, T(0.5), 2}},
          {"categorical", {4}, 0, {}}, {"categorical", {2, 3, 1}, 0, {}}};
}

}  // namespace

int main() {
  parallel::set_num_threads(2);
  for (const auto& head : heads<double>()) {
    check_step(head, plain);
    check_step(head, {0.1, 0.3, 0.7, infinity, infinity, false});
    check_ends(head);
  }
  for (const auto& head : heads<float>()) {
    check_ends(head);
    check_threads(head);
  }
  return testing::finish();
}
