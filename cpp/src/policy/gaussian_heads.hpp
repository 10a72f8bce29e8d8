// Heads for real actions: normal distributions whose covariances differ in where they come from.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "math/memory.hpp"
#include "math/triangular.hpp"
#include "math/vecmath.hpp"
#include "pgcore/gaussian.hpp"
#include "pgcore/policy.hpp"
#include "pgcore/types.hpp"
#include "pgcore/views.hpp"
#include "policy/heads.hpp"

namespace pgcore {

// x/σ², and 0 at 0 for any σ.
template <class T>
T over_variance(T x, T inverse_std) {
  const T product = x * inverse_std * inverse_std;
  return x == T(0) ? T(0) : product;
}

// Mean from the network; log σ is the free parameter, one for each action dimension.
template <class T>
class DiagonalGaussianHead final : public Head<T> {
 public:
  explicit DiagonalGaussianHead(Index A) : Head<T>(A, A, A, false) {}

  void log_prob(Index rows, const T* mean, const T* log_std, Actions<const T> a, T* out) const override {
    const Index A = this->action_width;
    gaussian::log_prob<T>({a.real, rows, A}, {mean, rows, A}, shared(log_std), {out, rows});
  }
  void score(Index rows, const T* mean, const T* log_std, Actions<const T> a, T* d_mean,
             T* d_log_std) const override {
    const Index A = this->action_width;
    gaussian::score<T>({a.real, rows, A}, {mean, rows, A}, shared(log_std), {d_mean, rows, A},
                       {d_log_std, rows, A});
  }
  void sample(Index rows, const T* mean, const T* log_std, const T* noise, Actions<T> a) const override {
    const Index A = this->action_width;
    SmallBuffer<T, 64> std(A);
    for (Index j = 0; j < A; ++j) std[j] = vecmath::exp(log_std[j]);
    for (Index r = 0; r < rows; ++r) {
      for (Index j = 0; j < A; ++j) a.real[r * A + j] = mean[r * A + j] + std[j] * noise[r * A + j];
    }
  }
  void mode(Index rows, const T* mean, const T*, Actions<T> a) const override {
    std::copy_n(mean, rows * this->action_width, a.real);
  }
  void entropy(Index rows, const T*, const T* log_std, T* out) const override {
    gaussian::entropy<T>({log_std, 1, this->action_width}, {out, 1});
    std::fill(out + 1, out + rows, out[0]);
  }
  void add_entropy_gradient(Index rows, const T*, T scale, T*, T* d_log_std) const override {
    for (Index i = 0; i < rows * this->action_width; ++i) d_log_std[i] += scale;
  }
  void kl(Index rows, const T* mean_old, const T* log_std_old, const T* mean, const T* log_std,
          T* out) const override {
    const Index A = this->action_width;
    gaussian::kl<T>({mean_old, rows, A}, shared(log_std_old), {mean, rows, A}, shared(log_std), {out, rows});
  }
  void fisher_state(Index, const T*, T*) const override {}
  void fisher_outputs(Index rows, const T*, const T* log_std, T scale, T* x) const override {
    const Index A = this->action_width;
    SmallBuffer<T, 64> inverse(A);
    for (Index j = 0; j < A; ++j) inverse[j] = vecmath::exp(-log_std[j]);
    for (Index r = 0; r < rows; ++r) {
      for (Index j = 0; j < A; ++j) x[r * A + j] = over_variance(scale * x[r * A + j], inverse[j]);
    }
  }
  void fisher_root(Index rows, const T*, const T* log_std, Index k, T* x) const override {
    const Index A = this->action_width;
    std::fill_n(x, rows * A, T(0));
    const T root = vecmath::exp(-log_std[k]);
    for (Index r = 0; r < rows; ++r) x[r * A + k] = root;
  }
  void fisher_free(const T*, const T* v, T* out) const override {
    for (Index j = 0; j < this->action_width; ++j) out[j] = T(2) * v[j];
  }

