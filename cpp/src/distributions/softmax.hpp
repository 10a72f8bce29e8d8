// Rows are short, so groups of rows are taken together and exponentials run over one flat buffer.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "math/compiler.hpp"
#include "math/memory.hpp"
#include "math/sums.hpp"
#include "math/vecmath.hpp"
#include "parallel/row_groups.hpp"
#include "pgcore/types.hpp"

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

// Where the numbers of a group of rows are in a buffer. Short rows are transposed, with a lane for each, so
// that what is done to a row is done to all of them at once; longer rows stay as they are. f gets a number's
// index and its row.
class Tile {
 public:
  explicit Tile(Index K) : K_(K) {}
  void resize(Index rows) { rows_ = rows; }
  Index rows() const { return rows_; }
  Index size() const { return rows_ * K_; }
  Index at(Index r, Index k) const { return transposed() ? k * rows_ + r : r * K_ + k; }

  template <class T>
  void load(const T* x, Index stride, T* out) const {
    if (!transposed()) {
      for (Index r = 0; r < rows_; ++r) std::copy_n(x + r * stride, K_, out + r * K_);
      return;
    }
    with_lanes([=](auto constant) {
      const Index lanes = constant;
      for (Index k = 0; k < K_; ++k) {
        PGCORE_INDEPENDENT
        for (Index r = 0; r < lanes; ++r) out[k * lanes + r] = x[r * stride + k];
      }
    });
  }
  // Rows of `out` ← f(index, row).
  template <class T, class F>
  void store(F&& f, T* out, Index stride) const {
    if (!transposed()) {
      for (Index r = 0; r < rows_; ++r) {
        PGCORE_INDEPENDENT
        for (Index k = 0; k < K_; ++k) out[r * stride + k] = f(r * K_ + k, r);
      }
      return;
    }
    with_lanes([=](auto constant) {
      const Index lanes = constant;
      for (Index k = 0; k < K_; ++k) {
        PGCORE_INDEPENDENT
        for (Index r = 0; r < lanes; ++r) out[r * stride + k] = f(k * lanes + r, r);
      }
    });
  }
  template <class F>
  void for_each(F&& f) const {
    if (!transposed()) {
      for (Index r = 0; r < rows_; ++r) {
        PGCORE_INDEPENDENT
        for (Index k = 0; k < K_; ++k) f(r * K_ + k, r);
      }
      return;
    }
    with_lanes([&](auto constant) {
      const Index lanes = constant;
      for (Index k = 0; k < K_; ++k) {
        PGCORE_INDEPENDENT
        for (Index r = 0; r < lanes; ++r) f(k * lanes + r, r);
      }
    });
  }
  // f(row).
  template <class F>
  void for_rows(F&& f) const {
    with_lanes([&](auto constant) {
      const Index lanes = constant;
      PGCORE_INDEPENDENT
      for (Index r = 0; r < lanes; ++r) f(r);
    });
  }
  template <class T>
  void largest(const T* x, T* out) const {
    if (!transposed()) {
      for (Index r = 0; r < rows_; ++r) out[r] = largest_of(x + r * K_, K_);
      return;
    }
    with_lanes([=](auto constant) {
      const Index lanes = constant;
      T top[group];
      for (Index r = 0; r < lanes; ++r) top[r] = -std::numeric_limits<T>::infinity();
      for (Index k = 0; k < K_; ++k) {
        for (Index r = 0; r < lanes; ++r) top[r] = x[k * lanes + r] > top[r] ? x[k * lanes + r] : top[r];
      }
      for (Index r = 0; r < lanes; ++r) out[r] = top[r];
    });
  }
  // out[row] = Σ f(index) over the row.
  template <class T, class F>
  void sum(F&& f, T* out) const {
    if (!transposed()) {
      for (Index r = 0; r < rows_; ++r) out[r] = row_sum<T>(K_, [&](Index k) { return f(r * K_ + k); });
      return;
    }
    with_lanes([&](auto constant) {
      const Index lanes = constant;
      T total[group] = {};
      for (Index k = 0; k < K_; ++k) {
        for (Index r = 0; r < lanes; ++r) total[r] += f(k * lanes + r);
      }
      for (Index r = 0; r < lanes; ++r) out[r] = total[r];
    });
  }

 private:
  bool transposed() const { return K_ <= 8; }  // of more, copying them takes longer than it saves
  // f(number of rows), a constant where the group is full.
  template <class F>
  void with_lanes(F&& f) const {
    if (rows_ == group) {
      f(std::integral_constant<Index, group>{});
    } else {
      f(rows_);
    }
  }

  Index K_, rows_ = 0;
};

// Softmax of a group of rows, kept as what it is made of: weight_k = e^shifted_k, 1 for the most probable,
// and the sum of the other weights, `others`. Near certainty 1 − p of the most probable is known by that sum
// alone.
template <class T>
class Softmax {
 public:
  explicit Softmax(Index K) : K_(K), tile_(K), buffer_(2 * group * K) {}

