// The categorical distribution over 0 … K − 1, given by logits: log-probability, score, divergence, entropy.
//
// Rows are short, so groups of rows are taken together and exponentials run over one flat buffer.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "pgcore/row_groups.hpp"
#include "pgcore/sums.hpp"
#include "pgcore/vecmath.hpp"

namespace pgcore::categorical {

// Softmax of a group of rows, kept as what it is made of: p_k = weight_k / sum, log p_k = shifted_k −
// log_sum.
template <class T>
class Softmax {
 public:
  explicit Softmax(Index K) : K_(K), buffer_(2 * group * K) {}

  // Rows lie `stride` apart, so that K may be a slice of wider rows.
  void load(const T* logits, Index stride, Index rows) {
    T* const shifted_row = buffer_.data();
    for (Index r = 0; r < rows; ++r) {
      const T* x = logits + r * stride;
      T largest = -std::numeric_limits<T>::infinity();
      for (Index k = 0; k < K_; ++k) largest = x[k] > largest ? x[k] : largest;
      for (Index k = 0; k < K_; ++k) shifted_row[r * K_ + k] = x[k] - largest;
    }
    T* const weights = buffer_.data() + group * K_;
    PGCORE_INDEPENDENT
    for (Index i = 0; i < rows * K_; ++i) weights[i] = vecmath::exp(shifted_row[i]);
    for (Index r = 0; r < group; ++r) sum_[r] = T(1);
    for (Index r = 0; r < rows; ++r) {
      sum_[r] = 0;
      for (Index k = 0; k < K_; ++k) sum_[r] += weights[r * K_ + k];
    }
    for (Index r = 0; r < group; ++r) log_sum_[r] = vecmath::log_from_one(sum_[r]);
  }
  T log_prob(Index r, Index k) const { return buffer_.data()[r * K_ + k] - log_sum_[r]; }
  T weight(Index r, Index k) const { return buffer_.data()[(group + r) * K_ + k]; }
  T sum(Index r) const { return sum_[r]; }
  T prob(Index r, Index k) const { return weight(r, k) / sum_[r]; }

  // −Σ p log p; a probability of zero contributes nothing.
  T entropy(Index r) const {
    T total = 0;
    for (Index k = 0; k < K_; ++k) total -= weight(r, k) == 0 ? T(0) : prob(r, k) * log_prob(r, k);
    return total;
  }
  // Σ p (log p − log q).
  T kl(const Softmax& q, Index r) const {
    T total = 0;
    for (Index k = 0; k < K_; ++k) {
      total += weight(r, k) == 0 ? T(0) : prob(r, k) * (log_prob(r, k) - q.log_prob(r, k));
    }
    return total;
  }

 private:
  Index K_;
  SmallBuffer<T> buffer_;
  T sum_[group], log_sum_[group];
};

template <class T>
void log_prob(Index num_rows, Index K, const std::int64_t* actions, const T* logits, T* out) {
  const auto softmax_of_block = [=] { return Softmax<T>(K); };
  for_groups(num_rows, K, softmax_of_block, [&](Softmax<T>& softmax, Index first, Index rows) {
    softmax.load(logits + first * K, K, rows);
    for (Index r = 0; r < rows; ++r) out[first + r] = softmax.log_prob(r, actions[first + r]);
  });
}

// onehot(a) − softmax(logits).
template <class T>
void score(Index num_rows, Index K, const std::int64_t* actions, const T* logits, T* out) {
  const auto softmax_of_block = [=] { return Softmax<T>(K); };
  for_groups(num_rows, K, softmax_of_block, [&](Softmax<T>& softmax, Index first, Index rows) {
    softmax.load(logits + first * K, K, rows);
    for (Index r = 0; r < rows; ++r) {
      T* row = out + (first + r) * K;
      for (Index k = 0; k < K; ++k) row[k] = -softmax.prob(r, k);
      row[actions[first + r]] += T(1);
    }
  });
}

template <class T>
void kl(Index num_rows, Index K, const T* logits_p, const T* logits_q, T* out) {
  struct Pair {
    Softmax<T> p, q;
  };
  const auto pair_of_block = [=] { return Pair{Softmax<T>(K), Softmax<T>(K)}; };
  for_groups(num_rows, K, pair_of_block, [&](Pair& pair, Index first, Index rows) {
    pair.p.load(logits_p + first * K, K, rows);
    pair.q.load(logits_q + first * K, K, rows);
    for (Index r = 0; r < rows; ++r) out[first + r] = pair.p.kl(pair.q, r);
  });
}

template <class T>
void entropy(Index num_rows, Index K, const T* logits, T* out) {
  const auto softmax_of_block = [=] { return Softmax<T>(K); };
  for_groups(num_rows, K, softmax_of_block, [&](Softmax<T>& softmax, Index first, Index rows) {
    softmax.load(logits + first * K, K, rows);
    for (Index r = 0; r < rows; ++r) out[first + r] = softmax.entropy(r);
  });
}

}  // namespace pgcore::categorical
