// Rows are short, so groups of rows are taken together: for a diagonal covariance as one flat run of group·A
// numbers, for a full one transposed, with a lane for each row.
#include "pgcore/gaussian.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <type_traits>

#include "math/compiler.hpp"
#include "math/lanes.hpp"
#include "math/memory.hpp"
#include "math/simd.hpp"
#include "math/sums.hpp"
#include "math/triangular.hpp"
#include "math/vecmath.hpp"
#include "parallel/row_groups.hpp"

namespace pgcore::gaussian {
namespace {

constexpr int bytes = simd::register_bytes;

template <class T>
PGCORE_INLINE inline Register<T, bytes> numbers(const T* x) {
  Register<T, bytes> y;
  simd::load(x, y);
  return y;
}

// |log σ| up to which σ and 1/σ are normal numbers.
template <class T>
inline constexpr T moderate = std::is_same_v<T, float> ? T(87) : T(708);
template <class T>
PGCORE_INLINE inline bool is_moderate(T log_std) {
  return std::abs(log_std) <= moderate<T>;
}
template <class T>
bool all_moderate(const T* log_std, Index count) {
  simd::Int<T> others = 0;
  for (Index i = 0; i < count; ++i) others |= simd::mask<T>(!is_moderate(log_std[i]));
  return others == 0;
}

// 1/σ as a product of two numbers: itself and 1, or where it may overflow though (a − μ)/σ does not, twice
// 1/√σ. That stays a normal number, so that 0/σ is 0 for any σ; where it would not, σ is so small that any
// other number divided by it overflows, or so large that it underflows.
template <class T>
struct Inverse {
  T first, second;
  PGCORE_INLINE explicit Inverse(T log_std) {
    const bool plain = is_moderate(log_std);
    T x = T(-0.5) * log_std;
    x = x < -moderate<T> ? -moderate<T> : x;
    x = x > moderate<T> ? moderate<T> : x;
    first = vecmath::exp_moderate(plain ? -log_std : x);
    second = plain ? T(1) : first;
  }
  PGCORE_INLINE T times(T x) const { return x * first * second; }
};
// The same of a moderate log σ.
template <class T>
struct PlainInverse {
  T first;
  PGCORE_INLINE explicit PlainInverse(T log_std) : first(vecmath::exp_moderate(-log_std)) {}
  PGCORE_INLINE T times(T x) const { return x * first; }
};

// Calls f(inverse) with a function that makes 1/σ of log σ, one of those given here.
template <class T, class F>
void with_inverse(const T* log_std, Index count, F&& f) {
  if (all_moderate(log_std, count)) {
    f([](T s) PGCORE_INLINE { return PlainInverse<T>(s); });
  } else {
    f([](T s) PGCORE_INLINE { return Inverse<T>(s); });
  }
}

// Rows that are taken together as one flat run of numbers.
constexpr Index most_rows_at_once = 1024;
Index rows_at_once(Index A) {
  return std::max(group, most_rows_at_once / std::max<Index>(1, A) / group * group);
}

// 1/σ of all rows, repeated for the rows of a flat run: of several rows if they are short, so that loops over
// a run are not.
template <class T>
class SharedInverse {
 public:
  SharedInverse(const T* log_std, Index A)
      : run_(A <= 128 ? rows_at_once(A) * A : A),
        plain_(all_moderate(log_std, A)),
        factors_(2 * run_ + lanes<T>) {
    T *const first = factors_.data(), *const second = first + run_;
    PGCORE_INDEPENDENT
    for (Index k = 0; k < A; ++k) first[k] = Inverse<T>(log_std[k]).first;
    repeat(first, A);
    if (plain_) return;
    for (Index k = 0; k < A; ++k) second[k] = Inverse<T>(log_std[k]).second;
    repeat(second, A);
  }
  Index run() const { return run_; }
  // Calls f(times) with a function times(x, i): x/σ for the number i of a run, or if x is a register for the
  // numbers from i on.
  template <class F>
  void with_product(F&& f) const {
    const T *const first = factors_.data(), *const second = first + run_;
    if (plain_) {
      f([=](const auto& x, Index i) PGCORE_INLINE { return x * at(first + i, x); });
    } else {
      f([=](const auto& x, Index i) PGCORE_INLINE { return x * at(first + i, x) * at(second + i, x); });
    }
  }