  // Rows begin `stride` apart, so that K may be a slice of wider rows.
  void load(const T* logits, Index stride, Index rows) {
    tile_.resize(rows);
    tile_.load(logits, stride, buffer_.data());
    load(tile_, buffer_.data());
  }
  // Of logits that are in a tile already.
  void load(const Tile& tile, const T* logits) {
    tile_ = tile;
    tile_.largest(logits, largest_);
    const Index size = tile_.size();
    T *const shifted = buffer_.data(), *const weights = shifted + group * K_;
    const T* largest = largest_;
    tile_.for_each([=](Index i, Index r) { shifted[i] = logits[i] - largest[r]; });
    PGCORE_INDEPENDENT
    for (Index i = 0; i < size; ++i) weights[i] = vecmath::exp_to_one(shifted[i]);
    T* const others = others_;
    T below_one[group];
    tile_.sum([=](Index i) { return weights[i]; }, others);
    // Near certainty, adding the most probable's 1 cost the others digits: they are added without it.
    tile_.sum([=](Index i) { return weights[i] < T(1) ? weights[i] : T(0); }, below_one);
    tile_.for_rows([=, &below_one](Index r) {
      const T rest = others[r] - T(1);
      others[r] = rest < T(0.125) ? below_one[r] : rest;
    });
  }
  Index rows() const { return tile_.rows(); }
  const T* weights() const { return buffer_.data() + group * K_; }
  T largest(Index r) const { return largest_[r]; }
  T shifted(Index r, Index k) const { return buffer_.data()[tile_.at(r, k)]; }
  T weight(Index r, Index k) const { return weights()[tile_.at(r, k)]; }
  T sum(Index r) const { return T(1) + others_[r]; }
  T prob(Index r, Index k) const { return weight(r, k) / sum(r); }

  // log p of what every row has chosen.
  template <class F>
  void log_prob(F&& chosen, T* out) const {
    T log_sum[group];
    log_sums(log_sum);
    const Index by_row = tile_.at(1, 0), by_choice = tile_.at(0, 1), rows = tile_.rows();
    const T* shifted = buffer_.data();
    for (Index r = 0; r < rows; ++r) out[r] = shifted[r * by_row + chosen(r) * by_choice] - log_sum[r];
  }
  // Rows of `out` ← onehot(chosen(row)) − p; for the chosen one, 1 − p is the sum of the others.
  template <class F>
  void score(F&& chosen, T* out, Index stride) const {
    T scale[group];
    const T *const w = weights(), *const others = others_;
    tile_.for_rows([=, &scale](Index r) { scale[r] = T(-1) / (T(1) + others[r]); });
    tile_.store([=, &scale](Index i, Index r) { return w[i] * scale[r]; }, out, stride);
    for (Index r = 0; r < tile_.rows(); ++r) {
      const Index k = chosen(r);
      out[r * stride + k] = (others[r] + (T(1) - weight(r, k))) * -scale[r];
    }
  }
  // Σ p (log p_max − log p) of every row; a probability of zero contributes nothing. Without a select: GCC 12
  // takes one half's mask for the other half of a lane-wise sum of doubles.
  void mean_shortfalls(T* out) const {
    const T *shift = buffer_.data(), *w = weights();
    tile_.sum([=](Index i) { return w[i] * std::min(-shift[i], std::numeric_limits<T>::max()); }, out);
    for (Index r = 0; r < tile_.rows(); ++r) out[r] /= sum(r);
  }
  // −Σ p log p of every row, as a sum of terms none of which is negative.
  void entropies(T* out) const {
    T log_sum[group];
    log_sums(log_sum);
    mean_shortfalls(out);
    for (Index r = 0; r < tile_.rows(); ++r) out[r] += log_sum[r];
  }

 private:
  void log_sums(T* out) const {
    const T* const others = others_;
    tile_.for_rows([=](Index r) { out[r] = vecmath::log1p(others[r]); });
  }

  Index K_;
  Tile tile_;
  SmallBuffer<T> buffer_;
  T largest_[group], others_[group];
};

// KL(p‖q) of a group of rows. Let t_k = log q_k − log p_k up to a constant for each row, and t̄ its mean under
// p. Then KL = log Σ p e^(t − t̄) = log(1 + Σ p (e^x − 1 − x)), x = t − t̄: no term is negative, and none is
// the difference of nearly equal numbers, unless the logits themselves are nearly equal.
template <class T>
class Divergence {
 public:
  explicit Divergence(Index K) : K_(K), p_(K), buffer_(2 * group * K) {}

  void load(const T* logits_p, const T* logits_q, Index stride, Index rows) {
    Tile tile(K_);
    tile.resize(rows);
    T *const p = buffer_.data(), *const x = p + group * K_, *const kl = kl_;
    const Index size = tile.size();
    tile.load(logits_p, stride, p);
    tile.load(logits_q, stride, x);
    p_.load(tile, p);
    const T* const w = p_.weights();
    T drift[group], mean[group], inverse_sum[group];
    tile.largest(x, drift);
    tile.for_rows([&, this](Index r) { drift[r] -= p_.largest(r); });
    tile.for_rows([&, this](Index r) { inverse_sum[r] = T(1) / p_.sum(r); });
    // Also for −∞ twice.
    tile.for_each([=, &drift](Index i, Index r) { x[i] = (x[i] == p[i] ? T(0) : x[i] - p[i]) - drift[r]; });
    tile.sum([=](Index i) { return w[i] * x[i]; }, mean);
    tile.for_rows([&](Index r) { mean[r] *= inverse_sum[r]; });
    tile.for_each([=, &mean](Index i, Index r) { x[i] -= mean[r]; });
    // Beyond 30, w e^x may have left the range of T: infinity marks it.
    PGCORE_INDEPENDENT
    for (Index i = 0; i < size; ++i) {
      x[i] = x[i] > T(30) ? std::numeric_limits<T>::infinity() : vecmath::exp_excess(x[i]);
    }
    tile.sum([=](Index i) { return w[i] * x[i]; }, kl);
    tile.for_rows([=, &inverse_sum](Index r) { kl[r] = vecmath::log1p(kl[r] * inverse_sum[r]); });
    int any_far = 0;
    for (Index r = 0; r < rows; ++r) any_far |= is_far(drift[r], kl_[r]);
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
