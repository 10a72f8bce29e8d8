// Recurrences against plain loops, in the column and in the row form.
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>

#include "check.hpp"
#include "pgcore/scan.hpp"

using namespace pgcore;

namespace {

template <class T>
void test_reward_to_go(Index rows, Index columns, double end_rate, T gamma, double tolerance) {
  const testing::Case here("rows =", rows, "columns =", columns, "end rate", end_rate);
  const auto rewards = testing::normal<T>(rows * columns, 1),
             bootstrap = testing::normal<T>(rows * columns, 2);
  std::mt19937 engine(3);
  std::bernoulli_distribution draw(end_rate);
  const auto size = static_cast<std::size_t>(rows * columns);
  const std::unique_ptr<bool[]> ends(new bool[size]);
  for (std::size_t i = 0; i < size; ++i) ends[i] = draw(engine);
  std::vector<T> out(size);
  scan::reward_to_go<T>({rewards.data(), rows, columns},
                        {{ends.get(), rows, columns},
                         testing::rows(bootstrap, columns),
                         {bootstrap.data() + (rows - 1) * columns, columns}},
                        gamma, {out.data(), rows, columns});
  std::vector<double> expected(size);
  for (Index n = 0; n < columns; ++n) {
    double next = 0;
    for (Index t = rows - 1; t >= 0; --t) {
      const auto i = static_cast<std::size_t>(t * columns + n);
      if (ends[i] || t == rows - 1) next = bootstrap[i];
      next = rewards[i] + static_cast<double>(gamma) * next;
      expected[i] = next;
    }
  }
  CHECK(testing::relative_error(out, expected) < tolerance);
}

// Ratios of 1 make V-trace's targets those of λ = 1.
template <class T>
void test_advantages(Index rows, Index columns, double end_rate, double lam, double tolerance) {
  const testing::Case here("rows =", rows, "columns =", columns, "end rate", end_rate, "lambda", lam);
  const double gamma = 0.9;
  const auto rewards = testing::normal<T>(rows * columns, 1), values = testing::normal<T>(rows * columns, 2),
             bootstrap = testing::normal<T>(rows * columns, 3);
  std::mt19937 engine(4);
  std::bernoulli_distribution draw(end_rate);
  const auto size = static_cast<std::size_t>(rows * columns);
  const std::unique_ptr<bool[]> ends(new bool[size]);
  for (std::size_t i = 0; i < size; ++i) ends[i] = draw(engine);
  const scan::Segments<T> segments{{ends.get(), rows, columns},
                                   testing::rows(bootstrap, columns),
                                   {bootstrap.data() + (rows - 1) * columns, columns}};
  std::vector<T> advantages(size), targets(size), ratios(size, T(0));
  std::vector<double> expected(size), expected_targets(size);
  for (Index n = 0; n < columns; ++n) {
    double after = 0, next_value = 0;
    for (Index t = rows - 1; t >= 0; --t) {
      const auto i = static_cast<std::size_t>(t * columns + n);
      const bool end = ends[i] || t == rows - 1;
      const double delta = rewards[i] + gamma * (end ? bootstrap[i] : next_value) - values[i];
      after = delta + gamma * lam * (end ? 0 : after);
      expected[i] = after;
      expected_targets[i] = after + values[i];
      next_value = values[i];
    }
  }
  scan::gae<T>({rewards.data(), rows, columns}, {values.data(), rows, columns}, segments, gamma, lam,
               {advantages.data(), rows, columns}, {targets.data(), rows, columns});
  CHECK(testing::relative_error(advantages, expected) < tolerance);
  CHECK(testing::relative_error(targets, expected_targets) < tolerance);
  if (lam != 1) return;
  scan::vtrace<T>({rewards.data(), rows, columns}, {values.data(), rows, columns},
                  {ratios.data(), rows, columns}, segments, gamma, 1.0, 1.0,
                  {advantages.data(), rows, columns}, {targets.data(), rows, columns});
  CHECK(testing::relative_error(advantages, expected) < tolerance);
  CHECK(testing::relative_error(targets, expected_targets) < tolerance);
}

template <class T>
void test_nan_stays_in_its_segment() {
  const Index rows = 3000;
  std::vector<T> rewards(rows, T(1)), out(rows);
  rewards[2000] = std::numeric_limits<T>::quiet_NaN();
  const std::unique_ptr<bool[]> ends(new bool[rows]());
  ends[1500] = ends[2500] = true;
  scan::reward_to_go<T>({rewards.data(), rows, 1}, {{ends.get(), rows, 1}, {}, {}}, T(0.9),
                        {out.data(), rows, 1});
  for (Index t = 0; t < rows; ++t) {
    CHECK(std::isnan(out[static_cast<std::size_t>(t)]) == (t > 1500 && t <= 2000));
  }
}

// Long float sums, coefficients that change with ratios of any size, ends of any byte: in a column and beside
// ordinary columns.
template <class T>
void test_extreme_ratios(Index rows, Index columns) {
  const auto size = static_cast<std::size_t>(rows * columns);
  std::vector<T> r(size, T(0)), v(size, T(0)), x(size, T(0)), targets(size), advantages(size);
  std::vector<std::uint8_t> bytes(size, 0);
  const auto at = [=](Index t) { return static_cast<std::size_t>(t * columns); };
  const auto of = [=](const std::vector<T>& a) { return Rows<const T>{a.data(), rows, columns}; };
  const auto to = [=](std::vector<T>& a) { return Rows<T>{a.data(), rows, columns}; };
  x[at(0)] = T(800);  // d_0 = c_0 c_1 δ_2
  x[at(1)] = T(-800);
  r[at(2)] = T(5);
  bytes[at(2)] = 255;
  scan::vtrace<T>(of(r), of(v), of(x), {{reinterpret_cast<const bool*>(bytes.data()), rows, columns}, {}, {}},
                  1.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity(),
                  to(advantages), to(targets));
  CHECK(std::abs(static_cast<double>(targets[at(0)]) - 5) < 1e-5);
  for (Index n = 1; n < columns; ++n) CHECK(targets[static_cast<std::size_t>(n)] == T(0));
  std::fill(r.begin(), r.end(), T(0.1));
  scan::gae<T>(of(r), of(v), {}, 1.0, 1.0, to(advantages), to(targets));
  const double exact = static_cast<double>(T(0.1)) * static_cast<double>(rows);
  CHECK(std::abs(static_cast<double>(advantages[0]) / exact - 1) < 1e-6);
}

}  // namespace