 private:
  void repeat(T* x, Index A) const {
    for (Index n = A; n < run_; n *= 2) std::copy_n(x, std::min(n, run_ - n), x + n);
  }
  static PGCORE_INLINE T at(const T* x, T) { return *x; }
  template <class V>
  static PGCORE_INLINE V at(const T* x, const V&) {
    return numbers(x);
  }

  Index run_;
  bool plain_;
  SmallBuffer<T, 2112> factors_;
};

// out[r] = Σ_i x_i over the A numbers of row r.
template <class T>
void sum_terms(Index rows, Index A, const T* x, double* out) {
  if (A == 1) {
    std::copy_n(x, rows, out);
  } else if (A <= longest_short_row) {
    sum_short_rows(rows, A, x, out);
  } else {
    reduce_rows<Sum, bytes>(
        rows, A, T(0), [=](Index r, Index k) PGCORE_INLINE { return numbers(x + r * A + k); }, out);
  }
}
// The same for log σ; of many in double, since what they are added to may cancel them.
template <class T>
void sum_logs(Index rows, Index A, const T* x, double* out) {
  if (A <= 8 * lanes<T>) return sum_terms(rows, A, x, out);
  const auto widened = [=](Index r, Index k) PGCORE_INLINE {
    return simd::load_as_double<lanes_of<double, bytes>>(x + r * A + k);
  };
  reduce_rows<Sum, bytes>(rows, A, 0.0, widened, out);
}

// Sums of terms. The terms of many rows are written before the first are read again: reading across what has
// just been written is slow.
template <class T>
class TermSums {
 public:
  explicit TermSums(Index A) : A_(A), terms_(rows_at_once(A) * A + lanes<T>) {}

  // out[r] = Σ_i term(i) over the numbers i of the row.
  template <class F>
  PGCORE_INLINE void sum(Index rows, F&& term, double* out) {
    T* const x = terms_.data();
    PGCORE_INDEPENDENT
    for (Index i = 0; i < rows * A_; ++i) x[i] = term(i);
    sum_terms(rows, A_, x, out);
  }
  // Of two terms, each by a loop of its own: GCC 12 does not vectorise one with two exponentials.
  template <class F, class G>
  PGCORE_INLINE void sum(Index rows, F&& term, G&& other, double* out) {
    T* const x = terms_.data();
    PGCORE_INDEPENDENT
    for (Index i = 0; i < rows * A_; ++i) x[i] = term(i);
    PGCORE_INDEPENDENT
    for (Index i = 0; i < rows * A_; ++i) x[i] += other(i);
    sum_terms(rows, A_, x, out);
  }

