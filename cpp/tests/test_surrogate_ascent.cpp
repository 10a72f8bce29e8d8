// Minibatch ascent on a surrogate: its step against central differences of the objective, its report, where
// it ends, and several objects at work at once.
#include <limits>
#include <numeric>
#include <thread>

#include "actions.hpp"
#include "check.hpp"
#include "pgcore/parallel.hpp"
#include "pgcore/surrogate_ascent.hpp"

using namespace pgcore;
using testing::vec;

namespace {

constexpr Index obs_dim = 3, rows = 300;  // more than a block
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr SurrogateOptions plain{rows, infinity, 0, 0, infinity, infinity, false, 0};
// Adam whose ε is beyond every gradient steps by rate/ε times the gradient.
constexpr AdamOptions along_the_gradient{1e8 * 1e-3, 0.9, 0.999, 1e8};

template <class T>
struct Problem {
  Problem(const HeadOptions<T>& head, double distance)
      : policy(obs_dim, {6}, Activation::tanh, head),
        theta(testing::normal<T>(policy.num_params(), 1)),
        obs(testing::normal<T>(rows * obs_dim, 3)),
        old_log_probs(static_cast<std::size_t>(rows)),
        actions(policy.discrete(), rows, policy.action_width()),
        m(theta.size()),
        v(theta.size()),
        advantages(testing::normal<double>(rows, 6)) {
    for (T& value : theta) value *= T(0.3);
    const Index A = policy.action_width();
    auto noise = testing::normal<T>(rows * A, 4);
    if (policy.discrete()) {
      for (T& value : noise) value = T(0.5) + T(0.5) * std::tanh(value);
    }
    policy.sample(vec(theta), inputs(), testing::rows(noise, A), actions.to(), vec(old_log_probs));
    const auto away = testing::normal<T>(policy.num_params(), 8);
    for (std::size_t i = 0; i < theta.size(); ++i) theta[i] += static_cast<T>(distance) * away[i];
    for (Index i = 0; i < rows; ++i) order.push_back((i * 7) % rows);
  }

  Inputs<T> inputs() const { return testing::rows(obs, obs_dim); }

  double objective(const std::vector<T>& at, const SurrogateOptions& options) {
    std::vector<T> log_probs(static_cast<std::size_t>(rows)), entropy(log_probs.size());
    policy.log_prob(vec(at), inputs(), actions.of(), vec(log_probs));
    policy.entropy(vec(at), inputs(), vec(entropy));
    double sum = 0;
    for (std::size_t i = 0; i < log_probs.size(); ++i) {
      const double log_ratio = static_cast<double>(log_probs[i]) - static_cast<double>(old_log_probs[i]);
      const double ratio = std::exp(log_ratio), A = advantages[i];
      const double clipped = std::clamp(ratio, 1 - options.clip_range, 1 + options.clip_range);
      sum += std::min(ratio * A, clipped * A) + options.entropy_coef * static_cast<double>(entropy[i]) -
             options.kl_coef * (ratio - 1 - log_ratio);
    }
    return sum / rows;
  }

  SurrogateReport pass(SurrogateAscent<T>& fit, Index batch_size, SurrogateOptions options,
                       const AdamOptions& adam) {
    options.batch_size = batch_size;
    return fit.epoch({vec(theta), vec(m), vec(v), step},
                     {inputs(), actions.of(), vec(advantages), vec(old_log_probs)}, vec(order), options,
                     adam);
  }

