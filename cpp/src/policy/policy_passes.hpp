// What a policy is made of, and passes over blocks of rows that its methods and its Fisher matrix share.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "math/memory.hpp"
#include "nn/batch_pass.hpp"
#include "nn/network.hpp"
#include "pgcore/activation.hpp"
#include "pgcore/inputs.hpp"
#include "pgcore/policy.hpp"
#include "pgcore/types.hpp"
#include "pgcore/views.hpp"
#include "policy/heads.hpp"

namespace pgcore {

inline std::vector<Index> layer_sizes(Index obs_dim, std::vector<Index> hidden, Index num_outputs) {
  hidden.insert(hidden.begin(), obs_dim);
  hidden.push_back(num_outputs);
  return hidden;
}

template <class T>
struct Policy<T>::Passes {
  using Block = typename Network<T>::Block;

  Passes(Index obs_dim, const std::vector<Index>& hidden, Activation activation,
         std::unique_ptr<Head<T>> made)
      : net(layer_sizes(obs_dim, hidden, made->num_outputs), activation),
        head(std::move(made)),
        pass(net, num_params()) {}

  Index num_params() const { return net.num_params() + head->num_free; }
  const T* free_params(Vec<const T> theta) const { return theta.data() + net.num_params(); }
  // Whether parameters and a batch belong together.
  bool fits(Vec<const T> theta, const Inputs<T>& obs) const {
    return theta.size() == num_params() && obs.width() == net.num_inputs();
  }
  template <class A>
  bool fits(Vec<const T> theta, const Inputs<T>& obs, const Actions<A>& actions) const {
    return fits(theta, obs) && actions.has_shape(obs.num_rows(), head->action_width);
  }

  // f(first, rows, outputs, block) with the network's outputs (rows, num_outputs).
  template <class F>
  void for_outputs(Vec<const T> theta, const Inputs<T>& obs, F&& f) const {
    pass.for_rows(obs.num_rows(), net.flops(1), [&](Index first, Index rows, Block& block) {
      net.load(obs, first, rows, block);
      net.forward(theta.data(), rows, block);
      f(first, rows, block.hidden.back(), block);
    });
  }

  // Cotangents of w_i log π_i in block.delta and d_free (rows, num_free); no weights are ones.
  void back(Vec<const T> theta, Index first, Index rows, const Inputs<T>& obs, Actions<const T> actions,
            Vec<const T> weights, Block& block, T* d_free) const {
    net.load(obs, first, rows, block);
    net.forward(theta.data(), rows, block);
    head->score(rows, block.hidden.back(), free_params(theta), actions.part(first, rows), block.delta.back(),
                d_free);
    if (!weights.empty()) {
      const T* w = weights.part(first, rows).data();
      weigh(rows, net.num_outputs(), w, block.delta.back());
      weigh(rows, head->num_free, w, d_free);
    }
    net.backward(theta.data(), rows, block);
  }
  static void weigh(Index rows, Index width, const T* weights, T* x) {
    for (Index r = 0; r < rows; ++r) {
      for (Index j = 0; j < width; ++j) x[r * width + j] *= weights[r];
    }
  }

  // sum (P,) += Σ_i w_i ∇ log π_i over rows first … first + rows − 1.
  void add_scores(Vec<const T> theta, Index first, Index rows, const Inputs<T>& obs, Actions<const T> actions,
                  Vec<const T> weights, Block& block, T* sum) const {
    const Index E = head->num_free;
    SmallBuffer<T, 4096> d_free(rows * E);
    back(theta, first, rows, obs, actions, weights, block, d_free.data());
    net.add_gradient(rows, block, sum);
    add_free(rows, d_free.data(), sum);
  }
  // The free parameters' part of sum (P,) += Σ over rows of d_free (rows, num_free).
  void add_free(Index rows, const T* d_free, T* sum) const {
    const Index E = head->num_free;
    T* free_sum = sum + net.num_params();
    for (Index r = 0; r < rows; ++r) {
      for (Index k = 0; k < E; ++k) free_sum[k] += d_free[r * E + k];
    }
  }

  Network<T> net;
  std::unique_ptr<Head<T>> head;
  BatchPass<T> pass;
};

}  // namespace pgcore
