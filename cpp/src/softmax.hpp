// Rows are short, so groups of rows are taken together and exponentials run over one flat buffer.
#pragma once

#include <algorithm>
#include <limits>

#include "row_groups.hpp"
#include "vecmath.hpp"

namespace pgcore::categorical {

// Anonymous, as functions in activate.hpp are static: heads.cpp and categorical.cpp are compiled by flags of
// their own.
namespace {

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

}  // namespace
}  // namespace pgcore::categorical
