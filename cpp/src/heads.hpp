// Output spaces: what turns a network's outputs into a distribution over actions.
//
// A head sees a block of rows: the outputs (rows, num_outputs) and, shared by all rows, `extra`, the
// parameters that do not belong to the network. Policy families differ in their head alone.
#pragma once

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "memory.hpp"
#include "pgcore/gaussian.hpp"
#include "pgcore/policy.hpp"
#include "softmax.hpp"
#include "vecmath.hpp"

namespace pgcore {

template <class T>
class Head {
 public:
  Head(Index outputs, Index extra, Index width, bool choices)
      : num_outputs(outputs), num_extra(extra), action_width(width), discrete(choices) {}
  virtual ~Head() = default;

  const Index num_outputs, num_extra, action_width;
  const bool discrete;

  virtual void log_prob(Index rows, const T* outputs, const T* extra, Actions<T> actions, T* out) const = 0;
  // Derivatives of log π: d_outputs (rows, num_outputs), d_extra (rows, num_extra).
  virtual void score(Index rows, const T* outputs, const T* extra, Actions<T> actions, T* d_outputs,
                     T* d_extra) const = 0;
  // `noise` is (rows, action_width): standard normal for real actions, uniform on [0, 1) for choices.
  virtual void sample(Index rows, const T* outputs, const T* extra, const T* noise,
                      ActionsOut<T> actions) const = 0;
  virtual void mode(Index rows, const T* outputs, const T* extra, ActionsOut<T> actions) const = 0;
  virtual void entropy(Index rows, const T* outputs, const T* extra, T* out) const = 0;
  // KL(old‖new).
  virtual void kl(Index rows, const T* outputs_old, const T* extra_old, const T* outputs, const T* extra,
                  T* out) const = 0;
};

// Mean from the network; log σ is the extra parameter, one for each action dimension.
template <class T>
class DiagonalGaussianHead final : public Head<T> {
 public:
  explicit DiagonalGaussianHead(Index A) : Head<T>(A, A, A, false) {}

  void log_prob(Index rows, const T* mean, const T* log_std, Actions<T> a, T* out) const override {
    gaussian::log_prob(rows, this->action_width, a.real, mean, {log_std, true}, out);
  }
  void score(Index rows, const T* mean, const T* log_std, Actions<T> a, T* d_mean,
             T* d_log_std) const override {
    gaussian::score(rows, this->action_width, a.real, mean, {log_std, true}, d_mean, d_log_std);
  }
  void sample(Index rows, const T* mean, const T* log_std, const T* noise, ActionsOut<T> a) const override {
    const Index A = this->action_width;
    SmallBuffer<T, 64> std(A);
    for (Index j = 0; j < A; ++j) std[j] = vecmath::exp(log_std[j]);
    for (Index r = 0; r < rows; ++r) {
      for (Index j = 0; j < A; ++j) a.real[r * A + j] = mean[r * A + j] + std[j] * noise[r * A + j];
    }
  }
  void mode(Index rows, const T* mean, const T*, ActionsOut<T> a) const override {
    std::copy_n(mean, rows * this->action_width, a.real);
  }
  void entropy(Index rows, const T*, const T* log_std, T* out) const override {
    gaussian::entropy(1, this->action_width, log_std, out);
    std::fill(out + 1, out + rows, out[0]);
  }
  void kl(Index rows, const T* mean_old, const T* log_std_old, const T* mean, const T* log_std,
          T* out) const override {
    gaussian::kl(rows, this->action_width, mean_old, {log_std_old, true}, mean, {log_std, true}, out);
  }
};

// Mean and log σ − init_log_std from the network.
template <class T>
class StateGaussianHead final : public Head<T> {
 public:
  StateGaussianHead(Index A, T init_log_std) : Head<T>(2 * A, 0, A, false), init_log_std_(init_log_std) {}

  void log_prob(Index rows, const T* outputs, const T*, Actions<T> a, T* out) const override {
    const Split s(*this, rows, outputs);
    gaussian::log_prob(rows, this->action_width, a.real, s.mean(), s.log_std(), out);
  }
  void score(Index rows, const T* outputs, const T*, Actions<T> a, T* d_outputs, T*) const override {
    const Index A = this->action_width;
    const Split s(*this, rows, outputs);
    SmallBuffer<T> d(2 * rows * A);
    gaussian::score(rows, A, a.real, s.mean(), s.log_std(), d.data(), d.data() + rows * A);
    for (Index r = 0; r < rows; ++r) {
      std::copy_n(d.data() + r * A, A, d_outputs + r * 2 * A);
      std::copy_n(d.data() + (rows + r) * A, A, d_outputs + r * 2 * A + A);
    }
  }
  void sample(Index rows, const T* outputs, const T*, const T* noise, ActionsOut<T> a) const override {
    const Index A = this->action_width;
    for (Index r = 0; r < rows; ++r) {
      for (Index j = 0; j < A; ++j) {
        const T std = vecmath::exp(outputs[r * 2 * A + A + j] + init_log_std_);
        a.real[r * A + j] = outputs[r * 2 * A + j] + std * noise[r * A + j];
      }
    }
  }
  void mode(Index rows, const T* outputs, const T*, ActionsOut<T> a) const override {
    const Index A = this->action_width;
    for (Index r = 0; r < rows; ++r) std::copy_n(outputs + r * 2 * A, A, a.real + r * A);
  }
  void entropy(Index rows, const T* outputs, const T*, T* out) const override {
    const Split s(*this, rows, outputs);
    gaussian::entropy(rows, this->action_width, s.log_std().data, out);
  }
  void kl(Index rows, const T* outputs_old, const T*, const T* outputs, const T*, T* out) const override {
    const Split old(*this, rows, outputs_old), now(*this, rows, outputs);
    gaussian::kl(rows, this->action_width, old.mean(), old.log_std(), now.mean(), now.log_std(), out);
  }

