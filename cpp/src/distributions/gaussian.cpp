// Rows are short, so groups of rows are taken together: for a diagonal covariance as one flat run of group·A
// numbers, for a full one transposed, with a lane for each row.
#include "pgcore/gaussian.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <type_traits>

#include "math/compiler.hpp"
#include "math/memory.hpp"
#include "math/simd.hpp"
#include "math/sums.hpp"
#include "math/triangular.hpp"
#include "math/vecmath.hpp"
#include "parallel/row_groups.hpp"

namespace pgcore::gaussian {
namespace {

// out ← 1/√σ. Its square, 1/σ, may overflow where (a − μ)/σ does not. The root stays a normal number, so that
// 0/σ is 0 for any σ; where it would not, σ is so small that any other number divided by it overflows, or so
// large that it underflows.
template <class T>
void inverse_roots(const T* log_std, Index count, T* out) {
  constexpr T bound = std::is_same_v<T, float> ? T(87) : T(708);
  PGCORE_INDEPENDENT
  for (Index k = 0; k < count; ++k) {
    T x = T(-0.5) * log_std[k];
    x = x < -bound ? -bound : x;
    x = x > bound ? bound : x;
    out[k] = vecmath::exp_moderate(x);
  }
}

// out[r] = constant + Σ_a terms[r, a].
template <class T>
void sum_rows(const T* terms, Index rows, Index A, double constant, T* out) {
  if (A > longest_short_row) {
    for (Index r = 0; r < rows; ++r) {
      const auto term = [=](Index a) { return static_cast<double>(terms[r * A + a]); };
      out[r] = static_cast<T>(constant + lane_sum(A, term));
    }
    return;
  }
  const T start = static_cast<T>(constant);
  for (Index r = 0; r < rows; ++r, terms += A) {
    T sum = start;
    Index a = 0;
    // Four sums in one vector: otherwise GCC splits them where registers are wider.
    simd::Vector<T, 4> partial = {}, next;
    for (; a + 4 <= A; a += 4) {
      simd::load(terms + a, next);
      partial += next;
    }
    sum += simd::sum_of_lanes<T>(partial);
    for (; a < A; ++a) sum += terms[a];
    out[r] = sum;
  }
}

// log σ of a group of rows as one flat run, whether there is one row of them or one for each.
template <class T>
class FlatLogStd {
 public:
  FlatLogStd(LogStd<T> log_std, Index A) : log_std_(log_std), repeated_(log_std.shared ? group * A : 0) {
    for (Index r = 0; log_std.shared && r < group; ++r)
      std::copy_n(log_std.row(0), A, repeated_.data() + r * A);
  }
  const T* of(Index first) const { return log_std_.shared ? repeated_.data() : log_std_.row(first); }

 private:
  LogStd<T> log_std_;
  SmallBuffer<T> repeated_;
};

// What diagonal kernels read of a group: log σ and 1/√σ; and room for a term per number.
template <class T>
class DiagonalTiles {
 public:
  DiagonalTiles(LogStd<T> log_std, Index A)
      : flat_(log_std, A), shared_(log_std.shared), A_(A), buffer_(2 * group * A) {
    if (shared_) inverse_roots(flat_.of(0), group * A, root());
  }
  void move_to(Index first, Index rows) {
    log_ = flat_.of(first);
    if (!shared_) inverse_roots(log_, rows * A_, root());
  }
  const T* log() const { return log_; }
  T* root() { return buffer_.data(); }
  T* terms() { return buffer_.data() + group * A_; }

