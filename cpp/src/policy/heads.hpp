// Output spaces: what turns a network's outputs into a distribution over actions.
//
// A head sees a block of rows: the outputs (rows, num_outputs) and, shared by all rows, `free_params`, the
// parameters that do not belong to the network. Policy families differ in their head alone.
#pragma once

#include <memory>

#include "pgcore/policy.hpp"
#include "pgcore/types.hpp"

namespace pgcore {

template <class T>
class Head {
 public:
  Head(Index outputs, Index free_params, Index width, bool choices)
      : num_outputs(outputs), num_free(free_params), action_width(width), discrete(choices) {}
  virtual ~Head() = default;

  const Index num_outputs, num_free, action_width;
  const bool discrete;

  virtual void log_prob(Index rows, const T* outputs, const T* free_params, Actions<const T> actions,
                        T* out) const = 0;
  // Derivatives of log π: d_outputs (rows, num_outputs), d_free (rows, num_free).
  virtual void score(Index rows, const T* outputs, const T* free_params, Actions<const T> actions,
                     T* d_outputs, T* d_free) const = 0;
  // log π, the entropy and the score at once.
  virtual void evaluate(Index rows, const T* outputs, const T* free_params, Actions<const T> actions,
                        T* log_probs, T* entropies, T* d_outputs, T* d_free) const {
    log_prob(rows, outputs, free_params, actions, log_probs);
    entropy(rows, outputs, free_params, entropies);
    score(rows, outputs, free_params, actions, d_outputs, d_free);
  }
  // `noise` is (rows, action_width): standard normal for real actions, uniform on [0, 1) for choices.
  virtual void sample(Index rows, const T* outputs, const T* free_params, const T* noise,
                      Actions<T> actions) const = 0;
  virtual void mode(Index rows, const T* outputs, const T* free_params, Actions<T> actions) const = 0;
  virtual void entropy(Index rows, const T* outputs, const T* free_params, T* out) const = 0;
  // Adds scale · ∂ entropy to d_outputs and d_free, row by row.
  virtual void add_entropy_gradient(Index rows, const T* outputs, T scale, T* d_outputs, T* d_free) const = 0;
  // KL(old‖new).
  virtual void kl(Index rows, const T* outputs_old, const T* free_old, const T* outputs, const T* free_params,
                  T* out) const = 0;

  // The Fisher matrix E[s sᵀ] of a row's distribution is block-diagonal: a block for the outputs, which
  // depends on the row, and one for `free_params`, which does not. `state` (rows, num_outputs) keeps what the
  // rows' blocks need.
  virtual void fisher_state(Index rows, const T* outputs, T* state) const = 0;
  // x (rows, num_outputs) ← scale · block · x, row by row.
  virtual void fisher_outputs(Index rows, const T* state, const T* free_params, T scale, T* x) const = 0;
  // Column k of a matrix S with S Sᵀ = the outputs' block, for every row: x (rows, num_outputs).
  virtual void fisher_root(Index rows, const T* state, const T* free_params, Index k, T* x) const = 0;
  // out (num_free) ← block · v.
  virtual void fisher_free(const T* free_params, const T* v, T* out) const = 0;
};

template <class T>
std::unique_ptr<Head<T>> make_head(const HeadOptions<T>& options);

}  // namespace pgcore
