#include "pgcore/value_fit.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <utility>

#include "math/memory.hpp"
#include "math/sums.hpp"
#include "nn/batch_pass.hpp"
#include "nn/network.hpp"

namespace pgcore {

template <class T>
struct ValueFit<T>::Passes {
  Passes(std::vector<Index> sizes, Activation activation)
      : net(std::move(sizes), activation), pass(net, net.num_params()), gradient(net.num_params()) {}

  // gradient ← ∇ of the minibatch's mean loss; returns its summed loss.
  double minibatch_gradient(const T* theta, const Inputs<T>& x, Vec<const T> targets,
                            Vec<const std::int64_t> order) {
    const Index count = order.size();
    const auto block = pass.borrow_block();
    std::fill_n(gradient.data(), net.num_params(), T(0));
    const T weight = T(2) / static_cast<T>(count);
    double loss = 0;
    for (Index first = 0; first < count; first += Network<T>::block_rows) {
      const Index rows = std::min(Network<T>::block_rows, count - first);
      const Vec<const std::int64_t> index = order.part(first, rows);
      net.load(x, index, *block);
      net.forward(theta, rows, *block);
      T *value = block->hidden.back(), *delta = block->delta.back();
      for (Index r = 0; r < rows; ++r) delta[r] = value[r] - targets[index[r]];
      loss += dot(delta, delta, rows);
      for (Index r = 0; r < rows; ++r) delta[r] *= weight;
      net.backward(theta, rows, *block);
      net.add_gradient(rows, *block, gradient.data());
    }
    return loss;
  }

  Network<T> net;
  BatchPass<T> pass;
  AlignedBuffer<T> gradient;
};

template <class T>
ValueFit<T>::ValueFit(std::vector<Index> sizes, Activation activation)
    : passes_(std::make_unique<Passes>(std::move(sizes), activation)) {}
template <class T>
ValueFit<T>::~ValueFit() = default;

template <class T>
Index ValueFit<T>::num_params() const {
  return passes_->net.num_params();
}
template <class T>
Index ValueFit<T>::num_inputs() const {
  return passes_->net.num_inputs();
}

template <class T>
void ValueFit<T>::predict(Vec<const T> theta, const Inputs<T>& x, Vec<T> out) const {
  const auto& net = passes_->net;
  assert(theta.size() == num_params() && x.width() == num_inputs() && out.size() == x.num_rows());
  passes_->pass.for_rows(x.num_rows(), net.flops(1), [&](Index first, Index rows, auto& block) {
    net.load(x, first, rows, block);
    net.forward(theta.data(), rows, block);
    std::copy_n(block.hidden.back(), rows, out.part(first, rows).data());
  });
}

template <class T>
double ValueFit<T>::epoch(const AdamState<T>& state, const Inputs<T>& x, Vec<const T> targets,
                          Vec<const std::int64_t> order, const ValueFitOptions& options) {
  const Index P = num_params(), B = order.size();
  assert(state.theta.size() == P && x.width() == num_inputs() && targets.size() == x.num_rows());
  T* gradient = passes_->gradient.data();
  double loss = 0;
  for (Index begin = 0; begin < B; begin += options.batch_size) {
    const Index count = std::min(options.batch_size, B - begin);
    loss += passes_->minibatch_gradient(state.theta.data(), x, targets, order.part(begin, count));
    const double length = norm(gradient, P);
    if (!std::isfinite(length)) return std::numeric_limits<double>::quiet_NaN();
    if (length > options.max_grad_norm) {
      const T shrink = static_cast<T>(options.max_grad_norm / length);
      for (Index i = 0; i < P; ++i) gradient[i] *= shrink;
    }
    adam_step<T>(state.theta, {gradient, P}, state.m, state.v, ++state.step, options.adam);
  }
  return B ? loss / static_cast<double>(B) : 0.0;
}

template class ValueFit<float>;
template class ValueFit<double>;

}  // namespace pgcore
