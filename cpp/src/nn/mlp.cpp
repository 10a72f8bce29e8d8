#include "pgcore/mlp.hpp"

#include <algorithm>
#include <utility>

#include "nn/batch_pass.hpp"
#include "nn/network.hpp"

namespace pgcore {

template <class T>
struct Mlp<T>::Passes {
  using Block = typename Network<T>::Block;

  Passes(std::vector<Index> sizes, Activation activation)
      : net(std::move(sizes), activation), pass(net, net.num_params()) {}

  void run(const T* theta, const T* x, Index first, Index rows, Block& block) const {
    net.load(x, first, rows, block);
    net.forward(theta, rows, block);
  }
  void run_back(const T* theta, const T* x, const T* cotangent, Index first, Index rows, Block& block) const {
    run(theta, x, first, rows, block);
    std::copy_n(cotangent + first * net.num_outputs(), rows * net.num_outputs(), block.delta.back());
    net.backward(theta, rows, block);
  }

  Network<T> net;
  BatchPass<T> pass;
};

template <class T>
Mlp<T>::Mlp(std::vector<Index> sizes, Activation activation)
    : passes_(std::make_unique<Passes>(std::move(sizes), activation)) {}
template <class T>
Mlp<T>::~Mlp() = default;

template <class T>
Index Mlp<T>::num_params() const {
  return passes_->net.num_params();
}
template <class T>
Index Mlp<T>::num_inputs() const {
  return passes_->net.num_inputs();
}
template <class T>
Index Mlp<T>::num_outputs() const {
  return passes_->net.num_outputs();
}

template <class T>
void Mlp<T>::forward(const T* theta, Index B, const T* x, T* out) const {
  const auto& net = passes_->net;
  passes_->pass.for_rows(B, net.flops(1), [&](Index first, Index rows, auto& block) {
    passes_->run(theta, x, first, rows, block);
    std::copy_n(block.hidden.back(), rows * net.num_outputs(), out + first * net.num_outputs());
  });
}

template <class T>
void Mlp<T>::vjp(const T* theta, Index B, const T* x, const T* cotangent, T* out) const {
  const auto& net = passes_->net;
  passes_->pass.sum_rows(B, 3 * net.flops(1), out, [&](Index first, Index rows, auto& block, T* sum) {
    passes_->run_back(theta, x, cotangent, first, rows, block);
    net.add_gradient(rows, block, sum);
  });
}

template <class T>
void Mlp<T>::jvp(const T* theta, Index B, const T* x, const T* direction, T* out) const {
  const auto& net = passes_->net;
  passes_->pass.for_rows(B, 3 * net.flops(1), [&](Index first, Index rows, auto& block) {
    passes_->run(theta, x, first, rows, block);
    net.tangent(theta, direction, rows, block);
    std::copy_n(block.delta.back(), rows * net.num_outputs(), out + first * net.num_outputs());
  });
}

template <class T>
void Mlp<T>::per_sample_vjp(const T* theta, Index B, const T* x, const T* cotangent, T* out) const {
  const auto& net = passes_->net;
  passes_->pass.for_rows(B, 3 * net.flops(1), [&](Index first, Index rows, auto& block) {
    passes_->run_back(theta, x, cotangent, first, rows, block);
    for (Index r = 0; r < rows; ++r) net.row_gradient(r, block, out + (first + r) * net.num_params());
  });
}

template class Mlp<float>;
template class Mlp<double>;

}  // namespace pgcore
