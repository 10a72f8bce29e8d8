// Passes over the rows of a Fisher operator.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <memory>
#include <vector>

#include "math/memory.hpp"
#include "nn/batch_pass.hpp"
#include "nn/network.hpp"
#include "pgcore/fisher.hpp"
#include "pgcore/inputs.hpp"
#include "pgcore/policy.hpp"
#include "pgcore/types.hpp"
#include "pgcore/views.hpp"
#include "policy/heads.hpp"
#include "policy/policy_passes.hpp"

namespace pgcore {

template <class T>
struct Fisher<T>::Passes {
  using Block = typename Network<T>::Block;
  static constexpr Index block_rows = Network<T>::block_rows;

  Passes(const Policy<T>& policy, Vec<const T> parameters, const Inputs<T>& obs, Actions<const T> actions,
         double max_cache_bytes)
      : net(policy.passes().net),
        head(*policy.passes().head),
        num_params(policy.num_params()),
        B(obs.num_rows()),
        inputs(obs),
        empirical(actions.real || actions.choice),
        theta(parameters.data(), parameters.data() + num_params),
        pass(net, num_params),
        state(B * state_width()) {
    assert(policy.passes().fits(parameters, obs) && B > 0 &&
           (!empirical || actions.has_shape(B, head.action_width)));
    const Index num_blocks = (B + block_rows - 1) / block_rows;
    const double kept = static_cast<double>(sizeof(T) * block_rows) * static_cast<double>(net.block_width());
    if (kept * static_cast<double>(num_blocks) <= max_cache_bytes) {
      cache.resize(static_cast<std::size_t>(num_blocks));
    }
    pass.for_rows(B, net.flops(1), [&](Index first, Index rows, Block& scratch) {
      if (!cache.empty()) cache[block_of(first)] = net.make_block(false);
      Block& block = cache.empty() ? scratch : *cache[block_of(first)];
      net.load(inputs, first, rows, block);
      net.forward(theta.data(), rows, block);
      T* s = state_of(first);
      if (empirical) {
        head.score(rows, block.hidden.back(), free_params(), actions.part(first, rows), s,
                   s + rows * net.num_outputs());
      } else {
        head.fisher_state(rows, block.hidden.back(), s);
      }
    });
  }

  const T* free_params() const { return theta.data() + net.num_params(); }
  Index num_free() const { return head.num_free; }
  Index state_width() const { return net.num_outputs() + (empirical ? num_free() : 0); }
  // Of the block that begins at row `first`: (rows, num_outputs), then (rows, num_free) if empirical.
  T* state_of(Index first) { return state.data() + first * state_width(); }
  const T* state_of(Index first) const { return state.data() + first * state_width(); }

  // Of the empirical form: the scores of the free parameters, (rows, num_free).
  const T* free_scores(Index first, Index rows) const { return state_of(first) + rows * net.num_outputs(); }

  // f(first, rows, block), with activations in block.hidden and block.slope.
  template <class F>
  void for_rows(double passes, F&& f) const {
    pass.for_rows(B, passes * net.flops(1), [&](Index first, Index rows, Block& block) {
      activate(first, rows, block);
      f(first, rows, block);
    });
  }
  template <class F>
  void sum_rows(double passes, T* out, F&& f) const {
    pass.sum_rows(B, passes * net.flops(1), out, [&](Index first, Index rows, Block& block, T* sum) {
      activate(first, rows, block);
      f(first, rows, block, sum);
    });
  }

  // f over blocks, one after another.
  template <class F>
  void in_order(F&& f) const {
    const auto block = pass.borrow_block();
    for (Index first = 0; first < B; first += block_rows) {
      const Index rows = std::min(block_rows, B - first);
      activate(first, rows, *block);
      f(first, rows, *block);
    }
  }

  // block.delta.back() ← M_r x_r / B for the tangents x there; free_sum += their share of the free
  // parameters.
  void multiply_outputs(Index first, Index rows, const T* v_free, Block& block, T* free_sum) const {
    const Index O = net.num_outputs(), E = num_free();
    T* x = block.delta.back();
    const T* s = state_of(first);
    const T scale = T(1) / static_cast<T>(B);
    if (!empirical) return head.fisher_outputs(rows, s, free_params(), scale, x);
    const T* e = free_scores(first, rows);
    for (Index r = 0; r < rows; ++r) {
      T along = 0;
      for (Index j = 0; j < O; ++j) along += s[r * O + j] * x[r * O + j];
      for (Index k = 0; k < E; ++k) along += e[r * E + k] * v_free[k];
      along *= scale;
      for (Index j = 0; j < O; ++j) x[r * O + j] = along * s[r * O + j];
      for (Index k = 0; k < E; ++k) free_sum[k] += along * e[r * E + k];
    }
  }

  // F = (1/B) Σ over rows and roots k of t tᵀ, t = J_rᵀ root_k. block.delta ← the cotangents of root k.
  Index num_roots() const { return empirical ? 1 : net.num_outputs(); }
  void load_root(Index first, Index rows, Index k, Block& block) const {
    if (empirical) {
      std::copy_n(state_of(first), rows * net.num_outputs(), block.delta.back());
    } else {
      head.fisher_root(rows, state_of(first), free_params(), k, block.delta.back());
    }
    net.backward(theta.data(), rows, block);
  }

  const Network<T>& net;
  const Head<T>& head;
  const Index num_params, B;
  const Inputs<T> inputs;
  const bool empirical;
  std::vector<T> theta;
  BatchPass<T> pass;
  AlignedBuffer<T> state;  // what M_r needs of every row
  std::vector<std::unique_ptr<Block>> cache;

 private:
  static std::size_t block_of(Index first) { return static_cast<std::size_t>(first / block_rows); }
  void activate(Index first, Index rows, Block& block) const {
    if (cache.empty()) {
      net.load(inputs, first, rows, block);
      net.forward(theta.data(), rows, block);
    } else {
      block.hidden = cache[block_of(first)]->hidden;
      block.slope = cache[block_of(first)]->slope;
    }
  }
};

}  // namespace pgcore
