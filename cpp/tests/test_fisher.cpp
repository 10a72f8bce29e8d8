// The Fisher matrix as an operator: its factors against the rows they are means of, and its products, kept
// activations or not, against the matrix of all scores.
#include <algorithm>

#include "actions.hpp"
#include "check.hpp"
#include "pgcore/fisher.hpp"
#include "pgcore/parallel.hpp"

using namespace pgcore;
using testing::vec;

namespace {

constexpr Index obs_dim = 3, rows = 300;

template <class T>
void check_factors(const HeadOptions<T>& head, double tolerance) {
  const testing::Case here(head.kind);
  Policy<T> policy(obs_dim, {6, 5}, Activation::tanh, head);
  auto theta = testing::normal<T>(policy.num_params(), 1);
  for (T& value : theta) value *= T(0.3);
  const auto obs = testing::normal<T>(rows * obs_dim, 3);
  Fisher<T> fisher(policy, vec(theta), testing::rows(obs, obs_dim), {}, 1e9);
  const auto sizes = fisher.layer_sizes();
  const std::size_t layers = sizes.size() - 1;
  const Index roots = fisher.num_roots();

  std::vector<std::vector<T>> hidden, delta, inputs, outputs;
  std::vector<Rows<T>> to_hidden, to_delta, to_inputs, to_outputs;
  const auto make = [](std::vector<std::vector<T>>& all, std::vector<Rows<T>>& to, Index num_rows,
                       Index width) {
    all.emplace_back(static_cast<std::size_t>(num_rows * width));
    to.push_back(testing::rows(all.back(), width));
  };
  for (std::size_t l = 0; l < layers; ++l) {
    make(hidden, to_hidden, rows, sizes[l]);
    make(delta, to_delta, rows * roots, sizes[l + 1]);
    make(inputs, to_inputs, sizes[l] + 1, sizes[l] + 1);
    make(outputs, to_outputs, sizes[l + 1], sizes[l + 1]);
  }
  fisher.factors(to_hidden, to_delta, {});
  fisher.kronecker_factors(to_inputs, to_outputs);
  for (std::size_t l = 0; l < layers; ++l) {
    const auto in = static_cast<std::size_t>(sizes[l]), out = static_cast<std::size_t>(sizes[l + 1]);
    std::vector<double> A((in + 1) * (in + 1)), G(out * out);
    for (std::size_t r = 0; r < rows; ++r) {
      const auto h = [&](std::size_t j) {
        return j == in ? 1.0 : static_cast<double>(hidden[l][r * in + j]);
      };
      for (std::size_t i = 0; i <= in; ++i) {
        for (std::size_t j = 0; j <= in; ++j) A[i * (in + 1) + j] += h(i) * h(j) / rows;
      }
    }
    for (std::size_t k = 0; k < delta[l].size(); k += out) {
      const T* d = delta[l].data() + k;
      for (std::size_t i = 0; i < out; ++i) {
        for (std::size_t j = 0; j < out; ++j) {
          G[i * out + j] += static_cast<double>(d[i]) * static_cast<double>(d[j]) / rows;
        }
      }
    }
    CHECK(testing::relative_error(inputs[l], A) < tolerance);
    CHECK(testing::relative_error(outputs[l], G) < tolerance);
  }

  // The block of the free parameters is what products with unit vectors show.
  const Index free_params = fisher.num_free(), P = fisher.num_params();
  std::vector<T> block(static_cast<std::size_t>(free_params * free_params)),
      unit(static_cast<std::size_t>(P)), column(unit.size());
  fisher.free_block({block.data(), free_params, free_params});
  testing::Worst of_block;
  for (Index k = 0; k < free_params; ++k) {
    std::fill(unit.begin(), unit.end(), T(0));
    unit[static_cast<std::size_t>(P - free_params + k)] = 1;
    fisher.multiply(vec(unit), vec(column));
    for (Index i = 0; i < free_params; ++i) {
      const double got = static_cast<double>(block[static_cast<std::size_t>(i * free_params + k)]);
      of_block.add(static_cast<double>(column[static_cast<std::size_t>(P - free_params + i)]), got);
    }
  }
  CHECK(of_block.within(tolerance));
}

// F v = (1/B) Σ s (sᵀ v) with the scores as rows, with activations kept and computed again, by one thread and
// two.
template <class T>
void check_empirical(const HeadOptions<T>& head, double tolerance) {
  const testing::Case here(head.kind);
  Policy<T> policy(obs_dim, {6, 5}, Activation::tanh, head);
  auto theta = testing::normal<T>(policy.num_params(), 1);
  for (T& value : theta) value *= T(0.3);
  const auto obs = testing::normal<T>(rows * obs_dim, 3);
  testing::ActionBuffer<T> buffer(policy.discrete(), rows, policy.action_width());
  buffer.real = testing::normal<T>(rows * policy.action_width(), 4);
  for (std::size_t i = 0; i < buffer.choice.size(); ++i) buffer.choice[i] = i % 2;
  const Actions<const T> actions = buffer.of();
  const Inputs<T> inputs(testing::rows(obs, obs_dim));
  const Index P = policy.num_params();
  std::vector<T> scores(static_cast<std::size_t>(rows * P));
  policy.scores(vec(theta), inputs, actions, testing::rows(scores, P));
  const auto v = testing::normal<T>(P, 5);
  std::vector<double> product(v.size()), squares(v.size());
  for (std::size_t r = 0; r < rows; ++r) {
    const T* s = scores.data() + r * v.size();
    double along = 0;
    for (std::size_t i = 0; i < v.size(); ++i) along += static_cast<double>(s[i]) * static_cast<double>(v[i]);
    for (std::size_t i = 0; i < v.size(); ++i) {
      product[i] += static_cast<double>(s[i]) * along / rows;
      squares[i] += static_cast<double>(s[i]) * static_cast<double>(s[i]) / rows;
    }
  }
  std::vector<std::vector<T>> results;
  for (const double bytes : {1e9, 0.0}) {
    Fisher<T> fisher(policy, vec(theta), inputs, actions, bytes);
    CHECK(fisher.cached() == (bytes > 0));
    CHECK(fisher.num_rows() == rows);
    CHECK(fisher.num_roots() == 1);
    for (const int threads : {1, 2}) {
      parallel::set_num_threads(threads);
      results.emplace_back(v.size());
      fisher.multiply(vec(v), vec(results.back()));
    }
    std::vector<T> diagonal(v.size());
    fisher.diagonal(vec(diagonal));
    CHECK(testing::relative_error(diagonal, squares) < tolerance);
  }
  CHECK(testing::relative_error(results[0], product) < tolerance);
  for (const auto& other : results) CHECK(other == results[0]);
}

}  // namespace

TEST("factors of the exact form are means over rows and roots") {
  parallel::set_num_threads(2);
  check_factors<double>({"diagonal", {2}, 0, {}}, 1e-12);
  check_factors<double>({"full", {2}, 0, {}}, 1e-12);
  check_factors<double>({"categorical", {4}, 0, {}}, 1e-12);
  check_factors<float>({"diagonal", {2}, 0, {}}, 1e-5);
  check_factors<float>({"state", {2}, 0, {}}, 1e-5);
}
TEST("the empirical form is the mean of the scores' outer products") {
  check_empirical<double>({"diagonal", {2}, 0, {}}, 1e-11);
  check_empirical<double>({"full", {2}, 0, {}}, 1e-11);
  check_empirical<double>({"state", {2}, 0, {}}, 1e-11);
  check_empirical<double>({"categorical", {2, 3}, 0, {}}, 1e-11);
  check_empirical<float>({"diagonal", {2}, 0, {}}, 1e-4);
}
