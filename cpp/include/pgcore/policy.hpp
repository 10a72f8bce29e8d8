// A parameterised distribution over actions: a network, a head, and everything that needs the score ∇ log π.
//
// Parameters are one flat vector θ: the network's, then the head's extra ones. Batches are (B, …), row-major.
#pragma once

#include <memory>
#include <vector>

#include "pgcore/batch_pass.hpp"
#include "pgcore/heads.hpp"

namespace pgcore {

template <class T>
class Policy {
 public:
  using Block = typename Mlp<T>::Block;

  Policy(std::vector<Index> sizes, Activation activation, std::unique_ptr<Head<T>> head)
      : net_(std::move(sizes), activation), head_(std::move(head)), pass_(net_, num_params()) {}

  Index num_params() const { return net_.num_params() + head_->num_extra; }
  const Mlp<T>& net() const { return net_; }
  const Head<T>& head() const { return *head_; }

  void set_input_scaling(std::vector<T> shift, std::vector<T> scale, T clip) {
    shift_ = std::move(shift);
    scale_ = std::move(scale);
    clip_ = clip;
  }

  void log_prob(const T* theta, Index B, const T* obs, Actions<T> actions, T* out) {
    for_rows(theta, B, obs, [&](Index first, Index rows, Block& block) {
      head_->log_prob(rows, block.hidden.back(), extra(theta), at(actions, first), out + first);
    });
  }

  // Samples, and with `log_probs` also evaluates them on the same outputs.
  void sample(const T* theta, Index B, const T* obs, const T* noise, ActionsOut<T> actions, T* log_probs) {
    const Index A = head_->action_width;
    for_rows(theta, B, obs, [&](Index first, Index rows, Block& block) {
      const ActionsOut<T> out = at(actions, first);
      head_->sample(rows, block.hidden.back(), extra(theta), noise + first * A, out);
      if (log_probs) {
        head_->log_prob(rows, block.hidden.back(), extra(theta), {out.real, out.choice}, log_probs + first);
      }
    });
  }

  void mode(const T* theta, Index B, const T* obs, ActionsOut<T> actions) {
    for_rows(theta, B, obs, [&](Index first, Index rows, Block& block) {
      head_->mode(rows, block.hidden.back(), extra(theta), at(actions, first));
    });
  }

  void entropy(const T* theta, Index B, const T* obs, T* out) {
    for_rows(theta, B, obs, [&](Index first, Index rows, Block& block) {
      head_->entropy(rows, block.hidden.back(), extra(theta), out + first);
    });
  }

  // KL(π_old‖π) at every observation.
  void kl(const T* theta_old, const T* theta, Index B, const T* obs, T* out) {
    const Index width = net_.num_outputs();
    for_rows(theta_old, B, obs, [&](Index first, Index rows, Block& block) {
      T* old = block.delta.back();  // free during forward passes
      std::copy_n(block.hidden.back(), rows * width, old);
      net_.forward(theta, rows, block);
      head_->kl(rows, old, extra(theta_old), block.hidden.back(), extra(theta), out + first);
    });
  }

  // Σ_i w_i ∇ log π(a_i|o_i).
  void score_product(const T* theta, Index B, const T* obs, Actions<T> actions, const T* weights, T* out) {
    pass_.sum_rows(B, 3 * net_.flops(1), out, [&](Index first, Index rows, Block& block, T* sum) {
      SmallBuffer<T, 4096> d_extra(rows * head_->num_extra);
      back(theta, first, rows, obs, actions, weights, block, d_extra.data());
      net_.add_gradient(rows, block, sum);
      add_extra(rows, d_extra.data(), sum + net_.num_params());
    });
  }

  // (B, P): one score a row.
  void scores(const T* theta, Index B, const T* obs, Actions<T> actions, T* out) {
    const Index P = num_params(), E = head_->num_extra;
    pass_.for_rows(B, 3 * net_.flops(1), [&](Index first, Index rows, Block& block) {
      SmallBuffer<T, 4096> d_extra(rows * E);
      back(theta, first, rows, obs, actions, nullptr, block, d_extra.data());
      for (Index r = 0; r < rows; ++r) {
        T* row = out + (first + r) * P;
        net_.row_gradient(r, block, row);
        std::copy_n(d_extra.data() + r * E, E, row + net_.num_params());
      }
    });
  }

