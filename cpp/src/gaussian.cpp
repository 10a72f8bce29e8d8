// Rows are short, so groups of rows are taken together: for a diagonal covariance as one flat run of group·A
// numbers, for a full one transposed, with a lane for each row.
#include "pgcore/gaussian.hpp"

#include <algorithm>
#include <cmath>

#include "matrix.hpp"
#include "row_groups.hpp"
#include "vecmath.hpp"

namespace pgcore::gaussian {
namespace {

template <class T>
void exp_negated(const T* log_std, Index count, T* out) {
  PGCORE_INDEPENDENT
  for (Index k = 0; k < count; ++k) out[k] = vecmath::exp(-log_std[k]);
}

// out[r] = constant + Σ_a terms[r, a].
template <class T>
void sum_rows(const T* terms, Index rows, Index A, T constant, T* out) {
  for (Index r = 0; r < rows; ++r) {
    T sum = constant;
    for (Index a = 0; a < A; ++a) sum += terms[r * A + a];
    out[r] = sum;
  }
}

// log σ of a group of rows as one flat run, whether there is one row of them or one for each.
template <class T>
class FlatLogStd {
 public:
  FlatLogStd(LogStd<T> log_std, Index A)
      : log_std_(log_std), A_(A), repeated_(log_std.shared ? group * A : 0) {
    for (Index r = 0; log_std.shared && r < group; ++r)
      std::copy_n(log_std.data, A, repeated_.data() + r * A);
  }
  const T* of(Index first) const { return log_std_.shared ? repeated_.data() : log_std_.row(first, A_); }

