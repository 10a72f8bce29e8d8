// A policy that acts in one rollout.
#pragma once

#include "policy_kernels.hpp"

namespace pgcore::bindings {

// Samples actions for one vector step after another. What stays the same from step to step is checked once:
// between two steps of an environment, checking arrays takes longer than the network.
template <class T, class A>
class Actor {
 public:
  // The rows of all steps, num_envs to each: obs (rows or more, obs_dim), noise and actions (rows, width).
  // The scaling stays that of the beginning.
  Actor(PolicyKernels<T>& policy, const Array<T>& theta, const py::array& obs, const Scaling& scaling,
        const Array<T>& noise, A& actions, Index num_envs)
      : policy_(policy),
        theta_(theta),
        obs_(obs),
        noise_(noise),
        actions_(actions),
        inputs_(policy.inputs(obs, scaling)),
        num_envs_(num_envs) {
    check_ndim("noise", noise, 2);
    const Index rows = noise.shape(0);
    if (num_envs < 1 || rows % num_envs != 0) {
      throw py::value_error("num_envs: expected a divisor of " + std::to_string(rows) + ", got " +
                            std::to_string(num_envs));
    }
    num_steps_ = rows / num_envs;
    params_ = policy.parameters(theta);
    noise_rows_ = input_rows("noise", noise, rows, policy.width());
    if (obs.shape(0) < rows) {
      throw py::value_error("obs: expected at least " + std::to_string(rows) + " rows, got " +
                            std::to_string(obs.shape(0)));
    }
    out_ = policy.view_out(actions_, rows);
  }

  // The actions of step t ← samples at its observations with its noise.
  void operator()(Index t) {
    if (t < 0 || t >= num_steps_) {
      throw py::index_error("t: expected 0…" + std::to_string(num_steps_ - 1) + ", got " + std::to_string(t));
    }
    const Index first = t * num_envs_;
    const Inputs<T> x = inputs_.part(first, num_envs_);
    const Actions<T> a = out_.part(first, num_envs_);
    {
      const release_gil guard;
      policy_.policy().sample(params_, x, noise_rows_.part(first, num_envs_), a);
    }
    policy_.refuse_undefined(a, params_, x);
  }

 private:
  PolicyKernels<T>& policy_;
  Array<T> theta_;  // these four are kept alive
  py::array obs_;
  Array<T> noise_;
  A actions_;
  Inputs<T> inputs_;
  Index num_envs_, num_steps_;
  Vec<const T> params_;
  Rows<const T> noise_rows_;
  Actions<T> out_;
};

}  // namespace pgcore::bindings