 private:
  gaussian::LogStd<T> shared(const T* log_std) const { return {{log_std, 1, this->action_width}, true}; }
};

// Mean and log σ − init_log_std from the network.
template <class T>
class StateGaussianHead final : public Head<T> {
 public:
  StateGaussianHead(Index A, T init_log_std) : Head<T>(2 * A, 0, A, false), init_log_std_(init_log_std) {}

  void log_prob(Index rows, const T* outputs, const T*, Actions<const T> a, T* out) const override {
    const Split s(*this, rows, outputs);
    gaussian::log_prob<T>({a.real, rows, this->action_width}, s.mean(), s.log_std(), {out, rows});
  }
  void score(Index rows, const T* outputs, const T*, Actions<const T> a, T* d_outputs, T*) const override {
    const Index A = this->action_width;
    const Split s(*this, rows, outputs);
    SmallBuffer<T, 4096> d(2 * rows * A);
    gaussian::score<T>({a.real, rows, A}, s.mean(), s.log_std(), {d.data(), rows, A},
                       {d.data() + rows * A, rows, A});
    for (Index r = 0; r < rows; ++r) {
      std::copy_n(d.data() + r * A, A, d_outputs + r * 2 * A);
      std::copy_n(d.data() + (rows + r) * A, A, d_outputs + r * 2 * A + A);
    }
  }
  void sample(Index rows, const T* outputs, const T*, const T* noise, Actions<T> a) const override {
    const Index A = this->action_width;
    for (Index r = 0; r < rows; ++r) {
      for (Index j = 0; j < A; ++j) {
        const T std = vecmath::exp(outputs[r * 2 * A + A + j] + init_log_std_);
        a.real[r * A + j] = outputs[r * 2 * A + j] + std * noise[r * A + j];
      }
    }
  }
  void mode(Index rows, const T* outputs, const T*, Actions<T> a) const override {
    const Index A = this->action_width;
    for (Index r = 0; r < rows; ++r) std::copy_n(outputs + r * 2 * A, A, a.real + r * A);
  }
  void entropy(Index rows, const T* outputs, const T*, T* out) const override {
    const Split s(*this, rows, outputs);
    gaussian::entropy<T>(s.log_std().rows, {out, rows});
  }
  void add_entropy_gradient(Index rows, const T*, T scale, T* d_outputs, T*) const override {
    const Index A = this->action_width;
    for (Index r = 0; r < rows; ++r) {
      for (Index j = 0; j < A; ++j) d_outputs[r * 2 * A + A + j] += scale;
    }
  }
  void kl(Index rows, const T* outputs_old, const T*, const T* outputs, const T*, T* out) const override {
    const Split old(*this, rows, outputs_old), now(*this, rows, outputs);
    gaussian::kl<T>(old.mean(), old.log_std(), now.mean(), now.log_std(), {out, rows});
  }
  // The block is diagonal, 1/σ² for means and 2 for log σ; the state is the root of that.
  void fisher_state(Index rows, const T* outputs, T* state) const override {
    const Index A = this->action_width;
    for (Index r = 0; r < rows; ++r) {
      for (Index j = 0; j < A; ++j) {
        state[r * 2 * A + j] = vecmath::exp(-(outputs[r * 2 * A + A + j] + init_log_std_));
        state[r * 2 * A + A + j] = T(1.4142135623730950488);
      }
    }
  }
  void fisher_outputs(Index rows, const T* state, const T*, T scale, T* x) const override {
    for (Index i = 0; i < rows * this->num_outputs; ++i) x[i] = over_variance(scale * x[i], state[i]);
  }
  void fisher_root(Index rows, const T* state, const T*, Index k, T* x) const override {
    const Index O = this->num_outputs;
    std::fill_n(x, rows * O, T(0));
    for (Index r = 0; r < rows; ++r) x[r * O + k] = state[r * O + k];
  }
  void fisher_free(const T*, const T*, T*) const override {}

