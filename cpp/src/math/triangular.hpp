// Forward and backward substitution with a lower triangular matrix L: one order of elimination for every kind
// of factor and of right-hand side.
//
// A factor has `size()` and entries `at(i, j)`, i ≥ j. Right-hand sides have
// `eliminate(i, first, last, coefficient)`: x_i ← (x_i − Σ_j coefficient(j) x_j)/L_ii over j in first … last
// − 1, each in the order and the precision that suit it.
#pragma once

#include "math/compiler.hpp"
#include "pgcore/types.hpp"

namespace pgcore {

// x ← L⁻¹ x.
template <class Factor, class X>
PGCORE_INLINE inline void solve_lower(const Factor& L, const X& x) {
  for (Index i = 0; i < L.size(); ++i) {
    x.eliminate(i, Index{0}, i, [&](Index j) PGCORE_INLINE { return L.at(i, j); });
  }
}

// x ← L⁻ᵀ x.
template <class Factor, class X>
PGCORE_INLINE inline void solve_lower_transposed(const Factor& L, const X& x) {
  for (Index i = L.size() - 1; i >= 0; --i) {
    x.eliminate(i, i + 1, L.size(), [&](Index j) PGCORE_INLINE { return L.at(j, i); });
  }
}

// The lower triangle of a row-major matrix whose rows begin `stride` apart; entries above the diagonal are
// never read.
template <class S>
class LowerTriangle {
 public:
  LowerTriangle(const S* data, Index size, Index stride) : data_(data), size_(size), stride_(stride) {}
  LowerTriangle(const S* data, Index size) : LowerTriangle(data, size, size) {}

  Index size() const { return size_; }
  double at(Index i, Index j) const { return static_cast<double>(data_[i * stride_ + j]); }
  // Without the first k rows and columns.
  LowerTriangle from(Index k) const { return {data_ + k * (stride_ + 1), size_ - k, stride_}; }

 private:
  const S* data_;
  Index size_, stride_;
};

// One right-hand side, solved in double; its entries are `stride` apart.
template <class S, class X>
class Column {
 public:
  Column(const LowerTriangle<S>& L, X* x, Index stride = 1) : L_(L), x_(x), stride_(stride) {}

  template <class F>
  PGCORE_INLINE void eliminate(Index i, Index first, Index last, F&& coefficient) const {
    double sum = static_cast<double>(x_[i * stride_]);
    for (Index j = first; j < last; ++j) sum -= coefficient(j) * static_cast<double>(x_[j * stride_]);
    x_[i * stride_] = static_cast<X>(sum / L_.at(i, i));
  }

 private:
  const LowerTriangle<S>& L_;
  X* x_;
  Index stride_;
};

}  // namespace pgcore