 private:
  // Mean and log σ as two contiguous arrays.
  class Split {
   public:
    Split(const StateGaussianHead& head, Index rows, const T* outputs)
        : size_(rows * head.action_width), buffer_(2 * size_) {
      const Index A = head.action_width;
      for (Index r = 0; r < rows; ++r) {
        for (Index j = 0; j < A; ++j) {
          buffer_[r * A + j] = outputs[r * 2 * A + j];
          buffer_[size_ + r * A + j] = outputs[r * 2 * A + A + j] + head.init_log_std_;
        }
      }
    }
    const T* mean() const { return buffer_.data(); }
    gaussian::LogStd<T> log_std() const { return {buffer_.data() + size_, false}; }

   private:
    Index size_;
    SmallBuffer<T, 2048> buffer_;
  };

  T init_log_std_;
};

// Mean from the network, covariance L Lᵀ. L is learned (extra: its row-major lower triangle with the log of
// the diagonal), or fixed (no extra).
template <class T>
class FullGaussianHead final : public Head<T> {
 public:
  explicit FullGaussianHead(Index A) : Head<T>(A, A * (A + 1) / 2, A, false) {}
  FullGaussianHead(Index A, std::vector<T> fixed_tril)
      : Head<T>(A, 0, A, false), fixed_(std::move(fixed_tril)) {}

  void log_prob(Index rows, const T* mean, const T* extra, Actions<T> a, T* out) const override {
    gaussian::log_prob_tril(rows, this->action_width, a.real, mean, Factor(*this, extra).data(), out);
  }
  void score(Index rows, const T* mean, const T* extra, Actions<T> a, T* d_mean, T* d_extra) const override {
    const Index A = this->action_width, E = this->num_extra;
    Factor L(*this, extra);
    SmallBuffer<T> d_tril(rows * A * A);
    gaussian::score_tril(rows, A, a.real, mean, L.data(), d_mean, d_tril.data());
    if (E == 0) return;
    for (Index r = 0; r < rows; ++r) {
      const T* d = d_tril.data() + r * A * A;
      T* e = d_extra + r * E;
      for (Index i = 0; i < A; ++i) {
        for (Index j = 0; j < i; ++j) *e++ = d[i * A + j];
        *e++ = d[i * A + i] * L.data()[i * A + i];  // dL_ii = L_ii d log L_ii
      }
    }
  }
  void sample(Index rows, const T* mean, const T* extra, const T* noise, ActionsOut<T> a) const override {
    const Index A = this->action_width;
    const Factor L(*this, extra);
    for (Index r = 0; r < rows; ++r) {
      for (Index i = 0; i < A; ++i) {
        T x = mean[r * A + i];
        for (Index j = 0; j <= i; ++j) x += L.data()[i * A + j] * noise[r * A + j];
        a.real[r * A + i] = x;
      }
    }
  }
  void mode(Index rows, const T* mean, const T*, ActionsOut<T> a) const override {
    std::copy_n(mean, rows * this->action_width, a.real);
  }
  void entropy(Index rows, const T*, const T* extra, T* out) const override {
    const Index A = this->action_width;
    const T constant = static_cast<T>((gaussian::half_log_2pi + 0.5) * static_cast<double>(A));
    std::fill(out, out + rows, constant + gaussian::log_det(Factor(*this, extra).data(), A));
  }
  void kl(Index rows, const T* mean_old, const T* extra_old, const T* mean, const T* extra,
          T* out) const override {
    const Factor old(*this, extra_old), now(*this, extra);
    gaussian::kl_tril(rows, this->action_width, mean_old, old.data(), mean, now.data(), out);
  }

 private:
  // L as a square matrix.
  class Factor {
   public:
    Factor(const FullGaussianHead& head, const T* extra) : buffer_(head.action_width * head.action_width) {
      const Index A = head.action_width;
      if (!head.fixed_.empty()) {
        std::copy(head.fixed_.begin(), head.fixed_.end(), buffer_.data());
        return;
      }
      std::fill_n(buffer_.data(), A * A, T(0));
      for (Index i = 0; i < A; ++i) {
        for (Index j = 0; j < i; ++j) buffer_[i * A + j] = *extra++;
        buffer_[i * A + i] = std::exp(*extra++);
      }
    }
    const T* data() const { return buffer_.data(); }

   private:
    SmallBuffer<T, 256> buffer_;
  };

  std::vector<T> fixed_;
};

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
  void kl(Index rows, const T* logits_old, const T*, const T* logits, const T*, T* out) const override {
    std::fill_n(out, rows, T(0));
    for_softmax(rows, logits_old, [&](const Softmax& old, Index first, Index count, Index d, Index offset) {
      Softmax now(size(d));
      now.load(logits + first * this->num_outputs + offset, this->num_outputs, count);
      for (Index r = 0; r < count; ++r) out[first + r] += old.kl(now, r);
    });
  }

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

template <class T>
std::unique_ptr<Head<T>> make_head(const HeadOptions<T>& options);

}  // namespace pgcore