  // (E, P): scores summed inside each episode, whose first rows are starts[0 … E − 1] and whose end is
  // starts[E].
  void episode_scores(const T* theta, const T* obs, Actions<T> actions, Index num_episodes,
                      const Index* starts, T* out) {
    const Index P = num_params();
    const Index mean_length = num_episodes ? starts[num_episodes] / num_episodes : 0;
    const bool worthwhile =
        static_cast<double>(starts[num_episodes]) * 3 * net_.flops(1) >= parallel::min_flops &&
        mean_length > 0;
    parallel::for_blocks(num_episodes, worthwhile, [&](Index e) {
      const auto block = pass_.borrow_block();
      const auto sums = pass_.borrow_sums();  // aligned memory: the caller's rows need not be
      T* sum = sums->data();
      std::fill_n(sum, P, T(0));
      for (Index first = starts[e]; first < starts[e + 1]; first += Mlp<T>::block_rows) {
        const Index rows = std::min(Mlp<T>::block_rows, starts[e + 1] - first);
        SmallBuffer<T, 4096> d_extra(rows * head_->num_extra);
        back(theta, first, rows, obs, actions, nullptr, *block, d_extra.data());
        net_.add_gradient(rows, *block, sum);
        add_extra(rows, d_extra.data(), sum + net_.num_params());
      }
      std::copy_n(sum, P, out + e * P);
    });
  }

  // ‖∇ log π‖² of every row, never forming the rows.
  void score_sq_norms(const T* theta, Index B, const T* obs, Actions<T> actions, T* out) {
    const Index E = head_->num_extra;
    pass_.for_rows(B, 2 * net_.flops(1), [&](Index first, Index rows, Block& block) {
      SmallBuffer<T, 4096> d_extra(rows * E);
      back(theta, first, rows, obs, actions, nullptr, block, d_extra.data());
      for (Index r = 0; r < rows; ++r) {
        T total = net_.row_square_norm(r, block);
        for (Index k = 0; k < E; ++k) total += d_extra[r * E + k] * d_extra[r * E + k];
        out[first + r] = total;
      }
    });
  }

 private:
  const T* extra(const T* theta) const { return theta + net_.num_params(); }
  Actions<T> at(Actions<T> a, Index row) const {
    const Index i = row * head_->action_width;
    return {a.real ? a.real + i : nullptr, a.choice ? a.choice + i : nullptr};
  }
  ActionsOut<T> at(ActionsOut<T> a, Index row) const {
    const Index i = row * head_->action_width;
    return {a.real ? a.real + i : nullptr, a.choice ? a.choice + i : nullptr};
  }
  InputScaling<T> scaling() const { return {shift_.empty() ? nullptr : shift_.data(), scale_.data(), clip_}; }

  // f(first, rows, block) with the network's outputs in block.hidden.back().
  template <class F>
  void for_rows(const T* theta, Index B, const T* obs, F&& f) {
    pass_.for_rows(B, net_.flops(1), [&](Index first, Index rows, Block& block) {
      net_.load(obs + first * net_.num_inputs(), rows, scaling(), block);
      net_.forward(theta, rows, block);
      f(first, rows, block);
    });
  }

  // Cotangents of w_i log π_i in block.delta and d_extra (rows, E); no weights are ones.
  void back(const T* theta, Index first, Index rows, const T* obs, Actions<T> actions, const T* weights,
            Block& block, T* d_extra) {
    net_.load(obs + first * net_.num_inputs(), rows, scaling(), block);
    net_.forward(theta, rows, block);
    head_->score(rows, block.hidden.back(), extra(theta), at(actions, first), block.delta.back(), d_extra);
    if (weights) {
      weigh(rows, net_.num_outputs(), weights + first, block.delta.back());
      weigh(rows, head_->num_extra, weights + first, d_extra);
    }
    net_.backward(theta, rows, block);
  }
  static void weigh(Index rows, Index width, const T* weights, T* x) {
    for (Index r = 0; r < rows; ++r) {
      for (Index j = 0; j < width; ++j) x[r * width + j] *= weights[r];
    }
  }
  void add_extra(Index rows, const T* d_extra, T* sum) const {
    const Index E = head_->num_extra;
    for (Index r = 0; r < rows; ++r) {
      for (Index k = 0; k < E; ++k) sum[k] += d_extra[r * E + k];
    }
  }

  Mlp<T> net_;
  std::unique_ptr<Head<T>> head_;
  BatchPass<T> pass_;
  std::vector<T> shift_, scale_;
  T clip_ = 0;
};

}  // namespace pgcore