 private:
  Index A_;
  SmallBuffer<T, 1088> terms_;
};

// Calls f(sums, first, rows) for rows first … first + rows − 1, as many as `sums` take at once.
template <class T, class F>
void for_terms(Index num_rows, Index A, F&& f) {
  for_row_blocks(num_rows, A, [&](Index begin, Index rows) {
    TermSums<T> sums(A);
    const Index end = begin + rows, step = rows_at_once(A);
    for (Index first = begin; first < end; first += step) f(sums, first, std::min(step, end - first));
  });
}

// Calls f(first, rows) for at most `most_rows_at_once` rows, where no terms are written.
template <class F>
void for_many_rows(Index num_rows, Index A, F&& f) {
  for_row_blocks(num_rows, A, [&](Index begin, Index rows) {
    for (Index first = begin; first < begin + rows; first += most_rows_at_once) {
      f(first, std::min(most_rows_at_once, begin + rows - first));
    }
  });
}

// out[r] = constant + scale · sums[r].
template <class T>
void finish(const double* sums, Index rows, double constant, double scale, T* out) {
  PGCORE_INDEPENDENT
  for (Index r = 0; r < rows; ++r) out[r] = static_cast<T>(constant + scale * sums[r]);
}

// out[r] = constant + scale · ‖(x_r − y_r)/σ‖².
template <class T>
void distances(Rows<const T> x, Rows<const T> y, const T* log_std, double constant, double scale,
               Vec<T> out) {
  const Index A = x.width();
  const SharedInverse<T> inverse(log_std, A);
  inverse.with_product([&](auto times) {
    if (A <= longest_short_row) {
      return for_terms<T>(x.num_rows(), A, [&](TermSums<T>& sums, Index first, Index rows) {
        const T *a = x.row(first), *b = y.row(first);
        const auto square = [=](Index i) {
          const T z = times(a[i] - b[i], i);
          return z * z;
        };
        double squares[most_rows_at_once];
        sums.sum(rows, square, squares);
        finish(squares, rows, constant, scale, out.data() + first);
      });
    }
    for_many_rows(x.num_rows(), A, [&](Index first, Index rows) {
      const T *a = x.row(first), *b = y.row(first);
      const auto square = [&](Index r, Index k) PGCORE_INLINE {
        const Index i = r * A + k;
        const auto z = times(numbers(a + i) - numbers(b + i), k);
        return z * z;
      };
      double squares[most_rows_at_once];
      reduce_rows<Sum, bytes>(rows, A, T(0), square, squares);
      finish(squares, rows, constant, scale, out.data() + first);
    });
  });
}

// log σ of rows as one flat run, whether there is one row of them or one for each.
template <class T>
class FlatLogStd {
 public:
  FlatLogStd(LogStd<T> log_std, Index A)
      : log_std_(log_std), repeated_(log_std.shared ? rows_at_once(A) * A : 0) {
    for (Index r = 0; log_std.shared && r < rows_at_once(A); ++r) {
      std::copy_n(log_std.row(0), A, repeated_.data() + r * A);
    }
  }
  const T* of(Index first) const { return log_std_.shared ? repeated_.data() : log_std_.row(first); }

