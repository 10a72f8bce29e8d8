#include "pgcore/mlp.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "nn/batch_pass.hpp"
#include "nn/network.hpp"

namespace pgcore {

template <class T>
struct Mlp<T>::Passes {
  using Block = typename Network<T>::Block;

  Passes(std::vector<Index> sizes, Activation activation)
      : net(std::move(sizes), activation), pass(net, net.num_params()) {}

  void run(Vec<const T> theta, Rows<const T> x, Index first, Index rows, Block& block) const {
    net.load(x, first, rows, block);
    net.forward(theta.data(), rows, block);
  }
  void run_back(Vec<const T> theta, Rows<const T> x, Rows<const T> cotangent, Index first, Index rows,
                Block& block) const {
    run(theta, x, first, rows, block);
    std::copy_n(cotangent.row(first), rows * net.num_outputs(), block.delta.back());
    net.backward(theta.data(), rows, block);
  }
  // Whether parameters, inputs and numbers for every output belong together.
  bool fits(Vec<const T> theta, Rows<const T> x, Rows<const T> of_outputs) const {
    return theta.size() == net.num_params() && x.width() == net.num_inputs() &&
           of_outputs.has_shape(x.num_rows(), net.num_outputs());
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
void Mlp<T>::forward(Vec<const T> theta, Rows<const T> x, Rows<T> out) const {
  const auto& net = passes_->net;
  assert(passes_->fits(theta, x, out));
  passes_->pass.for_rows(x.num_rows(), net.flops(1), [&](Index first, Index rows, auto& block) {
    passes_->run(theta, x, first, rows, block);
    std::copy_n(block.hidden.back(), rows * net.num_outputs(), out.row(first));
  });
}

template <class T>
void Mlp<T>::vjp(Vec<const T> theta, Rows<const T> x, Rows<const T> cotangent, Vec<T> out) const {
  const auto& net = passes_->net;
  assert(passes_->fits(theta, x, cotangent) && out.size() == net.num_params());
  passes_->pass.sum_rows(x.num_rows(), 3 * net.flops(1), out.data(),
                         [&](Index first, Index rows, auto& block, T* sum) {
                           passes_->run_back(theta, x, cotangent, first, rows, block);
                           net.add_gradient(rows, block, sum);
                         });
}

template <class T>
void Mlp<T>::jvp(Vec<const T> theta, Rows<const T> x, Vec<const T> direction, Rows<T> out) const {
  const auto& net = passes_->net;
  assert(passes_->fits(theta, x, out) && direction.size() == net.num_params());
  passes_->pass.for_rows(x.num_rows(), 3 * net.flops(1), [&](Index first, Index rows, auto& block) {
    passes_->run(theta, x, first, rows, block);
    net.tangent(theta.data(), direction.data(), rows, block);
    std::copy_n(block.delta.back(), rows * net.num_outputs(), out.row(first));
  });
}

template <class T>
void Mlp<T>::per_sample_vjp(Vec<const T> theta, Rows<const T> x, Rows<const T> cotangent, Rows<T> out) const {
  const auto& net = passes_->net;
  assert(passes_->fits(theta, x, cotangent) && out.has_shape(x.num_rows(), net.num_params()));
  passes_->pass.for_rows(x.num_rows(), 3 * net.flops(1), [&](Index first, Index rows, auto& block) {
    passes_->run_back(theta, x, cotangent, first, rows, block);
    for (Index r = 0; r < rows; ++r) net.row_gradient(r, block, out.row(first + r));
  });
}

template class Mlp<float>;
template class Mlp<double>;

}  // namespace pgcore
