// The recurrence in every width and order, in registers and one by one.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "check.hpp"
#include "scan/recurrence.hpp"

using namespace pgcore;
using scan::Order;
using scan::detail::Factors;
using scan::detail::Maps;

namespace {

template <class S, class Real>
struct Problem {
  Index count, columns;
  std::vector<S> x, y;
  std::vector<Real> c, carry;
  std::vector<std::uint8_t> ends;

  Problem(Index rows, Index width)
      : count(rows * width),
        columns(width),
        x(testing::normal<S>(count, 1)),
        y(x.size()),
        c(testing::normal<Real>(count, 2)),
        carry(testing::normal<Real>(width, 3)),
        ends(x.size(), 0) {}
  Maps<S, Real> maps() const { return {count, columns, x.data(), c.data(), ends.data()}; }
};

template <Factors factors, Order order, class S, class Real>
void test_width(Index rows, Index columns, double tolerance) {
  const testing::Case here("rows", rows, "columns", columns);
  Problem<S, Real> p(rows, columns);
  for (std::size_t i = 0; i < p.x.size(); ++i) {
    if (p.c[i] > 1) p.ends[i] = 128;
  }
  std::vector<double> expected(p.x.size()), carry(p.carry.begin(), p.carry.end());
  for (Index row = 0; row < rows; ++row) {
    for (Index n = 0; n < columns; ++n) {
      const auto i = static_cast<std::size_t>((order == Order::forward ? row : rows - 1 - row) * columns + n);
      double& next = carry[static_cast<std::size_t>(n)];
      const double factor = factors == Factors::ones ? 1 : double(p.c[i]);
      expected[i] = next = double(p.x[i]) + (p.ends[i] != 0 ? 0 : factor * next);
    }
  }
  const std::vector<Real> behind = p.carry;
  CHECK((scan::detail::recur<factors, order>(p.maps(), p.carry.data(), p.y.data())));
  CHECK(testing::relative_error(p.y, expected) < tolerance);
  CHECK(testing::relative_error(p.carry, carry) < tolerance);
  p.carry = behind;
  scan::detail::recur_plainly<factors, order>(p.maps(), p.carry.data(), p.y.data());
  CHECK(testing::relative_error(p.y, expected) < tolerance);
  CHECK(testing::relative_error(p.carry, carry) < tolerance);
}

// What lies behind an end is not finite.
template <Factors factors>
bool solved_behind_end(Index columns, double behind, Index end) {
  Problem<double, double> p(50, columns);
  std::fill(p.x.begin(), p.x.end(), 1.0);
  std::fill(p.c.begin(), p.c.end(), 1.0);
  std::fill(p.carry.begin(), p.carry.end(), 0.0);
  for (Index n = 0; n < columns; ++n) {
    p.x[static_cast<std::size_t>((end + 1) * columns + n)] = behind;
    p.ends[static_cast<std::size_t>(end * columns + n)] = 1;
  }
  const std::vector<double> carry = p.carry;
  if (!scan::detail::recur<factors, Order::backward>(p.maps(), p.carry.data(), p.y.data())) {
    CHECK(p.carry == carry);
    return false;
  }
  for (Index k = 0; k < p.count; ++k) {
    const Index t = k / columns;
    const double y = p.y[static_cast<std::size_t>(k)];
    if (t <= end) {
      CHECK(y == double(end - t + 1));
    } else {
      CHECK(std::isfinite(y) == (t > end + 1));
    }
  }
  return true;
}

template <Order order>
void test_order(Index rows, Index columns) {
  test_width<Factors::numbers, order, float, float>(rows, columns, 1e-5);
  test_width<Factors::numbers, order, float, double>(rows, columns, 1e-6);
  test_width<Factors::numbers, order, double, double>(rows, columns, 1e-14);
  test_width<Factors::ones, order, float, double>(rows, columns, 1e-6);
  test_width<Factors::ones, order, double, double>(rows, columns, 1e-14);
}

}  // namespace

TEST("every width follows its recursion in both orders") {
  for (Index columns = 1; columns <= 40; ++columns) {
    for (Index rows = 1; rows <= 40; ++rows) {
      test_order<Order::backward>(rows, columns);
      test_order<Order::forward>(rows, columns);
    }
  }
  for (const Index columns : {63, 64, 65, 127, 128, 200, 1000}) {
    for (const Index rows : {1, 2, 5}) {
      test_order<Order::backward>(rows, columns);
      test_order<Order::forward>(rows, columns);
    }
  }
}
TEST("nothing passes an end unnoticed") {
  constexpr Index several = scan::detail::lanes<double> / 2;  // columns of which several rows fit a register
  for (const Index columns : {1, 2, 3, 4, 7, 8, 16, 40}) {
    for (const Index end : {10, 30, 47}) {
      for (const double odd : {std::numeric_limits<double>::infinity(), std::nan("")}) {
        CHECK(solved_behind_end<Factors::ones>(columns, odd, end));
        if (columns <= several) CHECK(!solved_behind_end<Factors::numbers>(columns, odd, end));
        if (columns > 2 * several) CHECK(solved_behind_end<Factors::numbers>(columns, odd, end));
      }
    }
  }
}
TEST("sums that overflow only in another order are told") {
  Problem<double, double> p(64, 1);
  for (Index k = 0; k < p.count; ++k) p.x[static_cast<std::size_t>(k)] = k / 2 % 2 == 0 ? 1e308 : -1e308;
  p.x[63] = -0.5e308;
  p.carry[0] = 0;
  if (scan::detail::lanes<double> > 1) {
    CHECK((!scan::detail::recur<Factors::ones, Order::backward>(p.maps(), p.carry.data(), p.y.data())));
  }
  scan::detail::recur_plainly<Factors::ones, Order::backward>(p.maps(), p.carry.data(), p.y.data());
  for (const double y : p.y) CHECK(std::isfinite(y));
}
