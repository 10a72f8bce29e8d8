// Heads on their own: what is sampled, the most probable action, entropies as means of −log π, and the Fisher
// matrix by its roots.
#include <numeric>

#include "actions.hpp"
#include "check.hpp"
#include "policy/heads.hpp"

using namespace pgcore;

namespace {

constexpr Index rows = 5;

std::vector<HeadOptions<double>> options() {
  return {{"diagonal", {2}, 0, {}},          {"state", {2}, -0.5, {}},    {"full", {3}, 0, {}},
          {"fixed", {2}, 0, {1, 0, 0.5, 2}}, {"categorical", {4}, 0, {}}, {"categorical", {2, 3, 1}, 0, {}}};
}

struct Problem {
  explicit Problem(const HeadOptions<double>& options)
      : head(make_head(options)), actions(head->discrete, rows, head->action_width) {
    outputs = testing::normal<double>(rows * head->num_outputs, 1);
    for (double& value : outputs) value *= 0.3;
    free_params = testing::normal<double>(head->num_free, 2);
    for (double& value : free_params) value *= 0.3;
  }
  std::vector<double> log_probs() const {
    std::vector<double> result(rows);
    head->log_prob(rows, outputs.data(), free_params.data(), actions.of(), result.data());
    return result;
  }
  // Noise for `draws` samples of every row.
  std::vector<double> noise(Index draws) const {
    auto z = testing::normal<double>(draws * rows * head->action_width, 3);
    for (double& value : z)
      value = head->discrete ? 0.5 * std::erfc(-value / std::sqrt(2.0)) : value;  // uniform
    return z;
  }
  void sample(const std::vector<double>& all, Index draw) {
    head->sample(rows, outputs.data(), free_params.data(), all.data() + draw * rows * head->action_width,
                 actions.to());
  }

