// A parameterised distribution over actions: a network, a head, and everything that needs the score ∇ log π.
//
// Parameters are one flat vector θ: the network's, then the distribution's free ones. Batches are (B, …),
// row-major. Any number of threads may call at once.
#pragma once

#include <cassert>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "pgcore/activation.hpp"
#include "pgcore/inputs.hpp"
#include "pgcore/types.hpp"
#include "pgcore/views.hpp"

namespace pgcore {

// Actions of a batch, (B, width): real vectors or integer choices, never both; `const T` for those that are
// only read.
template <class T>
struct Actions {
  using Choice = std::conditional_t<std::is_const_v<T>, const std::int64_t, std::int64_t>;

  Actions() = default;  // none at all
  Actions(Rows<T> rows) : real(rows.data()), num_rows(rows.num_rows()), width(rows.width()) {}
  Actions(Rows<Choice> rows) : choice(rows.data()), num_rows(rows.num_rows()), width(rows.width()) {}
  template <class U, class = std::enable_if_t<!std::is_same_v<U, T> && std::is_same_v<const U, T>>>
  Actions(Actions<U> other)
      : real(other.real), choice(other.choice), num_rows(other.num_rows), width(other.width) {}

  bool has_shape(Index rows, Index columns) const { return num_rows == rows && width == columns; }
  Actions part(Index first, Index count) const {
    assert(0 <= first && 0 <= count && first + count <= num_rows);
    if (real) return Rows<T>{real, num_rows, width}.part(first, count);
    return Rows<Choice>{choice, num_rows, width}.part(first, count);
  }

  T* real = nullptr;  // one of the two is null
  Choice* choice = nullptr;
  Index num_rows = 0, width = 0;
};

// What a choice is where its logits define no probabilities: NaN among them, or infinity, or nothing but −∞.
inline constexpr std::int64_t undefined_choice = -1;

// The distribution that a network's outputs define.
template <class T>
struct HeadOptions {
  std::string kind;                // "diagonal", "state", "full", "fixed" (all Gaussian) or "categorical"
  std::vector<Index> sizes;        // how many choices each action dimension has; for a Gaussian one entry, A
  T init_log_std = 0;              // of "state"
  std::vector<double> fixed_tril;  // of "fixed", (A, A)
};

template <class T>
class Policy {
 public:
  Policy(Index obs_dim, const std::vector<Index>& hidden, Activation activation, const HeadOptions<T>& head);
  ~Policy();

  Index num_params() const;
  Index num_net_params() const;
  Index obs_dim() const;
  Index action_width() const;
  bool discrete() const;

  // log π(a_i|o_i).
  void log_prob(Vec<const T> theta, const Inputs<T>& obs, Actions<const T> actions, Vec<T> out) const;
  // Samples; where `log_probs` is not empty also evaluates them on the same outputs. `noise` is (B,
  // action_width): standard normal for real actions, uniform on [0, 1) for choices.
  void sample(Vec<const T> theta, const Inputs<T>& obs, Rows<const T> noise, Actions<T> actions,
              Vec<T> log_probs = {}) const;
  void mode(Vec<const T> theta, const Inputs<T>& obs, Actions<T> actions) const;
  void entropy(Vec<const T> theta, const Inputs<T>& obs, Vec<T> out) const;
  // (P,): Σ_i ∇ H(π(·|o_i)).
  void entropy_gradient(Vec<const T> theta, const Inputs<T>& obs, Vec<T> out) const;
  // KL(π_old‖π) at every observation.
  void kl(Vec<const T> theta_old, Vec<const T> theta, const Inputs<T>& obs, Vec<T> out) const;

  // (P,): Σ_i w_i ∇ log π(a_i|o_i).
  void score_product(Vec<const T> theta, const Inputs<T>& obs, Actions<const T> actions, Vec<const T> weights,
                     Vec<T> out) const;
  // (B, P): one score a row.
  void scores(Vec<const T> theta, const Inputs<T>& obs, Actions<const T> actions, Rows<T> out) const;
  // (E, P): Σ w_i ∇ log π_i inside each episode, whose first rows are starts[0 … E − 1] and whose end is
  // starts[E]; no weights are ones.
  void episode_scores(Vec<const T> theta, const Inputs<T>& obs, Actions<const T> actions,
                      Vec<const T> weights, Vec<const Index> starts, Rows<T> out) const;
  // (B,): ‖∇ log π‖², never forming the rows.
  void score_sq_norms(Vec<const T> theta, const Inputs<T>& obs, Actions<const T> actions, Vec<T> out) const;

  struct Passes;  // how it works: src/policy/policy_passes.hpp
  const Passes& passes() const { return *passes_; }

 private:
  std::unique_ptr<Passes> passes_;
};

}  // namespace pgcore
