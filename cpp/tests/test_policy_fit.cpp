// A pass of PPO over minibatches, the last of them short: standardised advantages, limits, bad numbers.
#include <numeric>

#include "check.hpp"
#include "pgcore/policy_fit.hpp"

using namespace pgcore;

template <class T>
void run(const HeadOptions<T>& head, Index rows) {
  Policy<T> policy(3, {8}, Activation::tanh, head);
  PolicyFit<T> fit(policy);
  const auto P = static_cast<std::size_t>(policy.num_params());
  const auto theta = testing::normal<T>(policy.num_params(), 1);
  const auto obs = testing::normal<T>(rows * 3, 2), real = testing::normal<T>(rows * 2, 3);
  std::vector<std::int64_t> choice(static_cast<std::size_t>(rows) * 2), order(static_cast<std::size_t>(rows));
  for (std::size_t i = 0; i < choice.size(); ++i) choice[i] = real[i] > 0;
  std::iota(order.begin(), order.end(), 0);
  const Actions<T> actions =
      policy.discrete() ? Actions<T>{nullptr, choice.data()} : Actions<T>{real.data(), nullptr};
  std::vector<T> old(static_cast<std::size_t>(rows));
  policy.log_prob(theta.data(), rows, obs.data(), actions, old.data());

  SurrogateReport report;
  const auto moved = [&](const std::vector<double>& advantages, Index batch_size) {
    auto t = theta;
    std::vector<T> m(P), v(P);
    Index step = 0;
    report = fit.epoch(t.data(), m.data(), v.data(), step, obs.data(), actions, advantages.data(), old.data(),
                       rows, order.data(), batch_size, {0.2, 0, 0, 1e9, 1e9, true, 1e-14},
                       {1e-3, 0.9, 0.999, 1e-5});
    CHECK(step == report.minibatches);
    return t;
  };
  const auto plain = testing::normal<double>(rows, 4);
  auto far = plain, equal = plain;
  for (double& a : far) a = 1e8 + 2 * a;
  for (double& a : equal) a = 1e8 + 1e-8 * (a > 0);
  const Index batch_size = rows - 1;  // leaves a minibatch of one, which keeps its advantage
  const auto by_plain = moved(plain, rows), by_far = moved(far, rows);
  CHECK(report.finite && report.minibatches == 1);
  CHECK(testing::relative_error(by_far, by_plain) < 1e-3);
  CHECK(by_plain != theta);
  CHECK(moved(equal, rows) == theta);
  moved(plain, batch_size);
  CHECK(report.minibatches == 2);
  far[1] = std::nan("");
  CHECK(moved(far, rows) == theta);
  CHECK(!report.finite);
}

int main() {
  for (const Index rows : {2, 33, 700}) {
    run<float>({"diagonal", {2}, 0, {}}, rows);
    run<double>({"categorical", {2, 2}, 0, {}}, rows);
  }
  return testing::finish();
}
