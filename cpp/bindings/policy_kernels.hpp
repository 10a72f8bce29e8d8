// A policy as Python sees it, shared by the families that take one.
#pragma once

#include <algorithm>
#include <cmath>

#include "arrays.hpp"
#include "pgcore/policy.hpp"

namespace pgcore::bindings {

// Choices that were checked and copied: they are used as indices while other threads may write to the
// caller's array.
struct CheckedChoices {
  std::vector<std::int64_t> numbers;
  Index num_rows, width;
  template <class T>
  operator Actions<const T>() const {
    return Rows<const std::int64_t>{numbers.data(), num_rows, width};
  }
};

// Checked access to a policy's arrays. Actions are (B, width): T for real ones, int64 for choices.
template <class T>
class PolicyKernels {
 public:
  using Reals = Array<T>;
  using Choices = Array<std::int64_t>;

  PolicyKernels(Index obs_dim, const std::vector<Index>& hidden, const std::string& activation,
                const std::string& head, const std::vector<Index>& sizes, double init_log_std,
                const Optional<double>& fixed_tril)
      : policy_(checked_obs_dim(obs_dim, hidden, sizes), hidden, parse_activation(activation),
                {head, sizes, static_cast<T>(init_log_std), copied_tril(fixed_tril, sizes)}),
        choice_sizes_(policy_.discrete() ? sizes : std::vector<Index>{}) {}

  Index num_params() const { return policy_.num_params(); }
  Index num_net_params() const { return policy_.num_net_params(); }

  template <class A>
  void log_prob(const Reals& theta, const py::array& obs, const Scaling& scaling, const A& actions,
                Reals& out) {
    const auto [p, x] = arguments(theta, obs, scaling);
    const auto a = view(actions, x.num_rows());
    const auto y = output_vec("out", out, x.num_rows());
    const release_gil guard;
    policy_.log_prob(p, x, a, y);
  }
  template <class A>
  void sample(const Reals& theta, const py::array& obs, const Scaling& scaling, const Reals& noise,
              A& actions, std::optional<Reals>& log_probs) {
    const auto [p, x] = arguments(theta, obs, scaling);
    const auto z = input_rows("noise", noise, x.num_rows(), width());
    const auto a = view_out(actions, x.num_rows());
    const auto y = log_probs ? output_vec("log_probs", *log_probs, x.num_rows()) : Vec<T>{};
    {
      const release_gil guard;
      policy_.sample(p, x, z, a, y);
    }
    refuse_undefined(a, p, x);
  }
  template <class A>
  void mode(const Reals& theta, const py::array& obs, const Scaling& scaling, A& actions) {
    const auto [p, x] = arguments(theta, obs, scaling);
    const auto a = view_out(actions, x.num_rows());
    {
      const release_gil guard;
      policy_.mode(p, x, a);
    }
    refuse_undefined(a, p, x);
  }
  void entropy(const Reals& theta, const py::array& obs, const Scaling& scaling, Reals& out) {
    const auto [p, x] = arguments(theta, obs, scaling);
    const auto y = output_vec("out", out, x.num_rows());
    const release_gil guard;
    policy_.entropy(p, x, y);
  }
  void entropy_gradient(const Reals& theta, const py::array& obs, const Scaling& scaling, Reals& out) {
    const auto [p, x] = arguments(theta, obs, scaling);
    const auto y = output_vec("out", out, num_params());
    const release_gil guard;
    policy_.entropy_gradient(p, x, y);
  }
  void kl(const Reals& theta_old, const Reals& theta, const py::array& obs, const Scaling& scaling,
          Reals& out) {
    const auto [p, x] = arguments(theta, obs, scaling);
    const Vec<const T> old = parameters(theta_old);
    const auto y = output_vec("out", out, x.num_rows());
    const release_gil guard;
    policy_.kl(old, p, x, y);
  }
  template <class A>
  void score_product(const Reals& theta, const py::array& obs, const Scaling& scaling, const A& actions,
                     const Reals& weights, Reals& out) {
    const auto [p, x] = arguments(theta, obs, scaling);
    const auto w = input_vec("weights", weights, x.num_rows());
    const auto a = view(actions, x.num_rows());
    const auto y = output_vec("out", out, num_params());
    const release_gil guard;
    policy_.score_product(p, x, a, w, y);
  }
  template <class A>
  void scores(const Reals& theta, const py::array& obs, const Scaling& scaling, const A& actions,
              Reals& out) {
    const auto [p, x] = arguments(theta, obs, scaling);
    const auto a = view(actions, x.num_rows());
    const auto y = output_rows("out", out, x.num_rows(), num_params());
    const release_gil guard;
    policy_.scores(p, x, a, y);
  }
  // `starts` has E + 1 entries that do not decrease, from 0 to B.
  template <class A>
  void episode_scores(const Reals& theta, const py::array& obs, const Scaling& scaling, const A& actions,
                      const Optional<T>& weights, const Array<std::int64_t>& starts, Reals& out) {
    const auto [p, x] = arguments(theta, obs, scaling);
    const auto w = input_vec("weights", weights, x.num_rows());
    const auto a = view(actions, x.num_rows());
    check_ndim("starts", starts, 1);
    const Index episodes = std::max<Index>(0, starts.shape(0) - 1);
    std::vector<Index> first(starts.data(), starts.data() + starts.shape(0));
    bool valid = !first.empty() && first.front() == 0 && first.back() == x.num_rows();
    for (std::size_t i = 1; valid && i < first.size(); ++i) valid = first[i - 1] <= first[i];
    if (!valid)
      throw py::value_error("starts: expected row numbers from 0 to " + std::to_string(x.num_rows()));
    const auto y = output_rows("out", out, episodes, num_params());
    const release_gil guard;
    policy_.episode_scores(p, x, a, w, {first.data(), episodes + 1}, y);
  }
  template <class A>
  void score_sq_norms(const Reals& theta, const py::array& obs, const Scaling& scaling, const A& actions,
                      Reals& out) {
    const auto [p, x] = arguments(theta, obs, scaling);
    const auto a = view(actions, x.num_rows());
    const auto y = output_vec("out", out, x.num_rows());
    const release_gil guard;
    policy_.score_sq_norms(p, x, a, y);
  }

