// The head for choices.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "distributions/softmax.hpp"
#include "math/memory.hpp"
#include "math/sums.hpp"
#include "parallel/row_groups.hpp"
#include "pgcore/policy.hpp"
#include "pgcore/types.hpp"
#include "policy/heads.hpp"

namespace pgcore {

// Independent choices, the d-th among sizes[d]; their logits follow each other. One size is the plain
// categorical.
template <class T>
class CategoricalHead final : public Head<T> {
 public:
  explicit CategoricalHead(std::vector<Index> sizes)
      : Head<T>(total(sizes), 0, static_cast<Index>(sizes.size()), true), sizes_(std::move(sizes)) {}

  const std::vector<Index>& sizes() const { return sizes_; }

  void log_prob(Index rows, const T* logits, const T*, Actions<const T> a, T* out) const override {
    Totals totals(rows, out);
    for_softmax(rows, logits, [&](const Softmax& p, Index first, Index, Index d, Index) {
      add_log_prob(p, a, first, d, totals);
    });
  }
  void score(Index rows, const T* logits, const T*, Actions<const T> a, T* d_logits, T*) const override {
    for_softmax(rows, logits, [&](const Softmax& p, Index first, Index, Index d, Index offset) {
      set_score(p, a, first, d, d_logits + offset);
    });
  }
  void evaluate(Index rows, const T* logits, const T*, Actions<const T> a, T* log_probs, T* entropies,
                T* d_logits, T*) const override {
    Totals of_log_probs(rows, log_probs), of_entropies(rows, entropies);
    for_softmax(rows, logits, [&](const Softmax& p, Index first, Index, Index d, Index offset) {
      add_log_prob(p, a, first, d, of_log_probs);
      add_entropy(p, first, of_entropies);
      set_score(p, a, first, d, d_logits + offset);
    });
  }
  // The first k whose cumulative probability exceeds the noise; undefined_choice where there are no
  // probabilities.
  void sample(Index rows, const T* logits, const T*, const T* noise, Actions<T> a) const override {
    for_softmax(rows, logits, [&](const Softmax& p, Index first, Index count, Index d, Index) {
      for (Index r = 0; r < count; ++r) {
        const Index i = (first + r) * this->action_width + d;
        double left = static_cast<double>(noise[i]) * static_cast<double>(p.sum(r));
        Index k = 0, last_possible = undefined_choice;
        for (; k < size(d); ++k) {
          if (p.weight(r, k) > 0) last_possible = k;
          left -= static_cast<double>(p.weight(r, k));
          if (left < 0) break;
        }
        // Rounding may leave a remainder after the last choice.
        a.choice[i] = std::isnan(p.sum(r)) ? undefined_choice : k < size(d) ? k : last_possible;
      }
    });
  }
  void mode(Index rows, const T* logits, const T*, Actions<T> a) const override {
    Index offset = 0;
    for (Index d = 0; d < this->action_width; offset += size(d++)) {
      for (Index r = 0; r < rows; ++r) {
        const T* x = logits + r * this->num_outputs + offset;
        T largest = -std::numeric_limits<T>::infinity();
        Index best = undefined_choice;
        bool undefined = false;
        for (Index k = 0; k < size(d); ++k) {
          undefined |= std::isnan(x[k]);
          if (x[k] > largest) largest = x[best = k];
        }
        undefined |= largest == std::numeric_limits<T>::infinity();  // no softmax, either
        a.choice[r * this->action_width + d] = undefined ? undefined_choice : best;
      }
    }
  }
  void entropy(Index rows, const T* logits, const T*, T* out) const override {
    Totals totals(rows, out);
    for_softmax(rows, logits,
                [&](const Softmax& p, Index first, Index, Index, Index) { add_entropy(p, first, totals); });
  }
  // ∂H/∂logit_k = −p_k (log p_k + H), both relative to the largest log p.
  void add_entropy_gradient(Index rows, const T* logits, T scale, T* d_logits, T*) const override {
    for_softmax(rows, logits, [&](const Softmax& p, Index first, Index count, Index d, Index offset) {
      T mean_shortfall[group];
      p.mean_shortfalls(mean_shortfall);
      for (Index r = 0; r < count; ++r) {
        T* row = d_logits + (first + r) * this->num_outputs + offset;
        for (Index k = 0; k < size(d); ++k) {
          if (p.weight(r, k) > 0) row[k] -= scale * p.prob(r, k) * (p.shifted(r, k) + mean_shortfall[r]);
        }
      }
    });
  }
  void kl(Index rows, const T* logits_old, const T*, const T* logits, const T*, T* out) const override {
    Totals totals(rows, out);
    Index offset = 0;
    for (Index d = 0; d < this->action_width; offset += size(d++)) {
      categorical::Divergence<T> divergence(size(d));
      for (Index first = 0; first < rows; first += group) {
        const Index count = std::min(group, rows - first), i = first * this->num_outputs + offset;
        divergence.load(logits_old + i, logits + i, this->num_outputs, count);
        for (Index r = 0; r < count; ++r) totals.add(first + r, divergence[r]);
      }
    }
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
  // p_k (x_k − Σ p x), with x relative to that of the most probable choice: its own part is then exact
  // near certainty, and the product stays symmetric and positive.
  void fisher_outputs(Index rows, const T* state, const T*, T scale, T* x) const override {
    for (Index r = 0; r < rows; ++r) {
      const T* p = state + r * this->num_outputs;
      T* row = x + r * this->num_outputs;
      for (const Index K : sizes_) {
        const T origin = row[std::max_element(p, p + K) - p];
        for (Index k = 0; k < K; ++k) row[k] -= origin;
        const T mean = row_sum<T>(K, [=](Index k) { return p[k] * row[k]; });
        for (Index k = 0; k < K; ++k) row[k] = scale * p[k] * (row[k] - mean);
        p += K;
        row += K;
      }
    }
  }
  // √p_k (e_k − p): the scores of every action, weighted by the root of its probability; 1 − p_k is the sum
  // of the others' p.
  void fisher_root(Index rows, const T* state, const T*, Index k, T* x) const override {
    const Index O = this->num_outputs;
    std::fill_n(x, rows * O, T(0));
    Index offset = 0, d = 0;
    while (offset + size(d) <= k) offset += size(d++);
    for (Index r = 0; r < rows; ++r) {
      const T *p = state + r * O + offset, root = std::sqrt(p[k - offset]);
      T* row = x + r * O + offset;
      for (Index j = 0; j < size(d); ++j) row[j] = -root * p[j];
      const auto other = [=](Index j) { return j == k - offset ? T(0) : p[j]; };
      row[k - offset] = root * row_sum<T>(size(d), other);
    }
  }
  void fisher_free(const T*, const T*, T*) const override {}

 private:
  using Softmax = categorical::Softmax<T>;

  // The sum over a row's choices, in double, since there may be many.
  class Totals {
   public:
    Totals(Index rows, T* out) : rows_(rows), out_(out), sums_(rows) { std::fill_n(sums_.data(), rows, 0.0); }
    ~Totals() {
      for (Index r = 0; r < rows_; ++r) out_[r] = static_cast<T>(sums_[r]);
    }
    void add(Index row, T x) { sums_[row] += static_cast<double>(x); }

   private:
    Index rows_;
    T* out_;
    SmallBuffer<double, 256> sums_;
  };

  static Index total(const std::vector<Index>& sizes) {
    Index sum = 0;
    for (const Index size : sizes) sum += size;
    return sum;
  }
  Index size(Index d) const { return sizes_[static_cast<std::size_t>(d)]; }
  std::int64_t choice(Actions<const T> a, Index row, Index d) const {
    return a.choice[row * this->action_width + d];
  }

  // Of a group of rows that begins with row `first`, for choice d.
  void add_log_prob(const Softmax& p, Actions<const T> a, Index first, Index d, Totals& totals) const {
    T of_choice[group];
    // A choice that was just sampled may be undefined. The caller refuses it, so any choice is right here.
    p.log_prob([&](Index r) { return std::max<Index>(0, choice(a, first + r, d)); }, of_choice);
    for (Index r = 0; r < p.rows(); ++r) totals.add(first + r, of_choice[r]);
  }
  void add_entropy(const Softmax& p, Index first, Totals& totals) const {
    T of_choice[group];
    p.entropies(of_choice);
    for (Index r = 0; r < p.rows(); ++r) totals.add(first + r, of_choice[r]);
  }
  void set_score(const Softmax& p, Actions<const T> a, Index first, Index d, T* d_logits) const {
    p.score([&](Index r) { return choice(a, first + r, d); }, d_logits + first * this->num_outputs,
            this->num_outputs);
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
