// A policy as Python sees it, shared by the families that take one.
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>

#include "checked_indices.hpp"
#include "exact.hpp"
#include "pgcore/policy.hpp"

namespace pgcore::bindings {

// Actions as the core reads them: choices were checked and copied.
template <class T>
class TakenActions {
 public:
  explicit TakenActions(Rows<const T> reals) : actions_(reals) {}
  TakenActions(Rows<const std::int64_t> choices, const std::vector<Index>& sizes) {
    const Index width = choices.width();
    copy_.emplace("actions", choices.data(), choices.num_rows() * width,
                  [&](Index i) { return sizes[static_cast<std::size_t>(width == 1 ? 0 : i % width)]; });
    actions_ = Rows<const std::int64_t>{copy_->view().data(), choices.num_rows(), width};
  }
  operator Actions<const T>() const { return actions_; }

 private:
  std::optional<CheckedIndices> copy_;
  Actions<const T> actions_;
};

// Checked access to a policy's arrays. Actions are (B, width): T for real ones, int64 for choices.
template <class T>
class PolicyKernels {
 public:
  using Reals = Array<T>;
  using Choices = Array<std::int64_t>;

  PolicyKernels(Index obs_dim, const std::vector<Index>& hidden, const std::string& activation,
                Index action_ndim, const std::string& head, const std::vector<Index>& sizes,
                double init_log_std, const Optional<double>& fixed_tril)
      : policy_(checked_obs_dim(obs_dim, hidden, sizes), hidden, parse_activation(activation),
                {head, sizes, static_cast<T>(init_log_std), copied_tril(fixed_tril, sizes)}),
        choice_sizes_(policy_.discrete() ? sizes : std::vector<Index>{}),
        one_choice_(action_ndim == 0) {
    if (action_ndim < (policy_.action_width() == 1 ? 0 : 1) || action_ndim > 1) {
      throw py::value_error("action_ndim: expected the dimensions of one action, got " +
                            std::to_string(action_ndim));
    }
  }

  Index num_params() const { return policy_.num_params(); }
  Index num_net_params() const { return policy_.num_net_params(); }

  // ---- calls of exact arguments ----

  py::object log_prob(Exact<T>& call) {
    const auto [p, x] = arguments(call);
    const auto actions = read_actions(call, 3, x);
    py::object out = call.result(Shape(x.num_rows()));
    if (call) {
      const TakenActions<T> a = taken(actions);
      const Vec<T> y = vec(out, x);
      compute(work(x), [&, &p = p, &x = x] { policy_.log_prob(p, x, a, y); });
    }
    return out;
  }
  py::object entropy(Exact<T>& call) {
    const auto [p, x] = arguments(call);
    py::object out = call.result(Shape(x.num_rows()));
    if (call) {
      const Vec<T> y = vec(out, x);
      compute(work(x), [&, &p = p, &x = x] { policy_.entropy(p, x, y); });
    }
    return out;
  }
  py::object entropy_gradient(Exact<T>& call) {
    const auto [p, x] = arguments(call);
    py::object out = call.result(Shape(num_params()));
    if (call) {
      const Vec<T> y{call.memory(out), num_params()};
      compute(work(x), [&, &p = p, &x = x] { policy_.entropy_gradient(p, x, y); });
    }
    return out;
  }
  py::object kl(Exact<T>& call) {
    const auto [p, x] = arguments(call);
    const auto old = call.vec(3, num_params());
    py::object out = call.result(Shape(x.num_rows()));
    if (call) {
      const Vec<T> y = vec(out, x);
      compute(work(x), [&, &p = p, &x = x] { policy_.kl(old, p, x, y); });
    }
    return out;
  }
  py::object score_product(Exact<T>& call) {
    const auto [p, x] = arguments(call);
    const auto actions = read_actions(call, 3, x);
    const auto weights = call.vec(4, x.num_rows());
    py::object out = call.result(Shape(num_params()));
    if (call) {
      const TakenActions<T> a = taken(actions);
      const Vec<T> y{call.memory(out), num_params()};
      compute(work(x), [&, &p = p, &x = x] { policy_.score_product(p, x, a, weights, y); });
    }
    return out;
  }
  py::object scores(Exact<T>& call) {
    const auto [p, x] = arguments(call);
    const auto actions = read_actions(call, 3, x);
    py::object out = call.result(Shape(x.num_rows(), num_params()));
    if (call) {
      const TakenActions<T> a = taken(actions);
      const Rows<T> y{call.memory(out), x.num_rows(), num_params()};
      compute(work(x), [&, &p = p, &x = x] { policy_.scores(p, x, a, y); });
    }
    return out;
  }
  py::object score_sq_norms(Exact<T>& call) {
    const auto [p, x] = arguments(call);
    const auto actions = read_actions(call, 3, x);
    py::object out = call.result(Shape(x.num_rows()));
    if (call) {
      const TakenActions<T> a = taken(actions);
      const Vec<T> y = vec(out, x);
      compute(work(x), [&, &p = p, &x = x] { policy_.score_sq_norms(p, x, a, y); });
    }
    return out;
  }
  py::object act(Exact<T>& call) {
    const auto [p, x] = arguments(call);
    const auto noise = call.rows(3, Shape(x.num_rows(), width()));
    py::object out = new_actions(call, 4, x);
    if (call) draw(p, x, noise, written(out, x), {});
    return out;
  }
  // Actions and their log π.
  py::object sample(Exact<T>& call) {
    const auto [p, x] = arguments(call);
    const auto noise = call.rows(3, Shape(x.num_rows(), width()));
    py::object actions = new_actions(call, -1, x), log_probs = call.result(Shape(x.num_rows()));
    if (!call) return py::none();
    draw(p, x, noise, written(actions, x), vec(log_probs, x));
    return pair(actions, log_probs);
  }
  py::object mode(Exact<T>& call) {
    const auto [p, x] = arguments(call);
    py::object out = new_actions(call, -1, x);
    if (call) {
      const Actions<T> a = written(out, x);
      compute(work(x), [&, &p = p, &x = x] { policy_.mode(p, x, a); });
      refuse_undefined(a, p, x);
    }
    return out;
  }