  // ---- checked arguments ----

  const Policy<T>& policy() const { return policy_; }
  Policy<T>& policy() { return policy_; }
  Index width() const { return policy_.action_width(); }
  Vec<const T> parameters(const Reals& theta) const { return input_vec("params", theta, num_params()); }
  // What nearly every call begins with.
  struct Arguments {
    Vec<const T> params;
    Inputs<T> inputs;
  };
  Arguments arguments(const Reals& theta, const py::array& obs, const Scaling& scaling) const {
    Inputs<T> x = inputs(obs, scaling);
    return {parameters(theta), std::move(x)};
  }
  Inputs<T> inputs(const py::array& obs, const Scaling& scaling) const {
    return bindings::inputs<T>("obs", obs, scaling, policy_.obs_dim());
  }
  // An integer can't be NaN: refuses choices that were made without probabilities, and says why there are
  // none.
  void refuse_undefined(Actions<T> actions, Vec<const T> params, const Inputs<T>& x) const {
    if (!actions.choice) return;
    const std::int64_t *begin = actions.choice, *end = begin + x.num_rows() * width();
    const std::int64_t* found = std::find(begin, end, undefined_choice);
    if (found == end) return;
    const Index row = (found - begin) / width();
    const Index D = policy_.obs_dim();
    const auto obs = [&](Index j) { return x.raw(row, j); };
    Index component = 0;
    while (component < D && std::isfinite(obs(component))) ++component;
    if (component < D) {
      const char* got = std::isnan(obs(component)) ? "nan" : obs(component) > 0 ? "inf" : "-inf";
      throw py::value_error("obs: expected finite numbers, got " + std::string(got) + " in row " +
                            std::to_string(row) + ", component " + std::to_string(component));
    }
    const bool finite = std::all_of(params.data(), params.data() + num_params(),
                                    [](T number) { return std::isfinite(number); });
    throw py::value_error(
        "logits: expected numbers, got nan in row " + std::to_string(row) +
        (finite ? " (the network overflows)" : " (the policy's parameters are not finite)"));
  }
  Actions<const T> view(const Reals& actions, Index B) const {
    check_family(false);
    return input_rows("actions", actions, B, width());
  }
  CheckedChoices view(const Choices& actions, Index B) const {
    check_family(true);
    const std::int64_t* data = input("actions", actions, B, width());
    std::vector<std::int64_t> copy(data, data + B * width());
    for (std::size_t i = 0; i < copy.size(); ++i) {
      const Index size = choice_sizes_[i % choice_sizes_.size()];
      if (copy[i] < 0 || copy[i] >= size) refuse_choice("actions", size, copy[i]);
    }
    return {std::move(copy), B, width()};
  }
  Actions<T> view_out(Reals& actions, Index B) const {
    check_family(false);
    return output_rows("actions", actions, B, width());
  }
  Actions<T> view_out(Choices& actions, Index B) const {
    check_family(true);
    return output_rows("actions", actions, B, width());
  }

 private:
  // Checks all sizes: it comes first.
  static Index checked_obs_dim(Index obs_dim, const std::vector<Index>& hidden,
                               const std::vector<Index>& sizes) {
    positive("obs_dim", {obs_dim});
    if (positive("sizes", sizes).empty()) {
      throw py::value_error("sizes: expected at least one, got none");
    }
    std::vector<Index> layers = positive("hidden", hidden);
    layers.insert(layers.begin(), obs_dim);
    double outputs = 0;
    for (const Index size : sizes) outputs += static_cast<double>(size);
    if (outputs > 1e9) {
      throw py::value_error("sizes: expected at most 1e9 in all, got " + std::to_string(outputs));
    }
    layers.push_back(static_cast<Index>(outputs));
    layer_sizes(layers);
    return obs_dim;
  }
  static std::vector<double> copied_tril(const Optional<double>& tril, const std::vector<Index>& sizes) {
    if (!tril) return {};
    const Index A = sizes.at(0);
    const double* L = input("fixed_tril", *tril, A, A);
    return {L, L + A * A};
  }
  void check_family(bool discrete) const {
    if (discrete != policy_.discrete()) {
      throw py::type_error(discrete ? "actions: expected real numbers, got integers"
                                    : "actions: expected integers, got real numbers");
    }
  }

  Policy<T> policy_;
  std::vector<Index> choice_sizes_;
};

}  // namespace pgcore::bindings