 private:
  LogStd<T> log_std_;
  Index A_;
  SmallBuffer<T> repeated_;
};

// What diagonal kernels read of a group: log σ and 1/σ; and room for a term per number.
template <class T>
class DiagonalTiles {
 public:
  DiagonalTiles(LogStd<T> log_std, Index A)
      : flat_(log_std, A), shared_(log_std.shared), A_(A), buffer_(2 * group * A) {
    if (shared_) exp_negated(flat_.of(0), group * A, inverse());
  }
  void move_to(Index first, Index rows) {
    log_ = flat_.of(first);
    if (!shared_) exp_negated(log_, rows * A_, inverse());
  }
  const T* log() const { return log_; }
  T* inverse() { return buffer_.data(); }
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
void log_prob(Index num_rows, Index A, const T* actions, const T* mean, LogStd<T> log_std, T* out) {
  const T constant = static_cast<T>(-half_log_2pi * static_cast<double>(A));
  const auto tiles_of_block = [&] { return DiagonalTiles<T>(log_std, A); };
  for_groups(num_rows, A, tiles_of_block, [&](DiagonalTiles<T>& tiles, Index first, Index rows) {
    tiles.move_to(first, rows);
    const T *a = actions + first * A, *m = mean + first * A, *log = tiles.log(), *inverse = tiles.inverse();
    T* terms = tiles.terms();
    PGCORE_INDEPENDENT
    for (Index k = 0; k < rows * A; ++k) {
      const T z = (a[k] - m[k]) * inverse[k];
      terms[k] = T(-0.5) * z * z - log[k];
    }
    sum_rows(terms, rows, A, constant, out + first);
  });
}

template <class T>
void score(Index num_rows, Index A, const T* actions, const T* mean, LogStd<T> log_std, T* d_mean,
           T* d_log_std) {
  const auto tiles_of_block = [&] { return DiagonalTiles<T>(log_std, A); };
  for_groups(num_rows, A, tiles_of_block, [&](DiagonalTiles<T>& tiles, Index first, Index rows) {
    tiles.move_to(first, rows);
    const T *a = actions + first * A, *m = mean + first * A, *inverse = tiles.inverse();
    T *dm = d_mean + first * A, *dl = d_log_std + first * A;
    PGCORE_INDEPENDENT
    for (Index k = 0; k < rows * A; ++k) {
      const T z = (a[k] - m[k]) * inverse[k];
      dm[k] = z * inverse[k];
      dl[k] = z * z - T(1);
    }
  });
}

template <class T>
void kl(Index num_rows, Index A, const T* mean_p, LogStd<T> log_std_p, const T* mean_q, LogStd<T> log_std_q,
        T* out) {
  const bool shared = log_std_p.shared && log_std_q.shared;
  T constant = 0;
  for (Index k = 0; shared && k < A; ++k) {
    const double u = 2 * (static_cast<double>(log_std_p.data[k]) - static_cast<double>(log_std_q.data[k]));
    constant += static_cast<T>(0.5 * vecmath::exp_excess(u));
  }
  struct Pair {
    FlatLogStd<T> p;
    DiagonalTiles<T> q;
  };
  const auto pair_of_block = [&] { return Pair{{log_std_p, A}, {log_std_q, A}}; };
  for_groups(num_rows, A, pair_of_block, [&](Pair& pair, Index first, Index rows) {
    pair.q.move_to(first, rows);
    const T *p = mean_p + first * A, *q = mean_q + first * A, *inverse = pair.q.inverse();
    const T *log_p = pair.p.of(first), *log_q = pair.q.log();
    T* terms = pair.q.terms();
    PGCORE_INDEPENDENT
    for (Index k = 0; k < rows * A; ++k) {
      const T z = (p[k] - q[k]) * inverse[k];
      terms[k] = T(0.5) * z * z;
    }
    if (!shared) {
      PGCORE_INDEPENDENT
      for (Index k = 0; k < rows * A; ++k)
        terms[k] += T(0.5) * vecmath::exp_excess(2 * (log_p[k] - log_q[k]));
    }
    sum_rows(terms, rows, A, constant, out + first);
  });
}

template <class T>
void entropy(Index num_rows, Index A, const T* log_std, T* out) {
  sum_rows(log_std, num_rows, A, static_cast<T>((half_log_2pi + 0.5) * static_cast<double>(A)), out);
}

namespace {

// z = L⁻¹ x for a group of rows, x and z stored (A, group).
template <class T>
void solve_lower(const T* L, Index A, T* x) {
  for (Index i = 0; i < A; ++i) {
    T* xi = x + i * group;
    for (Index j = 0; j < i; ++j) {
      const T l = L[i * A + j];
      const T* xj = x + j * group;
      for (Index r = 0; r < group; ++r) xi[r] -= l * xj[r];
    }
    const T inverse = T(1) / L[i * A + i];
    for (Index r = 0; r < group; ++r) xi[r] *= inverse;
  }
}

// y = L⁻ᵀ x, likewise.
template <class T>
void solve_lower_transposed(const T* L, Index A, T* x) {
  for (Index i = A - 1; i >= 0; --i) {
    T* xi = x + i * group;
    for (Index j = i + 1; j < A; ++j) {
      const T l = L[j * A + i];
      const T* xj = x + j * group;
      for (Index r = 0; r < group; ++r) xi[r] -= l * xj[r];
    }
    const T inverse = T(1) / L[i * A + i];
    for (Index r = 0; r < group; ++r) xi[r] *= inverse;
  }
}

// x[i, r] = a[r, i] − m[r, i]; lanes without a row are zero.
template <class T>
void load_difference(const T* a, const T* m, Index rows, Index A, T* x) {
  for (Index i = 0; i < A; ++i) {
    for (Index r = 0; r < group; ++r) x[i * group + r] = r < rows ? a[r * A + i] - m[r * A + i] : T(0);
  }
}

// out[r] = constant + scale · Σ_i x[i, r]².
template <class T>
void sum_squares(const T* x, Index rows, Index A, T scale, T constant, T* out) {
  T sum[group] = {};
  for (Index i = 0; i < A; ++i) {
    for (Index r = 0; r < group; ++r) sum[r] += x[i * group + r] * x[i * group + r];
  }
  for (Index r = 0; r < rows; ++r) out[r] = constant + scale * sum[r];
}

}  // namespace

template <class T>
T log_det(const T* L, Index A) {
  double sum = 0;
  for (Index i = 0; i < A; ++i) sum += std::log(static_cast<double>(L[i * A + i]));
  return static_cast<T>(sum);
}

template <class T>
void log_prob_tril(Index num_rows, Index A, const T* actions, const T* mean, const T* L, T* out) {
  const T constant = -log_det(L, A) - static_cast<T>(half_log_2pi * static_cast<double>(A));
  for_groups(
      num_rows, A * A, [=] { return SmallBuffer<T>(A * group); },
      [&](SmallBuffer<T>& z, Index first, Index rows) {
        load_difference(actions + first * A, mean + first * A, rows, A, z.data());
        solve_lower(L, A, z.data());
        sum_squares(z.data(), rows, A, T(-0.5), constant, out + first);
      });
}

template <class T>
void score_tril(Index num_rows, Index A, const T* actions, const T* mean, const T* L, T* d_mean, T* d_tril) {
  for_groups(
      num_rows, A * A, [=] { return SmallBuffer<T>(2 * A * group); },
      [&](SmallBuffer<T>& z, Index first, Index rows) {
        T* y = z.data() + A * group;
        load_difference(actions + first * A, mean + first * A, rows, A, z.data());
        solve_lower(L, A, z.data());
        std::copy(z.data(), y, y);
        solve_lower_transposed(L, A, y);
        for (Index r = 0; r < rows; ++r) {
          T* dm = d_mean + (first + r) * A;
          T* dL = d_tril + (first + r) * A * A;
          for (Index i = 0; i < A; ++i) {
            dm[i] = y[i * group + r];
            for (Index j = 0; j < A; ++j) dL[i * A + j] = j <= i ? y[i * group + r] * z[j * group + r] : T(0);
            dL[i * A + i] -= T(1) / L[i * A + i];
          }
        }
      });
}

template <class T>
void kl_tril(Index num_rows, Index A, const T* mean_p, const T* tril_p, const T* mean_q, const T* tril_q,
             T* out) {
  // The part that all rows share, in double: it is a small difference of large numbers.
  Matrix<double> p = Eigen::Map<const Matrix<T>>(tril_p, A, A).template cast<double>();
  p.template triangularView<Eigen::StrictlyUpper>().setZero();
  const Matrix<double> q = Eigen::Map<const Matrix<T>>(tril_q, A, A).template cast<double>();
  q.template triangularView<Eigen::Lower>().solveInPlace(p);
  double constant = 0.5 * (p.squaredNorm() - static_cast<double>(A));
  for (Index i = 0; i < A; ++i) constant -= std::log(p(i, i));
  for_groups(
      num_rows, A * A, [=] { return SmallBuffer<T>(A * group); },
      [&](SmallBuffer<T>& z, Index first, Index rows) {
        load_difference(mean_p + first * A, mean_q + first * A, rows, A, z.data());
        solve_lower(tril_q, A, z.data());
        sum_squares(z.data(), rows, A, T(0.5), static_cast<T>(constant), out + first);
      });
}

#define PGCORE_INSTANTIATE(T)                                                   \
  template void log_prob(Index, Index, const T*, const T*, LogStd<T>, T*);      \
  template void score(Index, Index, const T*, const T*, LogStd<T>, T*, T*);     \
  template void kl(Index, Index, const T*, LogStd<T>, const T*, LogStd<T>, T*); \
  template void entropy(Index, Index, const T*, T*);                            \
  template T log_det(const T*, Index);                                          \
  template void log_prob_tril(Index, Index, const T*, const T*, const T*, T*);  \
  template void score_tril(Index, Index, const T*, const T*, const T*, T*, T*); \
  template void kl_tril(Index, Index, const T*, const T*, const T*, const T*, T*);
PGCORE_INSTANTIATE(float)
PGCORE_INSTANTIATE(double)

}  // namespace pgcore::gaussian