 private:
  LogStd<T> log_std_;
  SmallBuffer<T> repeated_;
};

}  // namespace

template <class T>
void log_prob(Rows<const T> actions, Rows<const T> mean, LogStd<T> log_std, Vec<T> out) {
  const Index num_rows = actions.num_rows(), A = actions.width();
  assert(mean.has_shape(num_rows, A) && log_std.serves(num_rows, A) && out.size() == num_rows);
  const double constant = -half_log_2pi * static_cast<double>(A);
  // One row of log σ gives the bits that the same row gives for each row of the batch.
  if (log_std.shared) {
    const T* s = log_std.row(0);
    double log_det;
    sum_logs(1, A, s, &log_det);
    return distances(actions, mean, s, constant - log_det, -0.5, out);
  }
  for_terms<T>(num_rows, A, [&](TermSums<T>& sums, Index first, Index rows) {
    const T *a = actions.row(first), *m = mean.row(first), *s = log_std.row(first);
    double log_det[most_rows_at_once], squares[most_rows_at_once];
    T* y = out.data() + first;
    sum_logs(rows, A, s, log_det);
    with_inverse(s, rows * A, [&](auto inverse) {
      const auto square = [=](Index i) {
        const T z = inverse(s[i]).times(a[i] - m[i]);
        return z * z;
      };
      sums.sum(rows, square, squares);
    });
    PGCORE_INDEPENDENT
    for (Index r = 0; r < rows; ++r) {
      y[r] = static_cast<T>((constant - log_det[r]) + -0.5 * squares[r]);
    }
  });
}

template <class T>
void score(Rows<const T> actions, Rows<const T> mean, LogStd<T> log_std, Rows<T> d_mean, Rows<T> d_log_std) {
  const Index num_rows = actions.num_rows(), A = actions.width();
  assert(mean.has_shape(num_rows, A) && log_std.serves(num_rows, A));
  assert(d_mean.has_shape(num_rows, A) && d_log_std.has_shape(num_rows, A));
  if (!log_std.shared) {
    const Index step = rows_at_once(A);
    return for_row_blocks(num_rows, A, [&](Index begin, Index rows) {
      for (Index first = begin; first < begin + rows; first += step) {
        const T *a = actions.row(first), *m = mean.row(first), *s = log_std.row(first);
        T *dm = d_mean.row(first), *dl = d_log_std.row(first);
        const Index count = std::min(step, begin + rows - first) * A;
        with_inverse(s, count, [=](auto inverse) {
          PGCORE_INDEPENDENT
          for (Index i = 0; i < count; ++i) {
            const auto over_std = inverse(s[i]);
            const T z = over_std.times(a[i] - m[i]);
            dm[i] = over_std.times(z);
            dl[i] = z * z - T(1);
          }
        });
      }
    });
  }
  const SharedInverse<T> inverse(log_std.row(0), A);
  inverse.with_product([&](auto times) {
    for_row_blocks(num_rows, A, [&](Index first, Index rows) {
      const Index run = inverse.run(), end = (first + rows) * A;
      for (Index begin = first * A; begin < end; begin += run) {
        const T *a = actions.data() + begin, *m = mean.data() + begin;
        T *dm = d_mean.data() + begin, *dl = d_log_std.data() + begin;
        const Index count = std::min(run, end - begin);
        PGCORE_INDEPENDENT
        for (Index i = 0; i < count; ++i) {
          const T z = times(a[i] - m[i], i);
          dm[i] = times(z, i);
          dl[i] = z * z - T(1);
        }
      }
    });
  });
}

template <class T>
void kl(Rows<const T> mean_p, LogStd<T> log_std_p, Rows<const T> mean_q, LogStd<T> log_std_q, Vec<T> out) {
  const Index num_rows = mean_p.num_rows(), A = mean_p.width();
  assert(mean_q.has_shape(num_rows, A) && out.size() == num_rows);
  assert(log_std_p.serves(num_rows, A) && log_std_q.serves(num_rows, A));
  if (log_std_p.shared && log_std_q.shared) {
    const T *p = log_std_p.row(0), *q = log_std_q.row(0);
    const double of_scales = lane_sum(A, [=](Index k) {
      return vecmath::exp_excess(2 * (static_cast<double>(p[k]) - static_cast<double>(q[k])));
    });
    return distances(mean_p, mean_q, q, 0.5 * of_scales, 0.5, out);
  }
  const FlatLogStd<T> of_p(log_std_p, A), of_q(log_std_q, A);
  for_terms<T>(num_rows, A, [&](TermSums<T>& sums, Index first, Index rows) {
    const T *p = mean_p.row(first), *q = mean_q.row(first), *log_p = of_p.of(first), *log_q = of_q.of(first);
    double twice[most_rows_at_once];
    with_inverse(log_q, rows * A, [&](auto inverse) {
      const auto square = [=](Index i) {
        const T z = inverse(log_q[i]).times(p[i] - q[i]);
        return z * z;
      };
      const auto excess = [=](Index i) { return vecmath::exp_excess(2 * (log_p[i] - log_q[i])); };
      sums.sum(rows, square, excess, twice);
    });
    finish(twice, rows, 0, 0.5, out.data() + first);
  });
}

template <class T>
void entropy(Rows<const T> log_std, Vec<T> out) {
  const Index num_rows = log_std.num_rows(), A = log_std.width();
  assert(out.size() == num_rows);
  const double constant = (half_log_2pi + 0.5) * static_cast<double>(A);
  for_many_rows(num_rows, A, [&](Index first, Index rows) {
    double log_det[most_rows_at_once];
    sum_logs(rows, A, log_std.row(first), log_det);
    finish(log_det, rows, constant, 1, out.data() + first);
  });
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