 private:
  FlatLogStd<T> flat_;
  bool shared_;
  Index A_;
  SmallBuffer<T> buffer_;
  const T* log_ = nullptr;
};

}  // namespace

template <class T>
void log_prob(Rows<const T> actions, Rows<const T> mean, LogStd<T> log_std, Vec<T> out) {
  const Index num_rows = actions.num_rows(), A = actions.width();
  assert(mean.has_shape(num_rows, A) && log_std.serves(num_rows, A) && out.size() == num_rows);
  const double constant = -half_log_2pi * static_cast<double>(A);
  const auto tiles_of_block = [&] { return DiagonalTiles<T>(log_std, A); };
  for_groups(num_rows, A, tiles_of_block, [&](DiagonalTiles<T>& tiles, Index first, Index rows) {
    tiles.move_to(first, rows);
    const T *a = actions.row(first), *m = mean.row(first), *log = tiles.log(), *root = tiles.root();
    T* terms = tiles.terms();
    PGCORE_INDEPENDENT
    for (Index k = 0; k < rows * A; ++k) {
      const T z = (a[k] - m[k]) * root[k] * root[k];
      terms[k] = vecmath::multiply_add(T(-0.5) * z, z, -log[k]);
    }
    sum_rows(terms, rows, A, constant, out.data() + first);
  });
}

template <class T>
void score(Rows<const T> actions, Rows<const T> mean, LogStd<T> log_std, Rows<T> d_mean, Rows<T> d_log_std) {
  const Index num_rows = actions.num_rows(), A = actions.width();
  assert(mean.has_shape(num_rows, A) && log_std.serves(num_rows, A));
  assert(d_mean.has_shape(num_rows, A) && d_log_std.has_shape(num_rows, A));
  const auto tiles_of_block = [&] { return DiagonalTiles<T>(log_std, A); };
  for_groups(num_rows, A, tiles_of_block, [&](DiagonalTiles<T>& tiles, Index first, Index rows) {
    tiles.move_to(first, rows);
    const T *a = actions.row(first), *m = mean.row(first), *root = tiles.root();
    T *dm = d_mean.row(first), *dl = d_log_std.row(first);
    PGCORE_INDEPENDENT
    for (Index k = 0; k < rows * A; ++k) {
      const T z = (a[k] - m[k]) * root[k] * root[k];
      dm[k] = z * root[k] * root[k];
      dl[k] = z * z - T(1);
    }
  });
}

template <class T>
void kl(Rows<const T> mean_p, LogStd<T> log_std_p, Rows<const T> mean_q, LogStd<T> log_std_q, Vec<T> out) {
  const Index num_rows = mean_p.num_rows(), A = mean_p.width();
  assert(mean_q.has_shape(num_rows, A) && out.size() == num_rows);
  assert(log_std_p.serves(num_rows, A) && log_std_q.serves(num_rows, A));
  const bool shared = log_std_p.shared && log_std_q.shared;
  double constant = 0;
  for (Index k = 0; shared && k < A; ++k) {
    const double u =
        2 * (static_cast<double>(log_std_p.row(0)[k]) - static_cast<double>(log_std_q.row(0)[k]));
    constant += 0.5 * vecmath::exp_excess(u);
  }
  struct Pair {
    FlatLogStd<T> p;
    DiagonalTiles<T> q;
  };
  const auto pair_of_block = [&] { return Pair{{log_std_p, A}, {log_std_q, A}}; };
  for_groups(num_rows, A, pair_of_block, [&](Pair& pair, Index first, Index rows) {
    pair.q.move_to(first, rows);
    const T *p = mean_p.row(first), *q = mean_q.row(first), *root = pair.q.root();
    const T *log_p = pair.p.of(first), *log_q = pair.q.log();
    T* terms = pair.q.terms();
    PGCORE_INDEPENDENT
    for (Index k = 0; k < rows * A; ++k) {
      const T z = (p[k] - q[k]) * root[k] * root[k];
      terms[k] = T(0.5) * z * z;
    }
    if (!shared) {
      PGCORE_INDEPENDENT
      for (Index k = 0; k < rows * A; ++k)
        terms[k] += T(0.5) * vecmath::exp_excess(2 * (log_p[k] - log_q[k]));
    }
    sum_rows(terms, rows, A, constant, out.data() + first);
  });
}

template <class T>
void entropy(Rows<const T> log_std, Vec<T> out) {
  const Index num_rows = log_std.num_rows(), A = log_std.width();
  assert(out.size() == num_rows);
  sum_rows(log_std.data(), num_rows, A, (half_log_2pi + 0.5) * static_cast<double>(A), out.data());
}

namespace {

// L as the solves below use it, found in double: its rows divided by the diagonal, and 1/L_ii, as a product
// of two factors where it leaves the range of T.
template <class T>
class Factor {
 public:
  template <class S>
  Factor(const S* L, Index A) : A_(A), buffer_(A * (A + 2)) {
    for (Index i = 0; i < A; ++i) {
      const double diagonal = static_cast<double>(L[i * A + i]), inverse = 1 / diagonal;
      for (Index j = 0; j < i; ++j) {
        const double l = static_cast<double>(L[i * A + j]);
        buffer_[i * A + j] = l == 0 ? T(0) : static_cast<T>(l / diagonal);
        has_zeros_ |= buffer_[i * A + j] == T(0);
      }
      int exponent = 0;
      const bool fits = inverse <= static_cast<double>(std::numeric_limits<T>::max()) &&
                        inverse >= static_cast<double>(std::numeric_limits<T>::min());
      if (!fits && std::isfinite(inverse) && inverse != 0) std::frexp(inverse, &exponent);
      buffer_[A * A + i] = static_cast<T>(std::ldexp(inverse, -exponent / 2));
      buffer_[A * (A + 1) + i] = static_cast<T>(std::ldexp(1.0, exponent / 2));
    }
  }
  T at(Index i, Index j) const { return buffer_.data()[i * A_ + j]; }  // L_ij / L_ii
  void divide_by_diagonal(Index i, T* x) const {                       // for a group of rows
    const T *factor = buffer_.data() + A_ * A_ + i, first = factor[0], second = factor[A_];
    for (Index r = 0; r < group; ++r) x[r] *= first;
    if (second == T(1)) return;
    for (Index r = 0; r < group; ++r) x[r] *= second;
  }
  T over_diagonal(T x, Index i) const {  // x / L_ii
    const T* factor = buffer_.data() + A_ * A_ + i;
    return x * factor[0] * factor[A_];
  }
  Index size() const { return A_; }
  bool has_zeros() const { return has_zeros_; }  // below the diagonal

