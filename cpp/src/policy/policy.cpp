#include "pgcore/policy.hpp"

#include <algorithm>
#include <cassert>

#include "math/memory.hpp"
#include "nn/network.hpp"
#include "pgcore/parallel.hpp"
#include "policy/heads.hpp"
#include "policy/policy_passes.hpp"

namespace pgcore {

template <class T>
Policy<T>::Policy(Index obs_dim, const std::vector<Index>& hidden, Activation activation,
                  const HeadOptions<T>& head)
    : passes_(std::make_unique<Passes>(obs_dim, hidden, activation, make_head(head))) {}
template <class T>
Policy<T>::~Policy() = default;

template <class T>
Index Policy<T>::num_params() const {
  return passes_->num_params();
}
template <class T>
Index Policy<T>::num_net_params() const {
  return passes_->net.num_params();
}
template <class T>
Index Policy<T>::obs_dim() const {
  return passes_->net.num_inputs();
}
template <class T>
Index Policy<T>::action_width() const {
  return passes_->head->action_width;
}
template <class T>
bool Policy<T>::discrete() const {
  return passes_->head->discrete;
}

template <class T>
void Policy<T>::log_prob(Vec<const T> theta, const Inputs<T>& obs, Actions<const T> actions,
                         Vec<T> out) const {
  const auto& p = *passes_;
  assert(p.fits(theta, obs, actions) && out.size() == obs.num_rows());
  p.for_outputs(theta, obs, [&](Index first, Index rows, const T* outputs, auto&) {
    p.head->log_prob(rows, outputs, p.free_params(theta), actions.part(first, rows),
                     out.part(first, rows).data());
  });
}

template <class T>
void Policy<T>::sample(Vec<const T> theta, const Inputs<T>& obs, Rows<const T> noise, Actions<T> actions,
                       Vec<T> log_probs) const {
  const auto& p = *passes_;
  assert(p.fits(theta, obs, actions) && noise.has_shape(obs.num_rows(), action_width()) &&
         (log_probs.empty() || log_probs.size() == obs.num_rows()));
  p.for_outputs(theta, obs, [&](Index first, Index rows, const T* outputs, auto&) {
    const Actions<T> a = actions.part(first, rows);
    p.head->sample(rows, outputs, p.free_params(theta), noise.row(first), a);
    if (!log_probs.empty()) {
      p.head->log_prob(rows, outputs, p.free_params(theta), a, log_probs.part(first, rows).data());
    }
  });
}

template <class T>
void Policy<T>::mode(Vec<const T> theta, const Inputs<T>& obs, Actions<T> actions) const {
  const auto& p = *passes_;
  assert(p.fits(theta, obs, actions));
  p.for_outputs(theta, obs, [&](Index first, Index rows, const T* outputs, auto&) {
    p.head->mode(rows, outputs, p.free_params(theta), actions.part(first, rows));
  });
}

template <class T>
void Policy<T>::entropy(Vec<const T> theta, const Inputs<T>& obs, Vec<T> out) const {
  const auto& p = *passes_;
  assert(p.fits(theta, obs) && out.size() == obs.num_rows());
  p.for_outputs(theta, obs, [&](Index first, Index rows, const T* outputs, auto&) {
    p.head->entropy(rows, outputs, p.free_params(theta), out.part(first, rows).data());
  });
}

template <class T>
void Policy<T>::entropy_gradient(Vec<const T> theta, const Inputs<T>& obs, Vec<T> out) const {
  const auto& p = *passes_;
  const Index E = p.head->num_free;
  assert(p.fits(theta, obs) && out.size() == num_params());
  p.pass.sum_rows(
      obs.num_rows(), 3 * p.net.flops(1), out.data(), [&](Index first, Index rows, auto& block, T* sum) {
        SmallBuffer<T, 4096> d_free(rows * E);
        p.net.load(obs, first, rows, block);
        p.net.forward(theta.data(), rows, block);
        std::fill_n(block.delta.back(), rows * p.net.num_outputs(), T(0));
        std::fill_n(d_free.data(), rows * E, T(0));
        p.head->add_entropy_gradient(rows, block.hidden.back(), T(1), block.delta.back(), d_free.data());
        p.net.backward(theta.data(), rows, block);
        p.net.add_gradient(rows, block, sum);
        p.add_free(rows, d_free.data(), sum);
      });
}

template <class T>
void Policy<T>::kl(Vec<const T> theta_old, Vec<const T> theta, const Inputs<T>& obs, Vec<T> out) const {
  const auto& p = *passes_;
  assert(p.fits(theta_old, obs) && p.fits(theta, obs) && out.size() == obs.num_rows());
  p.for_outputs(theta_old, obs, [&](Index first, Index rows, const T* outputs, auto& block) {
    T* old = block.delta.back();  // free during forward passes
    std::copy_n(outputs, rows * p.net.num_outputs(), old);
    p.net.forward(theta.data(), rows, block);
    p.head->kl(rows, old, p.free_params(theta_old), outputs, p.free_params(theta),
               out.part(first, rows).data());
  });
}

template <class T>
void Policy<T>::score_product(Vec<const T> theta, const Inputs<T>& obs, Actions<const T> actions,
                              Vec<const T> weights, Vec<T> out) const {
  const auto& p = *passes_;
  assert(p.fits(theta, obs, actions) && weights.size() == obs.num_rows() && out.size() == num_params());
  p.pass.sum_rows(obs.num_rows(), 3 * p.net.flops(1), out.data(),
                  [&](Index first, Index rows, auto& block, T* sum) {
                    p.add_scores(theta, first, rows, obs, actions, weights, block, sum);
                  });
}

template <class T>
void Policy<T>::scores(Vec<const T> theta, const Inputs<T>& obs, Actions<const T> actions,
                       Rows<T> out) const {
  const auto& p = *passes_;
  const Index E = p.head->num_free;
  assert(p.fits(theta, obs, actions) && out.has_shape(obs.num_rows(), num_params()));
  p.pass.for_rows(obs.num_rows(), 3 * p.net.flops(1), [&](Index first, Index rows, auto& block) {
    SmallBuffer<T, 4096> d_free(rows * E);
    p.back(theta, first, rows, obs, actions, {}, block, d_free.data());
    for (Index r = 0; r < rows; ++r) {
      T* row = out.row(first + r);
      p.net.row_gradient(r, block, row);
      std::copy_n(d_free.data() + r * E, E, row + p.net.num_params());
    }
  });
}

template <class T>
void Policy<T>::episode_scores(Vec<const T> theta, const Inputs<T>& obs, Actions<const T> actions,
                               Vec<const T> weights, Vec<const Index> starts, Rows<T> out) const {
  const auto& p = *passes_;
  const Index P = num_params(), num_episodes = starts.size() - 1;
  assert(p.fits(theta, obs, actions) && (weights.empty() || weights.size() == obs.num_rows()) &&
         starts[num_episodes] <= obs.num_rows() && out.has_shape(num_episodes, P));
  const bool worthwhile =
      static_cast<double>(starts[num_episodes]) * 3 * p.net.flops(1) >= parallel::min_flops;
  parallel::for_blocks(num_episodes, worthwhile, [&](Index e) {
    const auto block = p.pass.borrow_block();
    const auto sums = p.pass.borrow_sums();  // aligned memory: the caller's rows need not be
    T* sum = sums->data();
    std::fill_n(sum, P, T(0));
    for (Index first = starts[e]; first < starts[e + 1]; first += Network<T>::block_rows) {
      const Index rows = std::min(Network<T>::block_rows, starts[e + 1] - first);
      p.add_scores(theta, first, rows, obs, actions, weights, *block, sum);
    }
    std::copy_n(sum, P, out.row(e));
  });
}

template <class T>
void Policy<T>::score_sq_norms(Vec<const T> theta, const Inputs<T>& obs, Actions<const T> actions,
                               Vec<T> out) const {
  const auto& p = *passes_;
  const Index E = p.head->num_free;
  assert(p.fits(theta, obs, actions) && out.size() == obs.num_rows());
  p.pass.for_rows(obs.num_rows(), 2 * p.net.flops(1), [&](Index first, Index rows, auto& block) {
    SmallBuffer<T, 4096> d_free(rows * E);
    p.back(theta, first, rows, obs, actions, {}, block, d_free.data());
    for (Index r = 0; r < rows; ++r) {
      T total = p.net.row_square_norm(r, block);
      for (Index k = 0; k < E; ++k) total += d_free[r * E + k] * d_free[r * E + k];
      out[first + r] = total;
    }
  });
}

template class Policy<float>;
template class Policy<double>;

}  // namespace pgcore
