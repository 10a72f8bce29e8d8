// Proximal policy optimisation of a policy on a batch (Schulman et al. 2017): minibatch Adam on a surrogate,
// an epoch in one call.
#pragma once

#include <cstdint>
#include <memory>

#include "pgcore/adam.hpp"
#include "pgcore/inputs.hpp"
#include "pgcore/policy.hpp"
#include "pgcore/types.hpp"
#include "pgcore/views.hpp"

namespace pgcore {

// With ρ = π(a|o)/π_old(a|o), the mean over a minibatch of
//   min(ρ A, clamp(ρ, 1 ± clip_range) A) + entropy_coef · H(π(·|o)) − kl_coef · (ρ − 1 − log ρ)
// is ascended; the last term estimates KL(π_old‖π).
struct SurrogateOptions {
  Index batch_size;
  double clip_range;  // infinity for none
  double entropy_coef;
  double kl_coef;
  double max_grad_norm;      // longer gradients are scaled down to it; infinity for none
  double max_kl;             // a minibatch whose mean ρ − 1 − log ρ is larger ends the epoch before its step
  bool normalize_advantage;  // standardise the advantages of each minibatch
  double rounding;           // spread, relative to the advantages' size, that rounding alone may have made
};

// Advantages are double: their mean may be far larger than their differences.
template <class T>
struct SurrogateBatch {
  Inputs<T> obs;
  Actions<const T> actions;
  Vec<const double> advantages;
  Vec<const T> log_probs_old;
};

// Means over the rows that steps were taken on.
struct SurrogateReport {
  Index minibatches = 0;
  bool stopped = false;  // by max_kl
  bool finite = true;    // a gradient that is not finite ends the epoch before its step
  double surrogate = 0, entropy = 0, approx_kl = 0, clip_fraction = 0, gradient_norm = 0;
};

template <class T>
class SurrogateAscent {
 public:
  // The policy must outlive it. One epoch at a time.
  explicit SurrogateAscent(const Policy<T>& policy);
  ~SurrogateAscent();

  // One pass over the rows that `order` names; θ takes an Adam step for each minibatch.
  SurrogateReport epoch(const AdamState<T>& state, const SurrogateBatch<T>& batch,
                        Vec<const std::int64_t> order, const SurrogateOptions& options,
                        const AdamOptions& adam);

 private:
  struct Passes;
  std::unique_ptr<Passes> passes_;
};

}  // namespace pgcore