 private:
  Index A_;
  bool has_zeros_ = false;
  SmallBuffer<T> buffer_;
};

// Right-hand sides of a group of rows, stored (A, group), of D⁻¹ L, with D the diagonal of L, or with
// `Divide` of L. A coefficient of 0 is left out where there may be any: 0·∞ would be NaN. Otherwise they are
// taken two at a time, so that x_i is read and written half as often.
template <class T, bool Divide, bool MayBeZero>
struct GroupColumns {
  const Factor<T>& L;
  T* x;

  template <class F>
  PGCORE_INLINE void eliminate(Index i, Index first, Index last, F&& coefficient) const {
    T* y = x + i * group;
    if constexpr (Divide) L.divide_by_diagonal(i, y);  // first: what is left of x_i is in the range of T
    Index j = first;
    for (; !MayBeZero && j + 1 < last; j += 2) {
      const T l = coefficient(j), m = coefficient(j + 1);
      const T *xl = x + j * group, *xm = xl + group;
      PGCORE_INDEPENDENT
      for (Index r = 0; r < group; ++r) y[r] = (y[r] - l * xl[r]) - m * xm[r];
    }
    for (; j < last; ++j) {
      const T l = coefficient(j), *xj = x + j * group;
      if (MayBeZero && l == T(0)) continue;
      PGCORE_INDEPENDENT
      for (Index r = 0; r < group; ++r) y[r] -= l * xj[r];
    }
  }
};

// x ← z = L⁻¹ x for a group of rows.
template <class T>
void whiten(const Factor<T>& L, T* x) {
  if (L.has_zeros()) {
    solve_lower(L, GroupColumns<T, true, true>{L, x});
  } else {
    solve_lower(L, GroupColumns<T, true, false>{L, x});
  }
}

// x ← u = D L⁻ᵀ x, for a group of rows.
template <class T>
void whiten_transposed(const Factor<T>& L, T* x) {
  if (L.has_zeros()) {
    solve_lower_transposed(L, GroupColumns<T, false, true>{L, x});
  } else {
    solve_lower_transposed(L, GroupColumns<T, false, false>{L, x});
  }
}

// x[i, r] = a[r, i] − m[r, i]; lanes without a row are zero.
template <class T>
void load_difference(const T* a, const T* m, Index rows, Index A, T* x) {
  if (rows < group) std::fill_n(x, A * group, T(0));
  for (Index i = 0; i < A && rows < group; ++i) {
    for (Index r = 0; r < rows; ++r) x[i * group + r] = a[r * A + i] - m[r * A + i];
  }
  for (Index i = 0; i < A && rows == group; ++i) {
    for (Index r = 0; r < group; ++r) x[i * group + r] = a[r * A + i] - m[r * A + i];
  }
}

// sum[r] += Σ_i x[i, r]² over the rows first … last − 1 of x.
template <class T>
PGCORE_INLINE inline void add_squares(const T* x, Index first, Index last, T* sum) {
  for (Index i = first; i < last; ++i) {
    for (Index r = 0; r < group; ++r) sum[r] += x[i * group + r] * x[i * group + r];
  }
}

// out[r] = constant + scale · Σ_i x[i, r]²; short sums in T, and sums of them in double.
template <class T>
void sum_squares(const T* x, Index rows, Index A, double scale, double constant, T* out) {
  if (A <= longest_short_row) {
    T sum[group] = {};
    add_squares(x, 0, A, sum);
    for (Index r = 0; r < rows; ++r) out[r] = static_cast<T>(constant) + static_cast<T>(scale) * sum[r];
    return;
  }
  double total[group] = {};
  for (Index first = 0; first < A; first += longest_short_row) {
    T sum[group] = {};
    add_squares(x, first, std::min(A, first + longest_short_row), sum);
    for (Index r = 0; r < group; ++r) total[r] += static_cast<double>(sum[r]);
  }
  for (Index r = 0; r < rows; ++r) out[r] = static_cast<T>(constant + scale * total[r]);
}

// KL of normal distributions of equal mean. With E = L_q⁻¹ (L_p − L_q) it is half the sum of the squares of E
// below its diagonal and of e^u − 1 − u for u = 2 log(1 + E_ii): no term is negative, and where the factors
// are nearly equal none is a difference of larger numbers.
template <class S>
double factor_divergence(const S* L_p, const S* L_q, Index A) {
  const LowerTriangle<S> p(L_p, A), q(L_q, A);
  SmallBuffer<double> column(A);
  double total = 0;
  for (Index j = 0; j < A; ++j) {
    double* e = column.data();
    for (Index i = j; i < A; ++i) e[i - j] = p.at(i, j) - q.at(i, j);
    const LowerTriangle<S> rest = q.from(j);  // above, the column is zero
    solve_lower(rest, Column<S, double>(rest, e));
    total += vecmath::exp_excess(2 * std::log1p(e[0]));
    for (Index i = 1; i < A - j; ++i) total += e[i] * e[i];
  }
  return total / 2;
}

}  // namespace

template <class S>
double log_det(Rows<const S> L) {
  assert(L.has_shape(L.width(), L.width()));
  double sum = 0;
  for (Index i = 0; i < L.width(); ++i) sum += std::log(static_cast<double>(L.row(i)[i]));
  return sum;
}

template <class T, class S>
void log_prob_tril(Rows<const T> actions, Rows<const T> mean, Rows<const S> L, Vec<T> out) {
  const Index num_rows = actions.num_rows(), A = actions.width();
  assert(mean.has_shape(num_rows, A) && L.has_shape(A, A) && out.size() == num_rows);
  const double constant = -log_det(L) - half_log_2pi * static_cast<double>(A);
  const Factor<T> factor(L.data(), A);
  for_groups(
      num_rows, A * A, [=] { return SmallBuffer<T>(A * group); },
      [&](SmallBuffer<T>& z, Index first, Index rows) {
        load_difference(actions.row(first), mean.row(first), rows, A, z.data());
        whiten(factor, z.data());
        sum_squares(z.data(), rows, A, -0.5, constant, out.data() + first);
      });
}

template <class T, class S>
void score_tril(Rows<const T> actions, Rows<const T> mean, Rows<const S> L, Rows<T> d_mean, Rows<T> d_tril,
                bool log_diagonal) {
  const Index num_rows = actions.num_rows(), A = actions.width();
  assert(mean.has_shape(num_rows, A) && L.has_shape(A, A));
  assert(d_mean.has_shape(num_rows, A) && d_tril.has_shape(num_rows, A * A));
  const Factor<T> factor(L.data(), A);
  for_groups(
      num_rows, A * A, [=] { return SmallBuffer<T>(2 * A * group); },
      [&](SmallBuffer<T>& z, Index first, Index rows) {
        T* u = z.data() + A * group;
        load_difference(actions.row(first), mean.row(first), rows, A, z.data());
        whiten(factor, z.data());
        std::copy(z.data(), u, u);
        whiten_transposed(factor, u);
        for (Index r = 0; r < rows; ++r) {
          T* dm = d_mean.row(first + r);
          T* dL = d_tril.row(first + r);
          for (Index i = 0; i < A; ++i) {
            const T along = u[i * group + r], y = factor.over_diagonal(along, i);
            dm[i] = y;
            for (Index j = 0; j < A; ++j) dL[i * A + j] = j < i ? y * z[j * group + r] : T(0);
            const T by_log = along * z[i * group + r] - T(1);
            dL[i * A + i] = log_diagonal ? by_log : factor.over_diagonal(by_log, i);
          }
        }
      });
}

template <class T, class S>
void kl_tril(Rows<const T> mean_p, Rows<const S> tril_p, Rows<const T> mean_q, Rows<const S> tril_q,
             Vec<T> out) {
  const Index num_rows = mean_p.num_rows(), A = mean_p.width();
  assert(mean_q.has_shape(num_rows, A) && out.size() == num_rows);
  assert(tril_p.has_shape(A, A) && tril_q.has_shape(A, A));
  const double constant = factor_divergence(tril_p.data(), tril_q.data(), A);
  const Factor<T> factor(tril_q.data(), A);
  for_groups(
      num_rows, A * A, [=] { return SmallBuffer<T>(A * group); },
      [&](SmallBuffer<T>& z, Index first, Index rows) {
        load_difference(mean_p.row(first), mean_q.row(first), rows, A, z.data());
        whiten(factor, z.data());
        sum_squares(z.data(), rows, A, 0.5, constant, out.data() + first);
      });
}

#define PGCORE_INSTANTIATE(T)                                                     \
  template void log_prob(Rows<const T>, Rows<const T>, LogStd<T>, Vec<T>);        \
  template void score(Rows<const T>, Rows<const T>, LogStd<T>, Rows<T>, Rows<T>); \
  template void kl(Rows<const T>, LogStd<T>, Rows<const T>, LogStd<T>, Vec<T>);   \
  template void entropy(Rows<const T>, Vec<T>);
PGCORE_INSTANTIATE(float)
PGCORE_INSTANTIATE(double)

#define PGCORE_INSTANTIATE_FULL(T, S)                                                            \
  template void log_prob_tril(Rows<const T>, Rows<const T>, Rows<const S>, Vec<T>);              \
  template void score_tril(Rows<const T>, Rows<const T>, Rows<const S>, Rows<T>, Rows<T>, bool); \
  template void kl_tril(Rows<const T>, Rows<const S>, Rows<const T>, Rows<const S>, Vec<T>);
PGCORE_INSTANTIATE_FULL(float, float)
PGCORE_INSTANTIATE_FULL(float, double)
PGCORE_INSTANTIATE_FULL(double, double)
template double log_det(Rows<const double>);

}  // namespace pgcore::gaussian