 private:
  // Mean and log σ as two contiguous arrays.
  class Split {
   public:
    Split(const StateGaussianHead& head, Index rows, const T* outputs)
        : rows_(rows), A_(head.action_width), buffer_(2 * rows * A_) {
      const Index A = head.action_width;
      for (Index r = 0; r < rows; ++r) {
        for (Index j = 0; j < A; ++j) {
          buffer_[r * A + j] = outputs[r * 2 * A + j];
          buffer_[(rows + r) * A + j] = outputs[r * 2 * A + A + j] + head.init_log_std_;
        }
      }
    }
    Rows<const T> mean() const { return {buffer_.data(), rows_, A_}; }
    gaussian::LogStd<T> log_std() const { return {{buffer_.data() + rows_ * A_, rows_, A_}, false}; }

   private:
    Index rows_, A_;
    SmallBuffer<T, 4096> buffer_;
  };

  T init_log_std_;
};

// Mean from the network, covariance L Lᵀ. L is learned (free_params: its row-major lower triangle with the
// log of the diagonal), or fixed (no free_params).
template <class T>
class FullGaussianHead final : public Head<T> {
 public:
  explicit FullGaussianHead(Index A) : Head<T>(A, A * (A + 1) / 2, A, false) {}
  FullGaussianHead(Index A, std::vector<double> fixed_tril)
      : Head<T>(A, 0, A, false), fixed_(std::move(fixed_tril)) {}

  void log_prob(Index rows, const T* mean, const T* free_params, Actions<const T> a, T* out) const override {
    const Index A = this->action_width;
    gaussian::log_prob_tril<T, double>({a.real, rows, A}, {mean, rows, A}, Factor(*this, free_params).view(),
                                       {out, rows});
  }
  void score(Index rows, const T* mean, const T* free_params, Actions<const T> a, T* d_mean,
             T* d_free) const override {
    const Index A = this->action_width, E = this->num_free;
    Factor L(*this, free_params);
    SmallBuffer<T, 4096> d_tril(rows * A * A);
    gaussian::score_tril<T, double>({a.real, rows, A}, {mean, rows, A}, L.view(), {d_mean, rows, A},
                                    {d_tril.data(), rows, A * A}, true);
    if (E == 0) return;
    for (Index r = 0; r < rows; ++r) {
      const T* d = d_tril.data() + r * A * A;
      T* e = d_free + r * E;
      for (Index i = 0; i < A; ++i) {
        for (Index j = 0; j <= i; ++j) *e++ = d[i * A + j];
      }
    }
  }
  void sample(Index rows, const T* mean, const T* free_params, const T* noise, Actions<T> a) const override {
    const Index A = this->action_width;
    const Factor L(*this, free_params);
    for (Index r = 0; r < rows; ++r) {
      for (Index i = 0; i < A; ++i) {
        double x = static_cast<double>(mean[r * A + i]);
        for (Index j = 0; j <= i; ++j) x += L.data()[i * A + j] * static_cast<double>(noise[r * A + j]);
        a.real[r * A + i] = static_cast<T>(x);
      }
    }
  }
  void mode(Index rows, const T* mean, const T*, Actions<T> a) const override {
    std::copy_n(mean, rows * this->action_width, a.real);
  }
  void entropy(Index rows, const T*, const T* free_params, T* out) const override {
    const Index A = this->action_width;
    const double constant = (gaussian::half_log_2pi + 0.5) * static_cast<double>(A);
    std::fill(out, out + rows,
              static_cast<T>(constant + gaussian::log_det<double>(Factor(*this, free_params).view())));
  }
  // Σ log L_ii, and the parameters of the diagonal are these logs.
  void add_entropy_gradient(Index rows, const T*, T scale, T*, T* d_free) const override {
    for (Index r = 0; this->num_free > 0 && r < rows; ++r) {
      for (Index i = 0; i < this->action_width; ++i) d_free[r * this->num_free + i * (i + 3) / 2] += scale;
    }
  }
  void kl(Index rows, const T* mean_old, const T* free_old, const T* mean, const T* free_params,
          T* out) const override {
    const Factor old(*this, free_old), now(*this, free_params);
    const Index A = this->action_width;
    gaussian::kl_tril<T, double>({mean_old, rows, A}, old.view(), {mean, rows, A}, now.view(), {out, rows});
  }
  void fisher_state(Index, const T*, T*) const override {}
  void fisher_outputs(Index rows, const T*, const T* free_params, T scale, T* x) const override {
    const Index A = this->action_width;
    const Factor L(*this, free_params);
    for (Index r = 0; r < rows; ++r) {
      T* row = x + r * A;
      L.solve(row, 1);
      L.solve_transposed(row, 1);
      for (Index i = 0; i < A; ++i) row[i] *= scale;
    }
  }
  void fisher_root(Index rows, const T*, const T* free_params, Index k, T* x) const override {
    const Index A = this->action_width;
    const Factor L(*this, free_params);
    std::fill_n(x, A, T(0));
    x[k] = T(1);
    L.solve_transposed(x, 1);  // Σ⁻¹ = L⁻ᵀ L⁻¹
    for (Index r = 1; r < rows; ++r) std::copy_n(x, A, x + r * A);
  }
  // vᵀ F v = ‖X‖² + Σ X_ii² with X = L⁻¹ dL, where dL_ii = L_ii v_ii. So F v = tril(L⁻ᵀ (X + diag X)).
  void fisher_free(const T* free_params, const T* v, T* out) const override {
    const Index A = this->action_width;
    if (this->num_free == 0) return;
    const Factor L(*this, free_params);
    SmallBuffer<double, 256> X(A * A);
    std::fill_n(X.data(), A * A, 0.0);
    for (Index i = 0; i < A; ++i) {
      for (Index j = 0; j < i; ++j) X[i * A + j] = static_cast<double>(*v++);
      X[i * A + i] = L.data()[i * A + i] * static_cast<double>(*v++);
    }
    for (Index j = 0; j < A; ++j) {
      L.solve(X.data() + j, A);
      X[j * A + j] *= 2;
      L.solve_transposed(X.data() + j, A);
    }
    for (Index i = 0; i < A; ++i) {
      for (Index j = 0; j < i; ++j) *out++ = static_cast<T>(X[i * A + j]);
      *out++ = static_cast<T>(X[i * A + i] * L.data()[i * A + i]);
    }
  }