  Policy<T> policy;
  std::vector<T> theta, obs, old_log_probs;
  testing::ActionBuffer<T> actions;
  std::vector<T> m, v;
  std::vector<double> advantages;
  std::vector<std::int64_t> order;
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
  SurrogateAscent<double> fit(problem.policy);
  const auto report = problem.pass(fit, rows, options, along_the_gradient);
  for (std::size_t i = 0; i < before.size(); ++i) {
    along += (problem.theta[i] - before[i]) / 1e-3 * direction[i];
  }
  CHECK(std::abs(along - difference) < 1e-5 * (1 + std::abs(difference)));
  CHECK(report.minibatches == 1);
  CHECK(!report.stopped);
  CHECK(report.finite);
  const double reported =
      report.surrogate + options.entropy_coef * report.entropy - options.kl_coef * report.approx_kl;
  CHECK(std::abs(reported - value) < 1e-12 * (1 + std::abs(value)));
}

template <class T>
void check_ends(const HeadOptions<T>& head) {
  Problem<T> problem(head, 0.0);
  SurrogateAscent<T> fit(problem.policy);
  const AdamOptions adam{0.05, 0.9, 0.999, 1e-8};
  CHECK(problem.pass(fit, 64, plain, adam).minibatches == 5);
  CHECK(problem.step == 5);
  auto limited = plain;
  limited.max_kl = 0;
  const auto unchanged = problem.theta;
  const auto report = problem.pass(fit, 64, limited, adam);
  CHECK(report.stopped);
  CHECK(report.minibatches == 0);
  CHECK(problem.step == 5);
  CHECK(problem.theta == unchanged);
  problem.advantages[17] = std::nan("");
  CHECK(!problem.pass(fit, rows, plain, adam).finite);
  CHECK(problem.theta == unchanged);
}

// Objects of their own on one policy: what they share, they only read.
void check_threads(const HeadOptions<float>& head) {
  Problem<float> first(head, 0.1), second(head, 0.1);
  SurrogateAscent<float> of_first(first.policy), of_second(first.policy);
  const AdamOptions adam{0.01, 0.9, 0.999, 1e-8};
  std::thread other([&] { first.pass(of_first, 50, plain, adam); });
  second.pass(of_second, 50, plain, adam);
  other.join();
  CHECK(first.theta == second.theta);
}

// Advantages far from 0, some that rounding alone sets apart, and a minibatch of one.
template <class T>
void check_standardised(const HeadOptions<T>& head, Index count) {
  Policy<T> policy(3, {8}, Activation::tanh, head);
  SurrogateAscent<T> fit(policy);
  const auto P = static_cast<std::size_t>(policy.num_params());
  const auto theta = testing::normal<T>(policy.num_params(), 1);
  const auto obs = testing::normal<T>(count * 3, 2);
  testing::ActionBuffer<T> actions(policy.discrete(), count, 2);
  actions.real = testing::normal<T>(count * 2, 3);
  for (std::size_t i = 0; i < actions.real.size(); ++i) actions.choice[i] = actions.real[i] > 0;
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  const Inputs<T> inputs(testing::rows(obs, 3));
  std::vector<T> old(static_cast<std::size_t>(count));
  policy.log_prob(vec(theta), inputs, actions.of(), vec(old));

  SurrogateReport report;
  const auto moved = [&](const std::vector<double>& advantages, Index batch_size) {
    auto t = theta;
    std::vector<T> m(P), v(P);
    Index step = 0;
    report = fit.epoch({vec(t), vec(m), vec(v), step}, {inputs, actions.of(), vec(advantages), vec(old)},
                       vec(order), {batch_size, 0.2, 0, 0, 1e9, 1e9, true, 1e-14}, {1e-3, 0.9, 0.999, 1e-5});
    CHECK(step == report.minibatches);
    return t;
  };
  const auto ordinary = testing::normal<double>(count, 4);
  auto far = ordinary, equal = ordinary;
  for (double& a : far) a = 1e8 + 2 * a;
  for (double& a : equal) a = 1e8 + 1e-8 * (a > 0);
  const Index batch_size = count - 1;  // leaves a minibatch of one, which keeps its advantage
  const auto by_ordinary = moved(ordinary, count), by_far = moved(far, count);
  CHECK(report.finite);
  CHECK(report.minibatches == 1);
  CHECK(testing::relative_error(by_far, by_ordinary) < 1e-3);
  CHECK(by_ordinary != theta);
  CHECK(moved(equal, count) == theta);
  moved(ordinary, batch_size);
  CHECK(report.minibatches == 2);
  far[1] = std::nan("");
  CHECK(moved(far, count) == theta);
  CHECK(!report.finite);
}

template <class T>
std::vector<HeadOptions<T>> heads() {
  return {{"diagonal", {2}, 0, {}},    {"state", {2}, T(-0.5), {}},
          {"full", {3}, 0, {}},        {"fixed", {2}, 0, {1, 0, T(0.5), 2}},
          {"categorical", {4}, 0, {}}, {"categorical", {2, 3, 1}, 0, {}}};
}

}  // namespace

TEST("a step is the gradient of the surrogate, and the report its parts") {
  parallel::set_num_threads(2);
  for (const auto& head : heads<double>()) {
    check_step(head, plain);
    check_step(head, {rows, 0.1, 0.3, 0.7, infinity, infinity, false, 0});
  }
}
TEST("an epoch ends where it is told to") {
  for (const auto& head : heads<double>()) check_ends(head);
  for (const auto& head : heads<float>()) check_ends(head);
}
TEST("two objects work on one policy at once") {
  for (const auto& head : heads<float>()) check_threads(head);
}
TEST("advantages are standardised, far from zero too") {
  for (const Index count : {2, 33, 700}) {
    check_standardised<float>({"diagonal", {2}, 0, {}}, count);
    check_standardised<double>({"categorical", {2, 2}, 0, {}}, count);
  }
}