  std::unique_ptr<Head<double>> head;
  testing::ActionBuffer<double> actions;
  std::vector<double> outputs, free_params;
};

// No sample is more probable than the mode.
void check_mode(const HeadOptions<double>& of) {
  const testing::Case here(of.kind);
  Problem problem(of);
  problem.head->mode(rows, problem.outputs.data(), problem.free_params.data(), problem.actions.to());
  const auto best = problem.log_probs();
  const auto noise = problem.noise(20);
  for (Index draw = 0; draw < 20; ++draw) {
    problem.sample(noise, draw);
    const auto sampled = problem.log_probs();
    for (std::size_t r = 0; r < sampled.size(); ++r) CHECK(sampled[r] <= best[r] + 1e-12);
  }
}

// What is evaluated at once is what its parts give, to the last bit.
void check_at_once(const HeadOptions<double>& of) {
  const testing::Case here(of.kind);
  Problem problem(of);
  const auto& head = *problem.head;
  problem.sample(problem.noise(1), 0);
  const double *outputs = problem.outputs.data(), *free_params = problem.free_params.data();
  std::vector<double> log_probs(rows), entropies(rows), score(problem.outputs.size()),
      free_score(static_cast<std::size_t>(rows * head.num_free));
  auto separate = std::vector{log_probs, entropies, score, free_score};
  head.entropy(rows, outputs, free_params, separate[1].data());
  head.score(rows, outputs, free_params, problem.actions.of(), separate[2].data(), separate[3].data());
  separate[0] = problem.log_probs();
  head.evaluate(rows, outputs, free_params, problem.actions.of(), log_probs.data(), entropies.data(),
                score.data(), free_score.data());
  CHECK((separate == std::vector{log_probs, entropies, score, free_score}));
}

// Over many samples: the entropy is the mean of −log π, scores have mean zero, and their covariance in the
// outputs is what the roots give and what products multiply by.
void check_fisher(const HeadOptions<double>& of) {
  const testing::Case here(of.kind);
  Problem problem(of);
  const auto& head = *problem.head;
  const Index O = head.num_outputs, E = head.num_free, samples = 4000;
  std::vector<double> entropy(rows), mean(rows), score(static_cast<std::size_t>(rows * O)),
      free_score(static_cast<std::size_t>(rows * E)), mean_score(score.size());
  std::vector<double> covariance(static_cast<std::size_t>(rows * O * O));
  head.entropy(rows, problem.outputs.data(), problem.free_params.data(), entropy.data());
  const auto noise = problem.noise(samples);
  for (Index draw = 0; draw < samples; ++draw) {
    problem.sample(noise, draw);
    const auto log_probs = problem.log_probs();
    head.score(rows, problem.outputs.data(), problem.free_params.data(), problem.actions.of(), score.data(),
               free_score.data());
    for (Index r = 0; r < rows; ++r) {
      mean[r] -= log_probs[r] / static_cast<double>(samples);
      for (Index i = 0; i < O; ++i) {
        mean_score[r * O + i] += score[r * O + i] / static_cast<double>(samples);
        for (Index j = 0; j < O; ++j) {
          covariance[(r * O + i) * O + j] +=
              score[r * O + i] * score[r * O + j] / static_cast<double>(samples);
        }
      }
    }
  }
  testing::Worst of_entropy, of_mean, of_root, of_product;
  for (Index r = 0; r < rows; ++r) of_entropy.add(mean[r], entropy[r]);
  for (const double value : mean_score) of_mean.add(value, 0.0);
  CHECK(of_entropy.within(0.1));
  CHECK(of_mean.within(0.2));

  std::vector<double> state(score.size()), root(score.size()), by_roots(covariance.size());
  head.fisher_state(rows, problem.outputs.data(), state.data());
  for (Index k = 0; k < O; ++k) {
    head.fisher_root(rows, state.data(), problem.free_params.data(), k, root.data());
    for (Index r = 0; r < rows; ++r) {
      for (Index i = 0; i < O; ++i) {
        for (Index j = 0; j < O; ++j) by_roots[(r * O + i) * O + j] += root[r * O + i] * root[r * O + j];
      }
    }
  }
  for (std::size_t i = 0; i < by_roots.size(); ++i) of_root.add(covariance[i], by_roots[i]);
  CHECK(of_root.within(0.2));
  for (Index j = 0; j < O; ++j) {
    std::vector<double> unit(score.size(), 0.0);
    for (Index r = 0; r < rows; ++r) unit[r * O + j] = 1;
    head.fisher_outputs(rows, state.data(), problem.free_params.data(), 3.0, unit.data());
    for (Index r = 0; r < rows; ++r) {
      for (Index i = 0; i < O; ++i) of_product.add(unit[r * O + i], 3 * by_roots[(r * O + i) * O + j]);
    }
  }
  CHECK(of_product.within(1e-12));
}

// Derivatives of the entropy against central differences.
void check_entropy_gradient(const HeadOptions<double>& of) {
  const testing::Case here(of.kind);
  Problem problem(of);
  const auto& head = *problem.head;
  const Index O = head.num_outputs, E = head.num_free;
  const auto along = testing::normal<double>(O, 5), free_along = testing::normal<double>(E, 6);
  std::vector<double> d_outputs(static_cast<std::size_t>(rows * O)),
      d_free(static_cast<std::size_t>(rows * E));
  head.add_entropy_gradient(rows, problem.outputs.data(), 2.0, d_outputs.data(), d_free.data());
  std::vector<double> difference(rows), entropy(rows);
  for (const double h : {1e-5, -1e-5}) {
    auto outputs = problem.outputs, free_params = problem.free_params;
    for (Index i = 0; i < rows * O; ++i) outputs[i] += h * along[i % O];
    for (Index k = 0; k < E; ++k) free_params[k] += h * free_along[k];
    head.entropy(rows, outputs.data(), free_params.data(), entropy.data());
    for (Index r = 0; r < rows; ++r) difference[r] += entropy[r] / (2 * h);
  }
  testing::Worst worst;
  for (Index r = 0; r < rows; ++r) {
    double product = 0;
    for (Index i = 0; i < O; ++i) product += d_outputs[r * O + i] * along[i];
    for (Index k = 0; k < E; ++k) product += d_free[r * E + k] * free_along[k];
    worst.add(product, 2 * difference[r]);
  }
  CHECK(worst.within(1e-6));
}

}  // namespace

TEST("log-probabilities, entropies and scores at once are those of each") {
  for (const auto& of : options()) check_at_once(of);
}
TEST("no sample is more probable than the mode") {
  for (const auto& head : options()) check_mode(head);
}
TEST("entropies, scores and Fisher matrices are means over samples") {
  for (const auto& head : options()) check_fisher(head);
}
TEST("the gradient of the entropy") {
  for (const auto& head : options()) check_entropy_gradient(head);
}
TEST("choices without probabilities are said to be undefined") {
  const auto head = make_head<double>({"categorical", {3}, 0, {}});
  const double infinity = std::numeric_limits<double>::infinity();
  const double logits[] = {0, std::nan(""), 0, infinity, 0, 0, -infinity, -infinity, -infinity, 0, 1, 0};
  const double noise[] = {0.5, 0.5, 0.5, 0.5};
  std::int64_t choice[4];
  head->sample(4, logits, nullptr, noise, Rows<std::int64_t>{choice, 4, 1});
  for (int r = 0; r < 3; ++r) CHECK(choice[r] == undefined_choice);
  CHECK(choice[3] == 1);
  head->mode(4, logits, nullptr, Rows<std::int64_t>{choice, 4, 1});
  for (int r = 0; r < 3; ++r) CHECK(choice[r] == undefined_choice);
  CHECK(choice[3] == 1);
}
TEST("an unknown head is refused by name") {
  std::string what;
  try {
    make_head<float>({"cauchy", {1}, 0, {}});
  } catch (const std::invalid_argument& error) {
    what = error.what();
  }
  CHECK(what ==
        std::string("head: expected 'categorical', 'diagonal', 'state', 'full' or 'fixed', got 'cauchy'"));
}
