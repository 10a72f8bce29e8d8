// Every head through a policy: scores against central differences of log π, sums against rows, several
// callers.
#include <thread>

#include "check.hpp"
#include "pgcore/fisher.hpp"
#include "pgcore/parallel.hpp"
#include "pgcore/policy.hpp"

using namespace pgcore;

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
  std::vector<double> real(static_cast<std::size_t>(rows * A)), log_probs(rows), again(rows);
  std::vector<std::int64_t> choice(real.size());
  const ActionsOut<double> out{policy.discrete() ? nullptr : real.data(),
                               policy.discrete() ? choice.data() : nullptr};
  policy.sample(theta.data(), rows, obs.data(), noise.data(), out, log_probs.data());
  const Actions<double> actions{out.real, out.choice};
  policy.log_prob(theta.data(), rows, obs.data(), actions, again.data());
  CHECK(log_probs == again);

  std::vector<double> scores(static_cast<std::size_t>(rows * P));
  policy.scores(theta.data(), rows, obs.data(), actions, scores.data());
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
    policy.log_prob(moved.data(), rows, obs.data(), actions, again.data());
    for (std::size_t r = 0; r < again.size(); ++r) difference[r] += sign * again[r] / (2 * h);
  }
  CHECK(testing::relative_error(along, difference) < 1e-6);
  policy.score_sq_norms(theta.data(), rows, obs.data(), actions, norms.data());
  CHECK(testing::relative_error(norms, squares) < 1e-12);

  const auto weights = testing::normal<double>(rows, 5);
  std::vector<double> product(static_cast<std::size_t>(P)), sum(product.size(), 0.0);
  policy.score_product(theta.data(), rows, obs.data(), actions, weights.data(), product.data());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    sum[i % sum.size()] += weights[i / sum.size()] * scores[i];
  }
  CHECK(testing::relative_error(product, sum) < 1e-12);

  // Three episodes, the first of one row and the second of more than a block; with weights they add up to
  // the product, without to the sum of the rows.
  const Index starts[] = {0, 1, 260, rows};
  std::vector<double> episodes(3 * product.size()), total(product.size());
  for (const double* w : {weights.data(), static_cast<const double*>(nullptr)}) {
    policy.episode_scores(theta.data(), obs.data(), actions, w, 3, starts, episodes.data());
    std::fill(total.begin(), total.end(), 0.0);
    std::fill(sum.begin(), sum.end(), 0.0);
    for (std::size_t i = 0; i < episodes.size(); ++i) total[i % total.size()] += episodes[i];
    for (std::size_t i = 0; i < scores.size(); ++i)
      sum[i % sum.size()] += (w ? w[i / sum.size()] : 1.0) * scores[i];
    CHECK(testing::relative_error(total, sum) < 1e-12);
    for (std::size_t p = 0; p < sum.size(); ++p) {
      const double first = (w ? w[0] : 1.0) * scores[p];
      CHECK(std::abs(episodes[p] - first) < 1e-12 * (1 + std::abs(first)));
    }
  }

  // The empirical Fisher matrix against the rows, with activations kept and not; the exact one along a
  // direction against the KL of a small step, ½ h² vᵀFv.
  std::vector<double> expected(product.size(), 0.0), got(product.size());
  for (std::size_t i = 0; i < scores.size(); ++i)
    expected[i % sum.size()] += along[i / sum.size()] * scores[i] / rows;
  for (const double cache : {0.0, 1e9}) {
    Fisher<double> empirical(policy, theta.data(), rows, obs.data(), actions, cache);
    CHECK(empirical.cached() == (cache > 0));
    empirical.multiply(direction.data(), got.data());
    CHECK(testing::relative_error(got, expected) < 1e-12);
  }
  Fisher<double> exact(policy, theta.data(), rows, obs.data(), {nullptr, nullptr}, 1e9);
  exact.multiply(direction.data(), got.data());
  double curvature = 0, kl = 0;
  for (std::size_t i = 0; i < got.size(); ++i) curvature += direction[i] * got[i];
  for (const double sign : {1.0, -1.0}) {
    auto moved = theta;
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += sign * 1e-4 * direction[i];
    policy.kl(theta.data(), moved.data(), rows, obs.data(), again.data());
    for (const double value : again) kl += value / rows;
  }
  CHECK(std::abs(kl / 1e-8 - curvature) < 1e-4 * curvature);
  std::vector<double> diagonal(product.size()), unit(product.size(), 0.0);
  exact.diagonal(diagonal.data());
  unit[1] = 1;
  exact.multiply(unit.data(), got.data());
  CHECK(std::abs(diagonal[1] - got[1]) < 1e-12 * std::abs(got[1]));

  std::vector<std::vector<double>> of_thread(4, std::vector<double>(product.size()));
  std::vector<std::thread> callers;
  for (auto& mine : of_thread) {
    callers.emplace_back(
        [&] { policy.score_product(theta.data(), rows, obs.data(), actions, weights.data(), mine.data()); });
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
