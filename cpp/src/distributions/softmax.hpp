// Rows are short, so groups of rows are taken together and exponentials run over one flat buffer.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "math/compiler.hpp"
#include "math/lanes.hpp"
#include "math/memory.hpp"
#include "math/simd.hpp"
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

// Registers as wide as those of the loops around: acting has narrower ones (nn/few_rows.hpp).
#if defined(PGCORE_ACTING)
constexpr int bytes = std::min(32, simd::register_bytes);
#else
constexpr int bytes = simd::register_bytes;
#endif
template <class T>
using Numbers = Register<T, bytes>;

template <class T>
PGCORE_INLINE inline Numbers<T> numbers(const T* x) {
  Numbers<T> y;
  simd::load(x, y);
  return y;
}

// Where the numbers of a group of rows are in a buffer. Short rows are transposed, with a lane for each, so
// that what is done to a row is done to all of them at once; lanes without a row are 0. Longer rows stay as
// they are. Registers of numbers may reach beyond the end of a row, and of the last one: a buffer has
// `capacity`.
template <class T>
class Tile {
 public:
  static constexpr Index width = lanes_of<T, bytes>;

  explicit Tile(Index K) : K_(K) {}
  void resize(Index rows) { rows_ = rows; }
  Index rows() const { return rows_; }
  Index size() const { return transposed() ? group * K_ : rows_ * K_; }
  Index capacity() const { return padded<T>(group * K_ + width); }
  Index at(Index r, Index k) const { return transposed() ? k * group + r : r * K_ + k; }

  void load(const T* x, Index stride, T* out) const {
    if (!transposed()) {
      const bool apart = stride != K_;
      for (Index r = 0; r < (apart ? rows_ : 1); ++r) {
        std::copy_n(x + r * stride, apart ? K_ : rows_ * K_, out + r * K_);
      }
    } else if (rows_ == group) {
      for (Index k = 0; k < K_; ++k) {
        PGCORE_INDEPENDENT
        for (Index r = 0; r < group; ++r) out[k * group + r] = x[r * stride + k];
      }
    } else {
      for (Index k = 0; k < K_; ++k) {
        for (Index r = 0; r < group; ++r) out[k * group + r] = r < rows_ ? x[r * stride + k] : T(0);
      }
    }
  }
  // Rows of `out`, which begin `stride` apart, ← those of x times a factor for each.
  void store_scaled(const T* x, const T* factor, T* out, Index stride) const {
    if (transposed()) {
      for (Index k = 0; k < K_; ++k) {
        for (Index r = 0; r < rows_; ++r) out[r * stride + k] = x[k * group + r] * factor[r];
      }
      return;
    }
    for (Index r = 0; r < rows_; ++r, x += K_, out += stride) {
      PGCORE_INDEPENDENT
      for (Index k = 0; k < K_; ++k) out[k] = x[k] * factor[r];
    }
  }
  // out[i …] ← f(i, numbers of their rows).
  template <class F>
  PGCORE_INLINE void map(F&& f, const T* of_row, T* out) const {
    if (transposed()) {
      for (Index k = 0; k < K_; ++k) {
        for (Index r = 0; r < group; r += width) {
          simd::store(f(k * group + r, numbers(of_row + r)), out + k * group + r);
        }
      }
      return;
    }
    for (Index r = 0; r < rows_; ++r) {
      const Numbers<T> of_this = Numbers<T>{} + of_row[r];
      Index i = r * K_;
      const Index end = i + K_;
      for (; i + width <= end; i += width) simd::store(f(i, of_this), out + i);
      if (i < end) simd::store(simd::only_lanes<T>(0, end - i, f(i, of_this), numbers(out + i)), out + i);
    }
  }
  // out[row] ← f(i) + … over the row's numbers, where Op says what is added.
  template <class Op, class F>
  PGCORE_INLINE void reduce(T neutral, F&& f, T* out) const {
    if (transposed()) {
      for (Index r = 0; r < group; r += width) {
        Numbers<T> y = f(r);
        for (Index k = 1; k < K_; ++k) Op::add(f(k * group + r), y);
        simd::store(y, out + r);
      }
      return;
    }
    reduce_rows<Op, bytes>(
        rows_, K_, neutral, [&](Index r, Index k) PGCORE_INLINE { return f(r * K_ + k); }, out);
  }
  void largest(const T* x, T* out) const {
    reduce<Largest>(
        -std::numeric_limits<T>::infinity(), [=](Index i) PGCORE_INLINE { return numbers(x + i); }, out);
  }
  template <class F>
  PGCORE_INLINE void sum(F&& f, T* out) const {
    reduce<Sum>(T(0), f, out);
  }

 private:
  bool transposed() const { return K_ <= 8; }  // of more, copying them takes longer than it saves

  Index K_, rows_ = 0;
};

// f(row) for all rows of a group.
template <class F>
PGCORE_INLINE inline void for_rows(F&& f) {
  PGCORE_INDEPENDENT
  for (Index r = 0; r < group; ++r) f(r);
}

// Softmax of a group of rows, kept as what it is made of: weight_k = e^shifted_k, 1 for the most probable,
// and the sum of the other weights, `others`. Near certainty 1 − p of the most probable is known by that sum
// alone.
template <class T>
class Softmax {
 public:
  explicit Softmax(Index K) : tile_(K), buffer_(2 * tile_.capacity()) {}

