// Rows are short, so groups of rows are taken together and exponentials run over one flat buffer.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "row_groups.hpp"
#include "sums.hpp"
#include "vecmath.hpp"

namespace pgcore::categorical {

// Anonymous, as functions in activate.hpp are static: heads.cpp and categorical.cpp are compiled by flags of
// their own.
namespace {

template <class T>
T largest_of(const T* x, Index K) {
  T largest = -std::numeric_limits<T>::infinity();
  for (Index k = 0; k < K; ++k) largest = x[k] > largest ? x[k] : largest;
  return largest;
}

// Softmax of a group of rows, kept as what it is made of: weight_k = e^shifted_k, 1 for the most probable,
// and the sum of the other weights, `others`. Near certainty 1 − p of the most probable is known by that sum
// alone.
template <class T>
class Softmax {
 public:
  explicit Softmax(Index K) : K_(K), buffer_(2 * group * K) {}

  // Rows lie `stride` apart, so that K may be a slice of wider rows.
  void load(const T* logits, Index stride, Index rows) {
    for (Index r = 0; r < rows; ++r) {
      const T* x = logits + r * stride;
      T* const shifted_row = buffer_.data() + r * K_;
      const T largest = largest_of(x, K_);
      PGCORE_INDEPENDENT
      for (Index k = 0; k < K_; ++k) shifted_row[k] = x[k] - largest;
      largest_[r] = largest;
    }
    T *const shifted = buffer_.data(), *const weights = shifted + group * K_;
    PGCORE_INDEPENDENT
    for (Index i = 0; i < rows * K_; ++i) weights[i] = vecmath::exp(shifted[i]);
    for (Index r = rows; r < group; ++r) others_[r] = T(1);  // unused
    if (K_ == 2) {                                           // one of them is 1
      for (Index r = 0; r < rows; ++r) others_[r] = weights[2 * r] * weights[2 * r + 1];
    } else {
      sum_others(weights, rows);
    }
    for (Index r = 0; r < group; ++r) log_sum_[r] = vecmath::log1p(others_[r]);
  }
  T largest(Index r) const { return largest_[r]; }
  T shifted(Index r, Index k) const { return buffer_.data()[r * K_ + k]; }
  const T* weights(Index r) const { return buffer_.data() + (group + r) * K_; }
  T weight(Index r, Index k) const { return buffer_.data()[(group + r) * K_ + k]; }
  T sum(Index r) const { return T(1) + others_[r]; }
  T log_prob(Index r, Index k) const { return shifted(r, k) - log_sum_[r]; }
  T prob(Index r, Index k) const { return weight(r, k) / sum(r); }

  // row ← onehot(chosen) − p; what the chosen one lacks to 1 is what the others have.
  void score(Index r, Index chosen, T* row) const {
    const T scale = T(-1) / sum(r), *w = weights(r);
    PGCORE_INDEPENDENT
    for (Index k = 0; k < K_; ++k) row[k] = w[k] * scale;
    row[chosen] = (others_[r] + (T(1) - w[chosen])) * -scale;
  }
  // Σ p (log p_max − log p); a probability of zero contributes nothing.
  T mean_shortfall(Index r) const {
    const T *shift = buffer_.data() + r * K_, *w = shift + group * K_;
    return row_sum<T>(K_, [=](Index k) { return w[k] == 0 ? T(0) : -w[k] * shift[k]; }) / sum(r);
  }
  // −Σ p log p, as a sum of terms none of which is negative.
  T entropy(Index r) const { return log_sum_[r] + mean_shortfall(r); }

 private:
  void sum_others(const T* weights, Index rows) {
    for (Index r = 0; r < rows; ++r) {
      const T* w = weights + r * K_;
      others_[r] = row_sum<T>(K_, [=](Index k) { return w[k]; }) - T(1);
    }
    int nearly_certain = 0;
    for (Index r = 0; r < group; ++r) nearly_certain |= others_[r] < T(0.125);
    // There the 1 of the most probable has cost the others digits: they are added without it.
    for (Index r = 0; nearly_certain && r < rows; ++r) {
      const T* w = weights + r * K_;
      const T below_one = row_sum<T>(K_, [=](Index k) { return w[k] < T(1) ? w[k] : T(0); });
      others_[r] = others_[r] < T(0.125) ? below_one : others_[r];
    }
  }

