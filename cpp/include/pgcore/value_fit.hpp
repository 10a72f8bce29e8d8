// Least-squares regression of a network on targets: minibatch Adam, an epoch in one call.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "pgcore/activation.hpp"
#include "pgcore/adam.hpp"
#include "pgcore/inputs.hpp"
#include "pgcore/types.hpp"
#include "pgcore/views.hpp"

namespace pgcore {

struct ValueFitOptions {
  Index batch_size;
  double max_grad_norm;  // longer gradients are scaled down to it; infinity for none
  AdamOptions adam;
};

template <class T>
class ValueFit {
 public:
  ValueFit(std::vector<Index> sizes, Activation activation);
  ~ValueFit();

  Index num_params() const;
  Index num_inputs() const;

  // Any number of threads may predict at once. During an epoch no other call may run.
  void predict(Vec<const T> theta, const Inputs<T>& x, Vec<T> out) const;

  // One pass over the rows that `order` names, in minibatches: θ takes an Adam step on the mean of (v(x) −
  // target)² of each. Returns the mean loss over the pass. A gradient that is not finite ends the pass before
  // its step, and the loss is not-a-number.
  double epoch(const AdamState<T>& state, const Inputs<T>& x, Vec<const T> targets,
               Vec<const std::int64_t> order, const ValueFitOptions& options);

 private:
  struct Passes;
  std::unique_ptr<Passes> passes_;
};

}  // namespace pgcore
