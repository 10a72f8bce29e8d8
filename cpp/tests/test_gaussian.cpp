// Densities, scores and divergences against the formulas in long double, for every way log σ can come, and
// numbers of rows around those of groups and blocks.
#include "check.hpp"
#include "pgcore/gaussian.hpp"

using namespace pgcore;

namespace {

using Real = long double;

template <class T>
struct Rows {
  Index num, A;
  std::vector<T> a, mean, other, log_rows, log_one;
  Rows(Index num_rows, Index width)
      : num(num_rows),
        A(width),
        a(testing::normal<T>(num * A, 1)),
        mean(testing::normal<T>(num * A, 2)),
        other(testing::normal<T>(num * A, 3)),
        log_rows(testing::normal<T>(num * A, 4)),
        log_one(testing::normal<T>(A, 5)) {}
  gaussian::LogStd<T> log_std(bool shared) const {
    return {shared ? log_one.data() : log_rows.data(), shared};
  }
};

template <class T>
Real at(const std::vector<T>& x, Index i) {
  return static_cast<Real>(x[static_cast<std::size_t>(i)]);
}

template <class T>
void test_diagonal(Index num, Index A) {
  const Rows<T> rows(num, A);
  const Real tolerance = std::is_same_v<T, float> ? 1e-5L : 1e-13L;
  const auto near = [&](T got, Real exact) {
    return std::abs(static_cast<Real>(got) - exact) <= tolerance * (1 + std::abs(exact));
  };
  std::vector<T> out(static_cast<std::size_t>(num)), d_mean(rows.a.size()), d_log_std(rows.a.size());
  for (const bool shared : {true, false}) {
    const auto log_std = rows.log_std(shared);
    gaussian::log_prob(num, A, rows.a.data(), rows.mean.data(), log_std, out.data());
    gaussian::score(num, A, rows.a.data(), rows.mean.data(), log_std, d_mean.data(), d_log_std.data());
    bool right = true;
    for (Index r = 0; r < num; ++r) {
      Real sum = 0;
      for (Index k = 0; k < A; ++k) {
        const Real s = static_cast<Real>(log_std.row(r, A)[k]);
        const Real z = (at(rows.a, r * A + k) - at(rows.mean, r * A + k)) / std::exp(s);
        sum -= z * z / 2 + s + static_cast<Real>(gaussian::half_log_2pi);
        right = right && near(d_mean[static_cast<std::size_t>(r * A + k)], z / std::exp(s)) &&
                near(d_log_std[static_cast<std::size_t>(r * A + k)], z * z - 1);
      }
      right = right && near(out[static_cast<std::size_t>(r)], sum);
    }
    CHECK(right);
    for (const bool other_shared : {true, false}) {
      const auto log_q = rows.log_std(other_shared);
      gaussian::kl(num, A, rows.mean.data(), log_std, rows.other.data(), log_q, out.data());
      bool close = true;
      for (Index r = 0; r < num; ++r) {
        Real sum = 0;
        for (Index k = 0; k < A; ++k) {
          const Real q = static_cast<Real>(log_q.row(r, A)[k]);
          const Real u = 2 * (static_cast<Real>(log_std.row(r, A)[k]) - q);
          const Real z = (at(rows.mean, r * A + k) - at(rows.other, r * A + k)) / std::exp(q);
          sum += (std::expm1(u) - u + z * z) / 2;
        }
        close = close && near(out[static_cast<std::size_t>(r)], sum);
      }
      CHECK(close);
    }
  }
  gaussian::entropy(num, A, rows.log_rows.data(), out.data());
  bool right = true;
  for (Index r = 0; r < num; ++r) {
    Real sum = 0;
    for (Index k = 0; k < A; ++k) {
      sum += at(rows.log_rows, r * A + k) + static_cast<Real>(gaussian::half_log_2pi) + 0.5L;
    }
    right = right && near(out[static_cast<std::size_t>(r)], sum);
  }
  CHECK(right);
}

// With a diagonal L the full form is the diagonal one.
template <class T>
void test_full(Index num, Index A) {
  const Rows<T> rows(num, A);
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
  gaussian::log_prob_tril(num, A, rows.a.data(), rows.mean.data(), L.data(), full.data());
  gaussian::log_prob(num, A, rows.a.data(), rows.mean.data(), rows.log_std(true), diagonal.data());
  gaussian::score_tril(num, A, rows.a.data(), rows.mean.data(), L.data(), d_mean.data(), d_tril.data());
  gaussian::score(num, A, rows.a.data(), rows.mean.data(), rows.log_std(true), d_same.data(),
                  d_log_std.data());
  bool same = true;
  const T tolerance = std::is_same_v<T, float> ? T(1e-4) : T(1e-12);
  const auto near = [&](T x, T y) { return std::abs(x - y) <= tolerance * (1 + std::abs(y)); };
  for (std::size_t r = 0; r < n; ++r) same = same && near(full[r], diagonal[r]);
  for (std::size_t i = 0; i < d_mean.size(); ++i) same = same && near(d_mean[i], d_same[i]);
  CHECK(same);
  gaussian::kl_tril(num, A, rows.mean.data(), L.data(), rows.other.data(), M.data(), full.data());
  gaussian::kl(num, A, rows.mean.data(), rows.log_std(true), rows.other.data(), {zeros.data(), true},
               diagonal.data());
  bool close = true;
  for (std::size_t r = 0; r < n; ++r) close = close && near(full[r], diagonal[r]);
  CHECK(close);
}

}  // namespace

int main() {
  for (const Index num : {Index{0}, Index{1}, Index{15}, Index{16}, Index{17}, Index{2047}, Index{4100}}) {
    for (const Index A : {Index{1}, Index{3}, Index{8}, Index{70}}) {
      test_diagonal<float>(num, A);
      test_diagonal<double>(num, A);
    }
    for (const Index A : {Index{1}, Index{4}}) {
      test_full<float>(num, A);
      test_full<double>(num, A);
    }
  }
  return testing::finish();
}
