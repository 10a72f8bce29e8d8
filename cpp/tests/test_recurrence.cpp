// The recurrence over scratch memory in every width, composed and one by one.
#include <cmath>
#include <cstdint>
#include <limits>

#include "check.hpp"
#include "scan/recurrence.hpp"

using namespace pgcore;
using scan::detail::Factors;

namespace {

// Scratch with the margins that `recur` asks for.
template <class Real>
struct Scratch {
  static constexpr Index margin = scan::detail::lanes<Real>;
  std::vector<Real> x, c, y;
  Index count;

  Scratch(Index rows, Index columns)
      : x(static_cast<std::size_t>(margin + rows * columns), Real(0)),
        c(x),
        y(x.size() + static_cast<std::size_t>(columns + margin), Real(0)),
        count(rows * columns) {}
  Real* of(std::vector<Real>& numbers) { return numbers.data() + margin; }
};

template <Factors factors, class Real>
void test_width(Index rows, Index columns, double tolerance) {
  const testing::Case here("rows", rows, "columns", columns);
  Scratch<Real> s(rows, columns);
  const auto x = testing::normal<Real>(s.count, 1), c = testing::normal<Real>(s.count, 2),
             next = testing::normal<Real>(columns, 3);
  std::copy(x.begin(), x.end(), s.of(s.x));
  std::copy(next.begin(), next.end(), s.of(s.y) + s.count);
  std::vector<std::uint8_t> ends(c.size());
  std::vector<double> expected(c.size());
  for (Index k = s.count - 1; k >= 0; --k) {
    const auto i = static_cast<std::size_t>(k);
    const double after = k + columns < s.count
                             ? expected[i + static_cast<std::size_t>(columns)]
                             : double(next[static_cast<std::size_t>(k + columns - s.count)]);
    const bool end = c[i] > 1;
    ends[i] = end;
    double factor = end ? 0 : factors == Factors::masks ? 1 : double(c[i]);
    s.of(s.c)[k] = factors == Factors::masks ? simd::bit_cast<Real>(simd::mask<Real>(!end)) : Real(factor);
    expected[i] = double(x[i]) + factor * after;
  }
  CHECK((scan::detail::recur<factors>(s.count, columns, s.of(s.x), s.of(s.c), s.of(s.y))));
  std::vector<Real> y(s.of(s.y), s.of(s.y) + s.count);
  CHECK(testing::relative_error(y, expected) < tolerance);
  scan::detail::recur_plainly<factors>(s.count, columns, s.of(s.x), s.of(s.c), ends.data(), 1, s.of(s.y));
  y.assign(s.of(s.y), s.of(s.y) + s.count);
  CHECK(testing::relative_error(y, expected) < tolerance);
}

// What lies behind an end is not finite.
template <Factors factors, class Real>
bool solved_behind_end(Index columns, Real behind, Index end) {
  Scratch<Real> s(50, columns);
  std::fill(s.x.begin(), s.x.end(), Real(1));
  const Real one = factors == Factors::masks ? simd::bit_cast<Real>(simd::mask<Real>(true)) : Real(1);
  std::fill(s.of(s.c), s.of(s.c) + s.count, one);
  std::fill(s.x.begin(), s.x.begin() + Scratch<Real>::margin, Real(0));
  for (Index n = 0; n < columns; ++n) {
    s.of(s.x)[(end + 1) * columns + n] = behind;
    s.of(s.c)[end * columns + n] = Real(0);
  }
  if (!scan::detail::recur<factors>(s.count, columns, s.of(s.x), s.of(s.c), s.of(s.y))) return false;
  for (Index k = 0; k < s.count; ++k) {
    const Index t = k / columns;
    if (t <= end) {
      CHECK(s.of(s.y)[k] == Real(end - t + 1));
    } else {
      CHECK(std::isfinite(s.of(s.y)[k]) == (t > end + 1));
    }
  }
  return true;
}

}  // namespace

TEST("every width follows its recursion") {
  for (Index columns = 1; columns <= 40; ++columns) {
    for (Index rows = 1; rows <= 40; ++rows) {
      test_width<Factors::numbers, float>(rows, columns, 1e-5);
      test_width<Factors::numbers, double>(rows, columns, 1e-14);
      test_width<Factors::masks, double>(rows, columns, 1e-14);
    }
  }
}
TEST("masks let nothing through, and factors say where they do") {
  for (const Index columns : {1, 2, 3, 4, 7, 8, 16, 40}) {
    for (const Index end : {10, 30, 47}) {
      for (const double odd : {std::numeric_limits<double>::infinity(), std::nan("")}) {
        CHECK((solved_behind_end<Factors::masks, double>(columns, odd, end)));
        CHECK((!solved_behind_end<Factors::numbers, double>(columns, odd, end)));
      }
    }
  }
}
TEST("sums that overflow only in another order are told") {
  Scratch<double> s(64, 1);
  for (Index k = 0; k < s.count; ++k) s.of(s.x)[k] = k / 2 % 2 == 0 ? 1e308 : -1e308;
  s.of(s.x)[63] = -0.5e308;
  std::fill(s.of(s.c), s.of(s.c) + s.count, simd::bit_cast<double>(simd::mask<double>(true)));
  if (scan::detail::lanes<double> > 1) {
    CHECK((!scan::detail::recur<Factors::masks>(s.count, 1, s.of(s.x), s.of(s.c), s.of(s.y))));
  }
  const std::vector<std::uint8_t> none(64, 0);
  scan::detail::recur_plainly<Factors::masks>(s.count, 1, s.of(s.x), s.of(s.c), none.data(), 1, s.of(s.y));
  for (Index k = 0; k < s.count; ++k) CHECK(std::isfinite(s.of(s.y)[k]));
}
