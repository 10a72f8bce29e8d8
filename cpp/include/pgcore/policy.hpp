// A parameterised distribution over actions: a network, a head, and everything that needs the score ∇ log π.
//
// Parameters are one flat vector θ: the network's, then the distribution's free ones. Batches are (B, …),
// row-major. Any number of threads may call at once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pgcore/activation.hpp"
#include "pgcore/inputs.hpp"
#include "pgcore/types.hpp"

namespace pgcore {

// Actions of a batch: real vectors, or integer choices. One of the two is null.
template <class T>
struct Actions {
  const T* real;
  const std::int64_t* choice;
};
// What a choice is where its logits define no probabilities: NaN among them, or infinity, or nothing but −∞.
inline constexpr std::int64_t undefined_choice = -1;
template <class T>
struct ActionsOut {
  T* real;
  std::int64_t* choice;
};

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
  void log_prob(const T* theta, Index B, const Inputs<T>& obs, Actions<T> actions, T* out) const;
  // Samples, and with `log_probs` also evaluates them on the same outputs. `noise` is (B, action_width):
  // standard normal for real actions, uniform on [0, 1) for choices.
  void sample(const T* theta, Index B, const Inputs<T>& obs, const T* noise, ActionsOut<T> actions,
              T* log_probs) const;
  void mode(const T* theta, Index B, const Inputs<T>& obs, ActionsOut<T> actions) const;
  void entropy(const T* theta, Index B, const Inputs<T>& obs, T* out) const;
  // (P,): Σ_i ∇ H(π(·|o_i)).
  void entropy_gradient(const T* theta, Index B, const Inputs<T>& obs, T* out) const;
  // KL(π_old‖π) at every observation.
  void kl(const T* theta_old, const T* theta, Index B, const Inputs<T>& obs, T* out) const;

  // (P,): Σ_i w_i ∇ log π(a_i|o_i).
  void score_product(const T* theta, Index B, const Inputs<T>& obs, Actions<T> actions, const T* weights,
                     T* out) const;
  // (B, P): one score a row.
  void scores(const T* theta, Index B, const Inputs<T>& obs, Actions<T> actions, T* out) const;
  // (E, P): Σ w_i ∇ log π_i inside each episode, whose first rows are starts[0 … E − 1] and whose end is
  // starts[E]; no weights are ones.
  void episode_scores(const T* theta, const Inputs<T>& obs, Actions<T> actions, const T* weights,
                      Index num_episodes, const Index* starts, T* out) const;
  // (B,): ‖∇ log π‖², never forming the rows.
  void score_sq_norms(const T* theta, Index B, const Inputs<T>& obs, Actions<T> actions, T* out) const;

  struct Passes;  // how it works: src/policy/policy_passes.hpp
  const Passes& passes() const { return *passes_; }

 private:
  std::unique_ptr<Passes> passes_;
};

}  // namespace pgcore
