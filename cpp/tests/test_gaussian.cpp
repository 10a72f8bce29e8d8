// Densities, scores and divergences against the formulas in long double, for every way log σ can come, and
// numbers of rows around those of groups and blocks.
#include "check.hpp"
#include "pgcore/gaussian.hpp"

using namespace pgcore;

namespace {

using Real = long double;

template <class T>
struct Data {
  Index num, A;
  std::vector<T> a, mean, other, log_rows, log_one;
  Data(Index num_rows, Index width)
      : num(num_rows),
        A(width),
        a(testing::normal<T>(num * A, 1)),
        mean(testing::normal<T>(num * A, 2)),
        other(testing::normal<T>(num * A, 3)),
        log_rows(testing::normal<T>(num * A, 4)),
        log_one(testing::normal<T>(A, 5)) {}
  gaussian::LogStd<T> log_std(bool shared) const {
    return {{shared ? log_one.data() : log_rows.data(), shared ? 1 : num, A}, shared};
  }
};

template <class T>
Real at(const std::vector<T>& x, Index i) {
  return static_cast<Real>(x[static_cast<std::size_t>(i)]);
}

template <class T>
void test_diagonal(Index num, Index A) {
  const Data<T> rows(num, A);
  const auto of = [=](const std::vector<T>& x) { return Rows<const T>{x.data(), num, A}; };
  const testing::Case here("rows =", num, "A =", A);
  const double tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-13;
  std::vector<T> out(static_cast<std::size_t>(num)), d_mean(rows.a.size()), d_log_std(rows.a.size());
  for (const bool shared : {true, false}) {
    const auto log_std = rows.log_std(shared);
    gaussian::log_prob<T>(of(rows.a), of(rows.mean), log_std, {out.data(), num});
    gaussian::score<T>(of(rows.a), of(rows.mean), log_std, {d_mean.data(), num, A},
                       {d_log_std.data(), num, A});
    testing::Worst of_log_prob, of_score;
    for (Index r = 0; r < num; ++r) {
      Real sum = 0;
      for (Index k = 0; k < A; ++k) {
        const Real s = static_cast<Real>(log_std.row(r)[k]);
        const Real z = (at(rows.a, r * A + k) - at(rows.mean, r * A + k)) / std::exp(s);
        sum -= z * z / 2 + s + static_cast<Real>(gaussian::half_log_2pi);
        of_score.add(d_mean[static_cast<std::size_t>(r * A + k)], z / std::exp(s));
        of_score.add(d_log_std[static_cast<std::size_t>(r * A + k)], z * z - 1);
      }
      of_log_prob.add(out[static_cast<std::size_t>(r)], sum);
    }
    CHECK(of_log_prob.within(tolerance));
    CHECK(of_score.within(tolerance));
    for (const bool other_shared : {true, false}) {
      const auto log_q = rows.log_std(other_shared);
      gaussian::kl<T>(of(rows.mean), log_std, of(rows.other), log_q, {out.data(), num});
      testing::Worst of_kl;
      for (Index r = 0; r < num; ++r) {
        Real sum = 0;
        for (Index k = 0; k < A; ++k) {
          const Real q = static_cast<Real>(log_q.row(r)[k]);
          const Real u = 2 * (static_cast<Real>(log_std.row(r)[k]) - q);
          const Real z = (at(rows.mean, r * A + k) - at(rows.other, r * A + k)) / std::exp(q);
          sum += (std::expm1(u) - u + z * z) / 2;
        }
        of_kl.add(out[static_cast<std::size_t>(r)], sum);
      }
      CHECK(of_kl.within(tolerance));
    }
  }
  gaussian::entropy<T>(of(rows.log_rows), {out.data(), num});
  testing::Worst of_entropy;
  for (Index r = 0; r < num; ++r) {
    Real sum = 0;
    for (Index k = 0; k < A; ++k) {
      sum += at(rows.log_rows, r * A + k) + static_cast<Real>(gaussian::half_log_2pi) + 0.5L;
    }
    of_entropy.add(out[static_cast<std::size_t>(r)], sum);
  }
  CHECK(of_entropy.within(tolerance));
}

// With a diagonal L the full form is the diagonal one.
template <class T>
void test_full(Index num, Index A) {
  const Data<T> rows(num, A);
  const auto of = [=](const std::vector<T>& x) { return Rows<const T>{x.data(), num, A}; };
  std::vector<T> L(static_cast<std::size_t>(A * A)), M(L.size());
  for (Index i = 0; i < A; ++i) {
    L[static_cast<std::size_t>(i * A + i)] = std::exp(rows.log_one[static_cast<std::size_t>(i)]);
    M[static_cast<std::size_t>(i * A + i)] = T(1);
    for (Index j = i + 1; j < A; ++j) L[static_cast<std::size_t>(i * A + j)] = T(1e30);  // is never read
  }
  const std::vector<T> zeros(static_cast<std::size_t>(A));
  const auto n = static_cast<std::size_t>(num);
  std::vector<T> full(n), diagonal(n), d_mean(rows.a.size()),
      d_tril(rows.a.size() * static_cast<std::size_t>(A));
  std::vector<T> d_same(rows.a.size()), d_log_std(rows.a.size());
  gaussian::log_prob_tril<T, T>(of(rows.a), of(rows.mean), {L.data(), A, A}, {full.data(), num});
  gaussian::log_prob<T>(of(rows.a), of(rows.mean), rows.log_std(true), {diagonal.data(), num});
  gaussian::score_tril<T, T>(of(rows.a), of(rows.mean), {L.data(), A, A}, {d_mean.data(), num, A},
                             {d_tril.data(), num, A * A});
  gaussian::score<T>(of(rows.a), of(rows.mean), rows.log_std(true), {d_same.data(), num, A},
                     {d_log_std.data(), num, A});
  const testing::Case here("rows =", num, "A =", A);
  const double tolerance = std::is_same_v<T, float> ? 1e-4 : 1e-12;
  testing::Worst of_log_prob, of_score, of_kl;
  for (std::size_t r = 0; r < n; ++r) of_log_prob.add(full[r], diagonal[r]);
  for (std::size_t i = 0; i < d_mean.size(); ++i) of_score.add(d_mean[i], d_same[i]);
  CHECK(of_log_prob.within(tolerance));
  CHECK(of_score.within(tolerance));
  gaussian::kl_tril<T, T>(of(rows.mean), {L.data(), A, A}, of(rows.other), {M.data(), A, A},
                          {full.data(), num});
  gaussian::kl<T>(of(rows.mean), rows.log_std(true), of(rows.other), {{zeros.data(), 1, A}, true},
                  {diagonal.data(), num});
  for (std::size_t r = 0; r < n; ++r) of_kl.add(full[r], diagonal[r]);
  CHECK(of_kl.within(tolerance));
}

// Any lower triangular L with a positive diagonal, also with zeros below it.
template <class T, class S>
void test_triangle(Index num, Index A, bool with_zeros, double tolerance) {
  const testing::Case here("rows =", num, "A =", A, "with zeros", with_zeros);
  const Data<T> rows(num, A);
  const auto of = [=](const std::vector<T>& x) { return Rows<const T>{x.data(), num, A}; };
  const auto drawn = testing::normal<S>(2 * A * A, 6);
  std::vector<S> L(static_cast<std::size_t>(A * A)), M(L.size());
  const auto cell = [=](Index i, Index j) { return static_cast<std::size_t>(i * A + j); };
  for (Index i = 0; i < A; ++i) {
    for (Index j = 0; j < i; ++j) {
      L[cell(i, j)] = with_zeros && (i + j) % 3 == 0 ? S(0) : drawn[cell(i, j)] / S(A);
      M[cell(i, j)] = drawn[cell(A + i, j)] / S(A);
    }
    L[cell(i, i)] = S(1) + std::abs(drawn[cell(i, i)]);
    M[cell(i, i)] = S(1) + std::abs(drawn[cell(A + i, i)]);
  }
  const auto solved = [&](std::vector<Real> x) {
    for (Index i = 0; i < A; ++i) {
      for (Index j = 0; j < i; ++j) x[i] -= static_cast<Real>(L[cell(i, j)]) * x[j];
      x[i] /= static_cast<Real>(L[cell(i, i)]);
    }
    return x;
  };
  const auto n = static_cast<std::size_t>(num);
  std::vector<T> log_prob(n), kl(n), d_mean(rows.a.size()), d_tril(n * L.size());
  gaussian::log_prob_tril<T, S>(of(rows.a), of(rows.mean), {L.data(), A, A}, {log_prob.data(), num});
  gaussian::score_tril<T, S>(of(rows.a), of(rows.mean), {L.data(), A, A}, {d_mean.data(), num, A},
                             {d_tril.data(), num, A * A});
  gaussian::kl_tril<T, S>(of(rows.mean), {M.data(), A, A}, of(rows.other), {L.data(), A, A},
                          {kl.data(), num});
  Real log_det = 0, trace = 0, log_det_p = 0;
  for (Index j = 0; j < A; ++j) {
    log_det += std::log(static_cast<Real>(L[cell(j, j)]));
    log_det_p += std::log(static_cast<Real>(M[cell(j, j)]));
    std::vector<Real> column(static_cast<std::size_t>(A));
    for (Index i = j; i < A; ++i) column[i] = static_cast<Real>(M[cell(i, j)]);
    for (const Real x : solved(column)) trace += x * x;
  }
  testing::Worst of_log_prob, of_kl, of_score;
  for (Index r = 0; r < num; ++r) {
    std::vector<Real> x(static_cast<std::size_t>(A)), between(x.size());
    for (Index i = 0; i < A; ++i) {
      x[i] = at(rows.a, r * A + i) - at(rows.mean, r * A + i);
      between[i] = at(rows.mean, r * A + i) - at(rows.other, r * A + i);
    }
    const auto z = solved(x), w = solved(between);
    auto y = z;
    for (Index i = A - 1; i >= 0; --i) {
      for (Index j = i + 1; j < A; ++j) y[i] -= static_cast<Real>(L[cell(j, i)]) * y[j];
      y[i] /= static_cast<Real>(L[cell(i, i)]);
    }
    Real square = 0, distance = 0;
    for (Index i = 0; i < A; ++i) {
      square += z[i] * z[i];
      distance += w[i] * w[i];
      of_score.add(d_mean[static_cast<std::size_t>(r * A + i)], y[i]);
      for (Index j = 0; j < A; ++j) {
        const Real own = i == j ? 1 / static_cast<Real>(L[cell(i, i)]) : 0;
        of_score.add(d_tril[static_cast<std::size_t>(r * A * A) + cell(i, j)],
                     j <= i ? y[i] * z[j] - own : 0);
      }
    }
    const Real constant = static_cast<Real>(gaussian::half_log_2pi) * static_cast<Real>(A);
    of_log_prob.add(log_prob[static_cast<std::size_t>(r)], -square / 2 - log_det - constant);
    of_kl.add(kl[static_cast<std::size_t>(r)],
              (trace - static_cast<Real>(A) + distance) / 2 + log_det - log_det_p);
  }
  CHECK(of_log_prob.within(tolerance));
  CHECK(of_score.within(tolerance));
  CHECK(of_kl.within(tolerance));
}

}  // namespace

TEST("the diagonal form gives what the formulas give in long double") {
  for (const Index num : {Index{0}, Index{1}, Index{15}, Index{16}, Index{17}, Index{2047}, Index{4100}}) {
    for (const Index A : {Index{1}, Index{3}, Index{8}, Index{70}}) {
      test_diagonal<float>(num, A);
      test_diagonal<double>(num, A);
    }
  }
}
TEST("with a diagonal L the full form gives what the diagonal one gives") {
  for (const Index num : {Index{0}, Index{1}, Index{15}, Index{16}, Index{17}, Index{2047}, Index{4100}}) {
    for (const Index A : {Index{1}, Index{4}}) {
      test_full<float>(num, A);
      test_full<double>(num, A);
    }
  }
}
TEST("the full form gives what substitution gives in long double") {
  for (const Index num : {Index{1}, Index{17}}) {
    for (const Index A : {Index{1}, Index{2}, Index{5}, Index{40}}) {
      for (const bool with_zeros : {false, true}) {
        test_triangle<float, float>(num, A, with_zeros, 1e-4);
        test_triangle<float, double>(num, A, with_zeros, 1e-4);
        test_triangle<double, double>(num, A, with_zeros, 1e-11);
      }
    }
  }
}
