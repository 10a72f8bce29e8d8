// Least-squares regression of a network on targets: minibatch Adam, an epoch in one call.
#pragma once

#include <cmath>

#include "pgcore/adam.hpp"
#include "pgcore/batch_pass.hpp"
#include "pgcore/sums.hpp"

namespace pgcore {

template <class T>
class ValueFit {
 public:
  using Block = typename Mlp<T>::Block;

  ValueFit(std::vector<Index> sizes, Activation activation)
      : net_(std::move(sizes), activation), pass_(net_, net_.num_params()), gradient_(net_.num_params()) {}

  const Mlp<T>& net() const { return net_; }

  void predict(const T* theta, Index B, const T* x, const InputScaling<T>& scaling, T* out) {
    pass_.for_rows(B, net_.flops(1), [&](Index first, Index rows, Block& block) {
      net_.load(x + first * net_.num_inputs(), rows, scaling, block);
      net_.forward(theta, rows, block);
      std::copy_n(block.hidden.back(), rows, out + first);
    });
  }

  // One pass over `order` in minibatches: θ takes an Adam step on the mean of (v(x) − target)² of each, its
  // gradient scaled down to norm `max_grad_norm` where it is longer. Returns the mean loss over the pass.
  double epoch(T* theta, T* m, T* v, Index& step, const T* x, const T* targets, Index B,
               const std::int64_t* order, Index batch_size, const InputScaling<T>& scaling,
               double max_grad_norm, const AdamOptions& adam) {
    double loss = 0;
    for (Index begin = 0; begin < B; begin += batch_size) {
      const Index count = std::min(batch_size, B - begin);
      loss += minibatch_gradient(theta, x, targets, order + begin, count, scaling);
      const double length = norm(gradient_.data(), net_.num_params());
      if (length > max_grad_norm) {
        const T shrink = static_cast<T>(max_grad_norm / length);
        for (Index i = 0; i < net_.num_params(); ++i) gradient_.data()[i] *= shrink;
      }
      adam_step(net_.num_params(), theta, gradient_.data(), m, v, ++step, adam);
    }
    return B ? loss / static_cast<double>(B) : 0.0;
  }

 private:
  // gradient_ ← ∇ of the minibatch's mean loss; returns its summed loss.
  double minibatch_gradient(const T* theta, const T* x, const T* targets, const std::int64_t* rows_of,
                            Index count, const InputScaling<T>& scaling) {
    const auto block = pass_.borrow_block();
    std::fill_n(gradient_.data(), net_.num_params(), T(0));
    const T weight = T(2) / static_cast<T>(count);
    double loss = 0;
    for (Index first = 0; first < count; first += Mlp<T>::block_rows) {
      const Index rows = std::min(Mlp<T>::block_rows, count - first);
      const std::int64_t* index = rows_of + first;
      for (Index r = 0; r < rows; ++r) {
        net_.load_row(x + index[r] * net_.num_inputs(), scaling, block->hidden[0] + r * net_.num_inputs());
      }
      net_.forward(theta, rows, *block);
      T *value = block->hidden.back(), *delta = block->delta.back();
      for (Index r = 0; r < rows; ++r) delta[r] = value[r] - targets[index[r]];
      loss += dot(delta, delta, rows);
      for (Index r = 0; r < rows; ++r) delta[r] *= weight;
      net_.backward(theta, rows, *block);
      net_.add_gradient(rows, *block, gradient_.data());
    }
    return loss;
  }

  Mlp<T> net_;
  BatchPass<T> pass_;
  AlignedBuffer<T> gradient_;
};

}  // namespace pgcore
