// Least-squares regression of a network on targets: minibatch Adam, an epoch in one call.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "pgcore/activation.hpp"
#include "pgcore/adam.hpp"
#include "pgcore/inputs.hpp"
#include "pgcore/types.hpp"

namespace pgcore {

template <class T>
class ValueFit {
 public:
  ValueFit(std::vector<Index> sizes, Activation activation);
  ~ValueFit();

  Index num_params() const;
  Index num_inputs() const;

  // Any number of threads may predict at once. During an epoch no other call may run.
  void predict(const T* theta, Index B, const Inputs<T>& x, T* out) const;

  // One pass over `order` in minibatches: θ takes an Adam step on the mean of (v(x) − target)² of each, its
  // gradient scaled down to norm `max_grad_norm` where it is longer. Returns the mean loss over the pass. A
  // gradient that is not finite ends the pass before its step, and the loss is not-a-number.
  double epoch(T* theta, T* m, T* v, Index& step, const Inputs<T>& x, const T* targets, Index B,
               const std::int64_t* order, Index batch_size, double max_grad_norm, const AdamOptions& adam);

 private:
  struct Passes;
  std::unique_ptr<Passes> passes_;
};

}  // namespace pgcore