 private:
  // L as a square matrix, in double: e^free_params may leave the range of T.
  class Factor {
   public:
    Factor(const FullGaussianHead& head, const T* free_params)
        : A_(head.action_width), buffer_(head.action_width * head.action_width) {
      const Index A = A_;
      if (!head.fixed_.empty()) {
        std::copy(head.fixed_.begin(), head.fixed_.end(), buffer_.data());
        return;
      }
      std::fill_n(buffer_.data(), A * A, 0.0);
      for (Index i = 0; i < A; ++i) {
        for (Index j = 0; j < i; ++j) buffer_[i * A + j] = static_cast<double>(*free_params++);
        buffer_[i * A + i] = std::exp(static_cast<double>(*free_params++));
      }
    }
    const double* data() const { return buffer_.data(); }
    Rows<const double> view() const { return {data(), A_, A_}; }

    // x ← L⁻¹ x and x ← L⁻ᵀ x, for a vector whose entries are `stride` apart.
    template <class X>
    void solve(X* x, Index stride) const {
      const LowerTriangle<double> L(data(), A_);
      solve_lower(L, Column<double, X>(L, x, stride));
    }
    template <class X>
    void solve_transposed(X* x, Index stride) const {
      const LowerTriangle<double> L(data(), A_);
      solve_lower_transposed(L, Column<double, X>(L, x, stride));
    }

   private:
    Index A_;
    SmallBuffer<double, 256> buffer_;
  };

  std::vector<double> fixed_;
};

}  // namespace pgcore