  // ---- other calls ----

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
  TakenActions<T> view(const Reals& actions, Index B) const {
    check_family(false);
    return TakenActions<T>(input_rows("actions", actions, B, width()));
  }
  TakenActions<T> view(const Choices& actions, Index B) const {
    check_family(true);
    return {Rows<const std::int64_t>(input_rows("actions", actions, B, width())), choice_sizes_};
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
  // Parameters, observations and scaling: what calls begin with.
  Arguments arguments(Exact<T>& call) const {
    const auto params = call.vec(0, num_params());
    return {params, bindings::inputs(call, 1, 2, policy_.obs_dim())};
  }
  // One action is a number or an array.
  Shape action_shape(const Inputs<T>& x) const {
    return one_choice_ ? Shape(x.num_rows()) : Shape(x.num_rows(), width());
  }
  // Actions of the policy's kind, not yet checked.
  Actions<const T> read_actions(Exact<T>& call, int i, const Inputs<T>& x) const {
    const Index rows = x.num_rows();
    if (policy_.discrete()) {
      const auto* data = call.template input<std::int64_t>(i, action_shape(x));
      return call ? Rows<const std::int64_t>{data, rows, width()} : Rows<const std::int64_t>{};
    }
    const T* data = call.input(i, action_shape(x));
    return call ? Rows<const T>{data, rows, width()} : Rows<const T>{};
  }
  TakenActions<T> taken(Actions<const T> actions) const {
    const Index rows = actions.num_rows;
    if (!policy_.discrete()) return TakenActions<T>({actions.real, rows, width()});
    return {Rows<const std::int64_t>{actions.choice, rows, width()}, choice_sizes_};
  }
  // A new array for actions, or argument i.
  py::object new_actions(Exact<T>& call, int i, const Inputs<T>& x) const {
    const Shape shape = action_shape(x);
    if (policy_.discrete()) {
      return i < 0 ? call.template result<std::int64_t>(shape) : call.template result<std::int64_t>(i, shape);
    }
    return i < 0 ? call.result(shape) : call.result(i, shape);
  }
  Actions<T> written(const py::object& actions, const Inputs<T>& x) const {
    using Call = Exact<T>;
    const Index rows = x.num_rows();
    if (policy_.discrete()) {
      return Rows<std::int64_t>{Call::template memory<std::int64_t>(actions), rows, width()};
    }
    return Rows<T>{Call::memory(actions), rows, width()};
  }
  static Vec<T> vec(const py::object& array, const Inputs<T>& x) {
    return {Exact<T>::memory(array), x.num_rows()};
  }
  Index work(const Inputs<T>& x) const { return pass_work(x.num_rows(), num_params()); }
  void draw(Vec<const T> params, const Inputs<T>& x, Rows<const T> noise, Actions<T> actions,
            Vec<T> log_probs) {
    compute(work(x), [&] { policy_.sample(params, x, noise, actions, log_probs); });
    refuse_undefined(actions, params, x);
  }
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
  bool one_choice_;
};

}  // namespace pgcore::bindings