  Index K_;
  SmallBuffer<T> buffer_;
  T largest_[group], others_[group], log_sum_[group];
};

// KL(p‖q) of a group of rows. Let t_k = log q_k − log p_k up to a constant for each row, and t̄ its mean under
// p. Then KL = log Σ p e^(t − t̄) = log(1 + Σ p (e^x − 1 − x)), x = t − t̄: no term is negative, and none is
// found by taking nearly equal numbers from each other unless the logits themselves are such numbers.
template <class T>
class Divergence {
 public:
  explicit Divergence(Index K) : K_(K), p_(K), buffer_(group * K) {}

  void load(const T* logits_p, const T* logits_q, Index stride, Index rows) {
    p_.load(logits_p, stride, rows);
    T* const x = buffer_.data();
    T drift[group] = {}, mean[group] = {}, inverse_sum[group], total[group] = {};
    for (Index r = 0; r < rows; ++r) {
      const T *p = logits_p + r * stride, *q = logits_q + r * stride, *w = p_.weights(r);
      T* t = x + r * K_;
      const T by = largest_of(q, K_) - p_.largest(r);
      drift[r] = by;
      PGCORE_INDEPENDENT
      for (Index k = 0; k < K_; ++k) t[k] = (q[k] == p[k] ? T(0) : q[k] - p[k]) - by;  // also for −∞ twice
      mean[r] = row_sum<T>(K_, [=](Index k) { return w[k] * t[k]; });
    }
    for (Index r = 0; r < group; ++r) inverse_sum[r] = T(1) / p_.sum(r);
    for (Index r = 0; r < group; ++r) mean[r] *= inverse_sum[r];
    for (Index r = 0; r < rows; ++r) {
      const T m = mean[r];
      for (Index k = 0; k < K_; ++k) x[r * K_ + k] -= m;
    }
    // Beyond 30, w e^x may have left the range of T: infinity marks it.
    PGCORE_INDEPENDENT
    for (Index i = 0; i < rows * K_; ++i) {
      x[i] = x[i] > T(30) ? std::numeric_limits<T>::infinity() : vecmath::exp_excess(x[i]);
    }
    for (Index r = 0; r < rows; ++r) {
      const T *w = p_.weights(r), *excess = x + r * K_;
      total[r] = row_sum<T>(K_, [=](Index k) { return w[k] * excess[k]; });
    }
    for (Index r = 0; r < group; ++r) kl_[r] = vecmath::log1p(total[r] * inverse_sum[r]);
    int any_far = 0;
    for (Index r = 0; r < group; ++r) any_far |= is_far(drift[r], kl_[r]);
    for (Index r = 0; any_far && r < rows; ++r) {
      if (is_far(drift[r], kl_[r])) kl_[r] = far(logits_p + r * stride, logits_q + r * stride);
    }
  }
  T operator[](Index r) const { return kl_[r]; }

 private:
  // Also for NaN.
  static bool is_far(T drift, T kl) {
    return !(std::abs(drift) <= T(16)) | !(kl < std::numeric_limits<T>::infinity());
  }
  // Σ p (e^d − 1 − d) with d = log q − log p, where e^d p is taken as q unless d is small.
  T far(const T* p, const T* q) const {
    const double top_p = static_cast<double>(largest_of(p, K_)),
                 top_q = static_cast<double>(largest_of(q, K_));
    const double log_sum_p = log_sum(p, top_p), log_sum_q = log_sum(q, top_q);
    return static_cast<T>(lane_sum(K_, [=](Index k) {
      const double log_p = (static_cast<double>(p[k]) - top_p) - log_sum_p;
      const double log_q = (static_cast<double>(q[k]) - top_q) - log_sum_q;
      const double prob_p = vecmath::exp(log_p), prob_q = vecmath::exp(log_q), d = log_q - log_p;
      if (static_cast<T>(prob_p) == 0) return prob_q;
      return std::abs(d) < 1 ? prob_p * vecmath::exp_excess(d) : (prob_q - prob_p) - prob_p * d;
    }));
  }
  double log_sum(const T* x, double top) const {
    const auto weight = [=](Index k) { return vecmath::exp(static_cast<double>(x[k]) - top); };
    const double small = lane_sum(K_, [=](Index k) { return weight(k) < 1 ? weight(k) : 0.0; });
    const double ones = lane_sum(K_, [=](Index k) { return weight(k) < 1 ? 0.0 : weight(k); });
    return std::log1p(small + (ones - 1));
  }

  Index K_;
  Softmax<T> p_;
  SmallBuffer<T> buffer_;
  T kl_[group];
};

}  // namespace
}  // namespace pgcore::categorical
