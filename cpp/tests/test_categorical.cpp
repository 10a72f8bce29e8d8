// Categorical kernels against their definitions in double, by one thread and by two.
#include "check.hpp"
#include "pgcore/categorical.hpp"
#include "pgcore/parallel.hpp"

using namespace pgcore;

namespace {

template <class T>
struct Results {
  std::vector<T> log_prob, score, kl, entropy;
  bool operator==(const Results& other) const {
    return log_prob == other.log_prob && score == other.score && kl == other.kl && entropy == other.entropy;
  }
};

template <class T>
void check(Index rows, Index K, double tolerance) {
  const testing::Case here("rows =", rows, "K =", K);
  const auto p = testing::normal<T>(rows * K, 1), q = testing::normal<T>(rows * K, 2);
  std::vector<std::int64_t> actions;
  for (Index i = 0; i < rows; ++i) actions.push_back((i * 7) % K);
  const auto n = static_cast<std::size_t>(rows), size = n * static_cast<std::size_t>(K);

  Results<double> expected{{}, std::vector<double>(size), {}, {}};
  for (std::size_t i = 0; i < n; ++i) {
    const T *x = p.data() + i * static_cast<std::size_t>(K), *y = q.data() + i * static_cast<std::size_t>(K);
    double sum_x = 0, sum_y = 0, kl = 0, entropy = 0;
    for (Index k = 0; k < K; ++k) {
      sum_x += std::exp(static_cast<double>(x[k]));
      sum_y += std::exp(static_cast<double>(y[k]));
    }
    for (Index k = 0; k < K; ++k) {
      const double log_p = static_cast<double>(x[k]) - std::log(sum_x);
      const double log_q = static_cast<double>(y[k]) - std::log(sum_y);
      kl += std::exp(log_p) * (log_p - log_q);
      entropy -= std::exp(log_p) * log_p;
      expected.score[i * static_cast<std::size_t>(K) + static_cast<std::size_t>(k)] =
          (k == actions[i] ? 1.0 : 0.0) - std::exp(log_p);
    }
    expected.log_prob.push_back(static_cast<double>(x[actions[i]]) - std::log(sum_x));
    expected.kl.push_back(kl);
    expected.entropy.push_back(entropy);
  }

  std::vector<Results<T>> of_threads;
  for (const int threads : {1, 2}) {
    parallel::set_num_threads(threads);
    Results<T> got{std::vector<T>(n), std::vector<T>(size), std::vector<T>(n), std::vector<T>(n)};
    categorical::log_prob<T>({actions.data(), rows}, {p.data(), rows, K}, {got.log_prob.data(), rows});
    categorical::score<T>({actions.data(), rows}, {p.data(), rows, K}, {got.score.data(), rows, K});
    categorical::kl<T>({p.data(), rows, K}, {q.data(), rows, K}, {got.kl.data(), rows});
    categorical::entropy<T>({p.data(), rows, K}, {got.entropy.data(), rows});
    of_threads.push_back(std::move(got));
  }
  CHECK((of_threads[0] == of_threads[1]));
  CHECK(testing::relative_error(of_threads[0].log_prob, expected.log_prob) < tolerance);
  CHECK(testing::relative_error(of_threads[0].score, expected.score) < tolerance);
  CHECK(testing::relative_error(of_threads[0].kl, expected.kl) < tolerance);
  CHECK(testing::relative_error(of_threads[0].entropy, expected.entropy) < tolerance);
}

template <class T>
void check_certainty() {
  const std::vector<T> x{T(-3), T(0), T(700)};
  const std::vector<std::int64_t> actions(3);
  std::vector<T> out(3, T(1));
  const std::vector<T> zeros(3);
  categorical::log_prob<T>({actions.data(), 3}, {x.data(), 3, 1}, {out.data(), 3});
  CHECK(out == zeros);
  categorical::score<T>({actions.data(), 3}, {x.data(), 3, 1}, {out.data(), 3, 1});
  CHECK(out == zeros);
  categorical::kl<T>({x.data(), 3, 1}, {x.data(), 3, 1}, {out.data(), 3});
  CHECK(out == zeros);
  categorical::entropy<T>({x.data(), 3, 1}, {out.data(), 3});
  CHECK(out == zeros);
}

}  // namespace

TEST("categorical kernels give what their definitions give, by one thread and by two") {
  for (const Index K : {2, 3, 8, 33, 1000}) {
    for (const Index rows : {1, 7, 5000}) {
      if (rows * K > 200000) continue;
      check<float>(rows, K, 2e-6);
      check<double>(rows, K, 1e-13);
    }
  }
  check<float>(20000, 64, 2e-6);
}
TEST("a single choice is certain, exactly") {
  check_certainty<float>();
  check_certainty<double>();
}