TEST("ratios and sums of extreme size") {
  for (const Index rows : {3, 700, 100000}) {
    for (const Index columns : {1, 3}) {
      test_extreme_ratios<float>(rows, columns);
      test_extreme_ratios<double>(rows, columns);
    }
  }
}
TEST("rewards to go are the sums that define them") {
  for (const Index rows : {1, 2, 511, 512, 513, 1024, 1025, 1026, 5000}) {
    for (const Index columns : {1, 3, 64, 300}) {
      if (rows * columns > 200000) continue;
      for (const double rate : {0.0, 0.01, 0.5}) {
        test_reward_to_go<double>(rows, columns, rate, 0.99, 1e-12);
        test_reward_to_go<float>(rows, columns, rate, 1.0f, 1e-4);
      }
    }
  }
}
TEST("advantages and value targets follow their recursion, and stop at ends") {
  for (const Index rows : {1, 2, 511, 513, 1025, 1100}) {
    for (const Index columns : {1, 3, 64}) {
      for (const double rate : {0.0, 0.05, 0.5}) {
        for (const double lam : {0.0, 0.8, 1.0}) {
          test_advantages<double>(rows, columns, rate, lam, 1e-12);
          test_advantages<float>(rows, columns, rate, lam, 1e-4);
        }
      }
    }
  }
}
TEST("not-a-number stays in its segment") {
  test_nan_stays_in_its_segment<float>();
  test_nan_stays_in_its_segment<double>();
}