  // Rows begin `stride` apart, so that K may be a slice of wider rows.
  void load(const T* logits, Index stride, Index rows) {
    tile_.resize(rows);
    tile_.load(logits, stride, buffer_.data());
    load(tile_, buffer_.data());
  }
  // Of logits that are in a tile already.
  void load(const Tile<T>& tile, const T* logits) {
    tile_ = tile;
    tile_.largest(logits, largest_);
    const Index size = tile_.size();
    T *const shifted = buffer_.data(), *const weights = shifted + tile_.capacity();
    tile_.map([=](Index i, const auto& largest) PGCORE_INLINE { return numbers(logits + i) - largest; },
              largest_, shifted);
    PGCORE_INDEPENDENT
    for (Index i = 0; i < size; ++i) weights[i] = vecmath::exp_to_one(shifted[i]);
    // Near certainty, adding the most probable's 1 costs the others digits: they are added without it.
    T all[group], below_one[group], *const others = others_;
    tile_.sum([=](Index i) PGCORE_INLINE { return numbers(weights + i); }, all);
    tile_.sum([=](Index i) PGCORE_INLINE { return simd::if_below(T(1), numbers(weights + i)); }, below_one);
    for_rows([=, &all, &below_one](Index r) {
      const T rest = all[r] - T(1);
      others[r] = rest < T(0.125) ? below_one[r] : rest;
    });
  }
  Index rows() const { return tile_.rows(); }
  const T* weights() const { return buffer_.data() + tile_.capacity(); }
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
    const T* const others = others_;
    for_rows([=, &scale](Index r) { scale[r] = T(-1) / (T(1) + others[r]); });
    tile_.store_scaled(weights(), scale, out, stride);
    for (Index r = 0; r < tile_.rows(); ++r) {
      const Index k = chosen(r);
      out[r * stride + k] = (others[r] + (T(1) - weight(r, k))) * -scale[r];
    }
  }
  // Σ p (log p_max − log p) of every row; a probability of zero contributes nothing.
  void mean_shortfalls(T* out) const {
    T shortfall[group];
    shortfalls(shortfall);
    std::copy_n(shortfall, tile_.rows(), out);
  }
  // −Σ p log p of every row, as a sum of terms none of which is negative.
  void entropies(T* out) const {
    T log_sum[group], shortfall[group];
    log_sums(log_sum);
    shortfalls(shortfall);
    for_rows([&](Index r) { shortfall[r] += log_sum[r]; });
    std::copy_n(shortfall, tile_.rows(), out);
  }

 private:
  void log_sums(T* out) const {
    const T* const others = others_;
    for_rows([=](Index r) { out[r] = vecmath::log1p(others[r]); });
  }
  void shortfalls(T* out) const {
    const T *shifted = buffer_.data(), *w = weights(), *others = others_;
    const Numbers<T> lowest = Numbers<T>{} + std::numeric_limits<T>::lowest();
    tile_.sum([=](Index i)
                  PGCORE_INLINE { return numbers(w + i) * simd::larger(numbers(shifted + i), lowest); },
              out);
    for_rows([=](Index r) { out[r] = -out[r] / (T(1) + others[r]); });
  }

  Tile<T> tile_;
  SmallBuffer<T, 1088> buffer_;  // up to 32 choices on the stack
  T largest_[group] = {}, others_[group] = {};
};

// KL(p‖q) of a group of rows. Let t_k = log q_k − log p_k up to a constant for each row, and t̄ its mean under
// p. Then KL = log Σ p e^(t − t̄) = log(1 + Σ p (e^x − 1 − x)), x = t − t̄: no term is negative, and none is
// the difference of nearly equal numbers, unless the logits themselves are nearly equal.
template <class T>
class Divergence {
 public:
  explicit Divergence(Index K) : K_(K), tile_(K), p_(K), buffer_(2 * tile_.capacity()) {}

  void load(const T* logits_p, const T* logits_q, Index stride, Index rows) {
    tile_.resize(rows);
    T *const p = buffer_.data(), *const x = p + tile_.capacity(), *const kl = kl_;
    const Index size = tile_.size();
    tile_.load(logits_p, stride, p);
    tile_.load(logits_q, stride, x);
    p_.load(tile_, p);
    const T* const w = p_.weights();
    T drift[group] = {}, mean[group] = {}, inverse_sum[group];
    tile_.largest(x, drift);
    for_rows([&, this](Index r) { drift[r] -= p_.largest(r); });
    for_rows([&, this](Index r) { inverse_sum[r] = T(1) / p_.sum(r); });
    tile_.map([=](Index i, const auto& of_row)
                  PGCORE_INLINE { return simd::difference(numbers(x + i), numbers(p + i)) - of_row; },
              drift, x);
    tile_.sum([=](Index i) PGCORE_INLINE { return numbers(w + i) * numbers(x + i); }, mean);
    for_rows([&](Index r) { mean[r] *= inverse_sum[r]; });
    tile_.map([=](Index i, const auto& of_row) PGCORE_INLINE { return numbers(x + i) - of_row; }, mean, x);
    // Beyond 30, w e^x may have left the range of T: infinity marks it.
    PGCORE_INDEPENDENT
    for (Index i = 0; i < size; ++i) {
      x[i] = x[i] > T(30) ? std::numeric_limits<T>::infinity() : vecmath::exp_excess(x[i]);
    }
    tile_.sum([=](Index i) PGCORE_INLINE { return numbers(w + i) * numbers(x + i); }, kl);
    for_rows([=, &inverse_sum](Index r) { kl[r] = vecmath::log1p(kl[r] * inverse_sum[r]); });
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
  Tile<T> tile_;
  Softmax<T> p_;
  SmallBuffer<T, 1088> buffer_;
  T kl_[group] = {};
};

}  // namespace
}  // namespace pgcore::categorical
