// The head for choices.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "heads.hpp"
#include "softmax.hpp"

namespace pgcore {

// Independent choices, the d-th among sizes[d]; their logits stand side by side. One size is the plain
// categorical.
template <class T>
class CategoricalHead final : public Head<T> {
 public:
  explicit CategoricalHead(std::vector<Index> sizes)
      : Head<T>(total(sizes), 0, static_cast<Index>(sizes.size()), true), sizes_(std::move(sizes)) {}

  const std::vector<Index>& sizes() const { return sizes_; }

  void log_prob(Index rows, const T* logits, const T*, Actions<T> a, T* out) const override {
    std::fill_n(out, rows, T(0));
    for_softmax(rows, logits, [&](const Softmax& p, Index first, Index count, Index d, Index) {
      for (Index r = 0; r < count; ++r) out[first + r] += p.log_prob(r, choice(a, first + r, d));
    });
  }
  void score(Index rows, const T* logits, const T*, Actions<T> a, T* d_logits, T*) const override {
    for_softmax(rows, logits, [&](const Softmax& p, Index first, Index count, Index d, Index offset) {
      for (Index r = 0; r < count; ++r) {
        T* row = d_logits + (first + r) * this->num_outputs + offset;
        for (Index k = 0; k < size(d); ++k) row[k] = -p.prob(r, k);
        row[choice(a, first + r, d)] += T(1);
      }
    });
  }
  // The first k whose cumulative probability exceeds the noise.
  void sample(Index rows, const T* logits, const T*, const T* noise, ActionsOut<T> a) const override {
    for_softmax(rows, logits, [&](const Softmax& p, Index first, Index count, Index d, Index) {
      for (Index r = 0; r < count; ++r) {
        T left = noise[(first + r) * this->action_width + d] * p.sum(r);
        Index k = 0, last_possible = 0;
        for (; k < size(d); ++k) {
          if (p.weight(r, k) > 0) last_possible = k;
          left -= p.weight(r, k);
          if (left < 0) break;
        }
        // Rounding may leave a remainder after the last choice.
        a.choice[(first + r) * this->action_width + d] = k < size(d) ? k : last_possible;
      }
    });
  }
  void mode(Index rows, const T* logits, const T*, ActionsOut<T> a) const override {
    Index offset = 0;
    for (Index d = 0; d < this->action_width; offset += size(d++)) {
      for (Index r = 0; r < rows; ++r) {
        const T* x = logits + r * this->num_outputs + offset;
        a.choice[r * this->action_width + d] = std::max_element(x, x + size(d)) - x;
      }
    }
  }
  void entropy(Index rows, const T* logits, const T*, T* out) const override {
    std::fill_n(out, rows, T(0));
    for_softmax(rows, logits, [&](const Softmax& p, Index first, Index count, Index, Index) {
      for (Index r = 0; r < count; ++r) out[first + r] += p.entropy(r);
    });
  }
  // ∂H/∂logit_k = −p_k (log p_k + H).
  void add_entropy_gradient(Index rows, const T* logits, T scale, T* d_logits, T*) const override {
    for_softmax(rows, logits, [&](const Softmax& p, Index first, Index count, Index d, Index offset) {
      for (Index r = 0; r < count; ++r) {
        const T entropy = p.entropy(r);
        T* row = d_logits + (first + r) * this->num_outputs + offset;
        for (Index k = 0; k < size(d); ++k) {
          if (p.weight(r, k) > 0) row[k] -= scale * p.prob(r, k) * (p.log_prob(r, k) + entropy);
        }
      }
    });
  }
  void kl(Index rows, const T* logits_old, const T*, const T* logits, const T*, T* out) const override {
    std::fill_n(out, rows, T(0));
    for_softmax(rows, logits_old, [&](const Softmax& old, Index first, Index count, Index d, Index offset) {
      Softmax now(size(d));
      now.load(logits + first * this->num_outputs + offset, this->num_outputs, count);
      for (Index r = 0; r < count; ++r) out[first + r] += old.kl(now, r);
    });
  }
  // The state is p; a choice's block is diag(p) − p pᵀ, the covariance of onehot(a).
  void fisher_state(Index rows, const T* logits, T* state) const override {
    for_softmax(rows, logits, [&](const Softmax& p, Index first, Index count, Index d, Index offset) {
      for (Index r = 0; r < count; ++r) {
        for (Index k = 0; k < size(d); ++k) {
          state[(first + r) * this->num_outputs + offset + k] = p.prob(r, k);
        }
      }
    });
  }
  void fisher_outputs(Index rows, const T* state, const T*, T scale, T* x) const override {
    for (Index r = 0; r < rows; ++r) {
      const T* p = state + r * this->num_outputs;
      T* row = x + r * this->num_outputs;
      for (const Index K : sizes_) {
        T mean = 0;
        for (Index k = 0; k < K; ++k) mean += p[k] * row[k];
        for (Index k = 0; k < K; ++k) row[k] = scale * p[k] * (row[k] - mean);
        p += K;
        row += K;
      }
    }
  }
  // √p_k (e_k − p): the scores of every action, weighted by the root of its probability.
  void fisher_root(Index rows, const T* state, const T*, Index k, T* x) const override {
    const Index O = this->num_outputs;
    std::fill_n(x, rows * O, T(0));
    Index offset = 0, d = 0;
    while (offset + size(d) <= k) offset += size(d++);
    for (Index r = 0; r < rows; ++r) {
      const T *p = state + r * O, root = std::sqrt(p[k]);
      for (Index j = offset; j < offset + size(d); ++j) x[r * O + j] = -root * p[j];
      x[r * O + k] += root;
    }
  }
  void fisher_extra(const T*, const T*, T*) const override {}

 private:
  using Softmax = categorical::Softmax<T>;

  static Index total(const std::vector<Index>& sizes) {
    Index sum = 0;
    for (const Index size : sizes) sum += size;
    return sum;
  }
  Index size(Index d) const { return sizes_[static_cast<std::size_t>(d)]; }
  std::int64_t choice(Actions<T> a, Index row, Index d) const {
    return a.choice[row * this->action_width + d];
  }

  // f(softmax, first row, row count, choice d, first logit of d) over groups of rows.
  template <class F>
  void for_softmax(Index rows, const T* logits, F&& f) const {
    Index offset = 0;
    for (Index d = 0; d < this->action_width; offset += size(d++)) {
      Softmax softmax(size(d));
      for (Index first = 0; first < rows; first += group) {
        const Index count = std::min(group, rows - first);
        softmax.load(logits + first * this->num_outputs + offset, this->num_outputs, count);
        f(softmax, first, count, d, offset);
      }
    }
  }

  std::vector<Index> sizes_;
};

}  // namespace pgcore
