// Cumulative ratios and effective sample sizes against the sums that define them, in all forms of the
// kernels.
#include <cmath>
#include <memory>

#include "check.hpp"
#include "pgcore/ratios.hpp"

using namespace pgcore;

namespace {

template <class T>
void test_cumulative(Index rows, Index columns, ratios::Direction direction, bool with_ends,
                     double tolerance) {
  const auto x = testing::normal<T>(rows * columns, 1);
  const auto size = static_cast<std::size_t>(rows * columns);
  std::mt19937 engine(2);
  std::bernoulli_distribution draw(0.1);
  const std::unique_ptr<bool[]> ends(new bool[size]);
  for (std::size_t i = 0; i < size; ++i) ends[i] = draw(engine);
  std::vector<T> out(size);
  ratios::cumulative_log_ratios<T>(
      {x.data(), rows, columns}, with_ends ? Rows<const bool>{ends.get(), rows, columns} : Rows<const bool>{},
      direction, {out.data(), rows, columns});
  std::vector<double> expected(size);
  for (Index n = 0; n < columns; ++n) {
    for (Index first = 0; first < rows;) {
      Index last = first;
      const auto at = [=](Index t) { return static_cast<std::size_t>(t * columns + n); };
      while (last + 1 < rows && !(with_ends && ends[at(last)])) ++last;
      for (Index t = first; t <= last; ++t) {
        double sum = 0;
        for (Index k = first; k <= last; ++k) {
          const bool counts = direction == ratios::Direction::past     ? k <= t
                              : direction == ratios::Direction::future ? k > t
                                                                       : true;
          if (counts) sum += static_cast<double>(x[at(k)]);
        }
        expected[at(t)] = sum;
      }
      first = last + 1;
    }
  }
  CHECK(testing::relative_error(out, expected) < tolerance);
}

template <class T>
void test_effective_sample_size(Index rows, Index columns, double tolerance) {
  const auto x = testing::normal<T>(rows * columns, 3);
  std::vector<T> out(static_cast<std::size_t>(columns));
  ratios::effective_sample_size<T>({x.data(), rows, columns}, {out.data(), columns});
  std::vector<double> expected(out.size());
  for (Index n = 0; n < columns; ++n) {
    double sum = 0, squares = 0;
    for (Index t = 0; t < rows; ++t) {
      const double w = std::exp(static_cast<double>(x[static_cast<std::size_t>(t * columns + n)]));
      sum += w;
      squares += w * w;
    }
    expected[static_cast<std::size_t>(n)] = sum * sum / squares;
  }
  CHECK(testing::relative_error(out, expected) < tolerance);
}

template <class T>
void test_all(double tolerance) {
  for (const Index rows : {1, 2, 15, 16, 17, 100}) {
    for (const Index columns : {1, 2, 3, 40, 64, 65, 300}) {
      for (const auto direction :
           {ratios::Direction::past, ratios::Direction::future, ratios::Direction::trajectory}) {
        for (const bool with_ends : {false, true}) {
          test_cumulative<T>(rows, columns, direction, with_ends, tolerance);
        }
      }
      test_effective_sample_size<T>(rows, columns, tolerance);
    }
  }
}

}  // namespace

TEST("no columns have no effective sample sizes") {
  std::vector<double> out{7};  // stays as it is
  ratios::effective_sample_size<double>({nullptr, 3, 0}, {out.data(), 0});
  CHECK(out[0] == 7);
}
TEST("cumulative ratios and effective sample sizes in double") {
  test_all<double>(1e-12);
}
TEST("cumulative ratios and effective sample sizes in float") {
  test_all<float>(1e-5);
}
