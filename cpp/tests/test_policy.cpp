// Every head through a policy: scores against central differences of log π, sums against rows, several
// callers.
#include <thread>

#include "actions.hpp"
#include "check.hpp"
#include "pgcore/fisher.hpp"
#include "pgcore/parallel.hpp"
#include "pgcore/policy.hpp"

using namespace pgcore;
using testing::vec;

namespace {

constexpr Index obs_dim = 3, rows = 300;

void test_scores(const HeadOptions<double>& head) {
  Policy<double> policy(obs_dim, {6}, Activation::tanh, head);
  const Index P = policy.num_params(), A = policy.action_width();
  auto theta = testing::normal<double>(P, 1);
  for (double& value : theta) value *= 0.3;
  const auto direction = testing::normal<double>(P, 2), obs = testing::normal<double>(rows * obs_dim, 3);
  auto noise = testing::normal<double>(rows * A, 4);
  if (policy.discrete()) {
    for (double& value : noise) value = 0.5 + 0.5 * std::tanh(value);
  }
  std::vector<double> log_probs(rows), again(rows);
  testing::ActionBuffer<double> buffer(policy.discrete(), rows, A);
  const Inputs<double> inputs(testing::rows(obs, obs_dim));
  policy.sample(vec(theta), inputs, testing::rows(noise, A), buffer.to(), vec(log_probs));
  const Actions<const double> actions = buffer.of();
  policy.log_prob(vec(theta), inputs, actions, vec(again));
  CHECK(log_probs == again);

  std::vector<double> scores(static_cast<std::size_t>(rows * P));
  policy.scores(vec(theta), inputs, actions, testing::rows(scores, P));
  std::vector<double> along(rows), difference(rows), norms(rows), squares(rows);
  for (Index r = 0; r < rows; ++r) {
    for (Index p = 0; p < P; ++p) {
      const double s = scores[static_cast<std::size_t>(r * P + p)];
      along[static_cast<std::size_t>(r)] += s * direction[static_cast<std::size_t>(p)];
      squares[static_cast<std::size_t>(r)] += s * s;
    }
  }
  const double h = 1e-6;
  for (const double sign : {1.0, -1.0}) {
    auto moved = theta;
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += sign * h * direction[i];
    policy.log_prob(vec(moved), inputs, actions, vec(again));
    for (std::size_t r = 0; r < again.size(); ++r) difference[r] += sign * again[r] / (2 * h);
  }
  CHECK(testing::relative_error(along, difference) < 1e-6);
  policy.score_sq_norms(vec(theta), inputs, actions, vec(norms));
  CHECK(testing::relative_error(norms, squares) < 1e-12);

  const auto weights = testing::normal<double>(rows, 5);
  std::vector<double> product(static_cast<std::size_t>(P)), sum(product.size(), 0.0);
  policy.score_product(vec(theta), inputs, actions, vec(weights), vec(product));
  for (std::size_t i = 0; i < scores.size(); ++i) {
    sum[i % sum.size()] += weights[i / sum.size()] * scores[i];
  }
  CHECK(testing::relative_error(product, sum) < 1e-12);

  // Three episodes, the first of one row and the second of more than a block; with weights they add up to
  // the product, without to the sum of the rows.
  const Index starts[] = {0, 1, 260, rows};
  std::vector<double> episodes(3 * product.size()), total(product.size());
  for (const Vec<const double> w : {vec(weights), Vec<const double>{}}) {
    policy.episode_scores(vec(theta), inputs, actions, w, {starts, 4}, testing::rows(episodes, P));
    std::fill(total.begin(), total.end(), 0.0);
    std::fill(sum.begin(), sum.end(), 0.0);
    for (std::size_t i = 0; i < episodes.size(); ++i) total[i % total.size()] += episodes[i];
    for (std::size_t i = 0; i < scores.size(); ++i)
      sum[i % sum.size()] += (w.empty() ? 1.0 : weights[i / sum.size()]) * scores[i];
    CHECK(testing::relative_error(total, sum) < 1e-12);
    for (std::size_t p = 0; p < sum.size(); ++p) {
      const double first = (w.empty() ? 1.0 : w[0]) * scores[p];
      CHECK(std::abs(episodes[p] - first) < 1e-12 * (1 + std::abs(first)));
    }
  }

  // The empirical Fisher matrix against the rows, with activations kept and not; the exact one along a
  // direction against the KL of a small step, ½ h² vᵀFv.
  std::vector<double> expected(product.size(), 0.0), got(product.size());
  for (std::size_t i = 0; i < scores.size(); ++i)
    expected[i % sum.size()] += along[i / sum.size()] * scores[i] / rows;
  for (const double cache : {0.0, 1e9}) {
    Fisher<double> empirical(policy, vec(theta), inputs, actions, cache);
    CHECK(empirical.cached() == (cache > 0));
    empirical.multiply(vec(direction), vec(got));
    CHECK(testing::relative_error(got, expected) < 1e-12);
  }
  Fisher<double> exact(policy, vec(theta), inputs, {}, 1e9);
  exact.multiply(vec(direction), vec(got));
  double curvature = 0, kl = 0;
  for (std::size_t i = 0; i < got.size(); ++i) curvature += direction[i] * got[i];
  for (const double sign : {1.0, -1.0}) {
    auto moved = theta;
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += sign * 1e-4 * direction[i];
    policy.kl(vec(theta), vec(moved), inputs, vec(again));
    for (const double value : again) kl += value / rows;
  }
  CHECK(std::abs(kl / 1e-8 - curvature) < 1e-4 * curvature);
  std::vector<double> diagonal(product.size()), unit(product.size(), 0.0);
  exact.diagonal(vec(diagonal));
  unit[1] = 1;
  exact.multiply(vec(unit), vec(got));
  CHECK(std::abs(diagonal[1] - got[1]) < 1e-12 * std::abs(got[1]));

  std::vector<std::vector<double>> of_thread(4, std::vector<double>(product.size()));
  std::vector<std::thread> callers;
  for (auto& mine : of_thread) {
    callers.emplace_back([&] { policy.score_product(vec(theta), inputs, actions, vec(weights), vec(mine)); });
  }
  for (auto& caller : callers) caller.join();
  for (const auto& mine : of_thread) CHECK(mine == product);
}

}  // namespace

TEST("scores of every head are the derivatives of log π") {
  parallel::set_num_threads(2);
  test_scores({"diagonal", {2}, 0, {}});
  test_scores({"state", {2}, -0.5, {}});
  test_scores({"full", {3}, 0, {}});
  test_scores({"fixed", {2}, 0, {1, 0, 0.5, 2}});
  test_scores({"categorical", {4}, 0, {}});
  test_scores({"categorical", {2, 3, 1}, 0, {}});
}
