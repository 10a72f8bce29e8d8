// Recurrences against plain loops in long double, in all widths, with and without each operand.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>

#include "check.hpp"
#include "pgcore/scan.hpp"

using namespace pgcore;

namespace {

using Exact = long double;
constexpr double infinity = std::numeric_limits<double>::infinity();

// Which operands there are, besides rewards, values and log ratios.
struct Form {
  Index rows, columns;
  double end_rate;  // negative: no ends
  bool bootstrap, next_values, gamma_each, lam_each;
};

template <class T>
struct Problem {
  Form form;
  std::vector<T> r, v, log_ratio, bootstrap, next, gammas, lams;
  std::unique_ptr<bool[]> ends;
  scan::Segments<T> segments;
  scan::Coefficient<T> gamma, lam;

  Problem(const Form& f, double gamma_all, double lam_all) : form(f), gamma{gamma_all, {}}, lam{lam_all, {}} {
    const Index size = f.rows * f.columns;
    r = testing::normal<T>(size, 1);
    v = testing::normal<T>(size, 2);
    log_ratio = testing::normal<T>(size, 3);
    bootstrap = testing::normal<T>(size, 4);
    next = testing::normal<T>(size, 5);
    gammas = testing::normal<T>(size, 6);
    lams = testing::normal<T>(size, 7);
    std::mt19937 engine(8);
    std::bernoulli_distribution draw(std::max(0.0, f.end_rate));
    ends.reset(new bool[static_cast<std::size_t>(size)]);
    for (Index i = 0; i < size; ++i) ends[static_cast<std::size_t>(i)] = draw(engine);
    for (T& x : log_ratio) x /= 4;
    for (T& x : gammas) x = T(0.95) + x / 100;
    for (T& x : lams) x = T(0.9) + x / 100;
    if (f.end_rate >= 0) segments.ends = {ends.get(), f.rows, f.columns};
    if (f.bootstrap) {
      if (f.end_rate >= 0) segments.bootstrap = of(bootstrap);
      segments.last_bootstrap = {bootstrap.data() + (f.rows - 1) * f.columns, f.columns};
    }
    if (f.gamma_each) gamma = {0, of(gammas)};
    if (f.lam_each) lam = {0, of(lams)};
  }

  Rows<const T> of(const std::vector<T>& x) const { return {x.data(), form.rows, form.columns}; }
  Rows<T> to(std::vector<T>& x) const { return {x.data(), form.rows, form.columns}; }
  Rows<const T> next_values() const { return form.next_values ? of(next) : Rows<const T>{}; }

  std::size_t at(Index t, Index n) const { return static_cast<std::size_t>(t * form.columns + n); }
  bool end(Index t, Index n) const { return t == form.rows - 1 || (form.end_rate >= 0 && ends[at(t, n)]); }
  Exact g(Index t, Index n) const { return form.gamma_each ? Exact(gammas[at(t, n)]) : Exact(gamma.all); }
  Exact l(Index t, Index n) const { return form.lam_each ? Exact(lams[at(t, n)]) : Exact(lam.all); }
  Exact after_end(Index t, Index n) const {
    return form.next_values ? Exact(next[at(t, n)]) : form.bootstrap ? Exact(bootstrap[at(t, n)]) : 0;
  }
  Exact next_value(Index t, Index n) const {
    return form.next_values || end(t, n) ? after_end(t, n) : Exact(v[at(t + 1, n)]);
  }
};

template <class T>
std::vector<T> filled(Index size) {
  return std::vector<T>(static_cast<std::size_t>(size), std::numeric_limits<T>::quiet_NaN());
}

// f(n, t) for every column, from the last row to the first.
template <class F>
void for_each_backward(const Form& form, F&& f) {
  for (Index n = 0; n < form.columns; ++n) {
    for (Index t = form.rows - 1; t >= 0; --t) f(t, n);
  }
}

template <class T>
void test_affine(const Problem<T>& p, double tolerance) {
  const Index size = p.form.rows * p.form.columns;
  std::vector<T> out = filled<T>(size);
  std::vector<Exact> y(static_cast<std::size_t>(size));
  for_each_backward(p.form, [&](Index t, Index n) {
    y[p.at(t, n)] = p.r[p.at(t, n)] + p.g(t, n) * (p.end(t, n) ? p.after_end(t, n) : y[p.at(t + 1, n)]);
  });
  scan::affine_scan<T>(p.of(p.r), p.gamma, p.segments, scan::Order::backward, p.to(out));
  CHECK(testing::relative_error(out, y) < tolerance);
  std::fill(out.begin(), out.end(), T(0));
  scan::reward_to_go<T>(p.of(p.r), p.segments, p.gamma, p.to(out));
  CHECK(testing::relative_error(out, y) < tolerance);
  for (Index n = 0; n < p.form.columns; ++n) {
    for (Index t = 0; t < p.form.rows; ++t) {
      const bool begins = t == 0 || p.end(t - 1, n);
      y[p.at(t, n)] = p.r[p.at(t, n)] + p.g(t, n) * (begins ? 0 : y[p.at(t - 1, n)]);
    }
  }
  scan::affine_scan<T>(p.of(p.r), p.gamma, p.segments, scan::Order::forward, p.to(out));
  CHECK(testing::relative_error(out, y) < tolerance);
}

template <class T>
void test_n_steps(const Problem<T>& p, double tolerance) {
  const Index size = p.form.rows * p.form.columns;
  for (const Index steps : {Index{1}, Index{2}, Index{5}, p.form.rows - 1, p.form.rows, p.form.rows + 3}) {
    if (steps < 1 || steps * size > 2000000) continue;
    const testing::Case here("steps", steps);
    std::vector<T> out = filled<T>(size);
    std::vector<Exact> y(static_cast<std::size_t>(size));
    for_each_backward(p.form, [&](Index t, Index n) {
      Exact sum = 0, discount = 1;
      Index k = t;
      for (; k < t + steps; ++k) {
        sum += discount * p.r[p.at(k, n)];
        discount *= p.g(k, n);
        if (p.end(k, n)) break;
      }
      const Exact rest = k < t + steps ? p.after_end(k, n) : Exact(p.v[p.at(k, n)]);
      y[p.at(t, n)] = sum + discount * rest;
    });
    scan::n_step_return<T>(p.of(p.r), p.of(p.v), p.segments, p.gamma, steps, p.to(out));
    CHECK(testing::relative_error(out, y) < tolerance);
  }
}

template <class T>
void test_gae(const Problem<T>& p, double tolerance) {
  const Index size = p.form.rows * p.form.columns;
  std::vector<T> advantages = filled<T>(size), targets = advantages;
  std::vector<Exact> y(static_cast<std::size_t>(size)), sums = y;
  for_each_backward(p.form, [&](Index t, Index n) {
    const auto i = p.at(t, n);
    const Exact later = p.end(t, n) ? 0 : y[p.at(t + 1, n)];
    y[i] = p.r[i] + p.g(t, n) * p.next_value(t, n) - p.v[i] + p.g(t, n) * p.l(t, n) * later;
    sums[i] = y[i] + p.v[i];
  });
  scan::gae<T>(p.of(p.r), p.of(p.v), p.next_values(), p.segments, p.gamma, p.lam, p.to(advantages),
               p.to(targets));
  CHECK(testing::relative_error(advantages, y) < tolerance);
  CHECK(testing::relative_error(targets, sums) < tolerance);
}

template <class T>
void test_vtrace(const Problem<T>& p, double rho_clip, double c_clip, double pg_rho_clip, double tolerance) {
  const testing::Case here("clips", rho_clip, c_clip, pg_rho_clip);
  const Index size = p.form.rows * p.form.columns;
  std::vector<T> advantages = filled<T>(size), targets = advantages;
  std::vector<Exact> vs(static_cast<std::size_t>(size)), a = vs;
  for_each_backward(p.form, [&](Index t, Index n) {
    const auto i = p.at(t, n);
    const Exact rho = std::exp(Exact(p.log_ratio[i]));
    const auto below = [&](double clip) { return std::min(rho, Exact(clip)); };
    const bool end = p.end(t, n);
    const Exact delta = p.r[i] + p.g(t, n) * p.next_value(t, n) - p.v[i];
    const Exact later = end ? 0 : vs[p.at(t + 1, n)] - p.v[p.at(t + 1, n)];
    vs[i] = p.v[i] + below(rho_clip) * delta + p.g(t, n) * p.l(t, n) * below(c_clip) * later;
    const Exact following = end ? p.after_end(t, n) : vs[p.at(t + 1, n)];
    a[i] = below(pg_rho_clip) * (p.r[i] + p.g(t, n) * following - p.v[i]);
  });
  scan::vtrace<T>(p.of(p.r), p.of(p.v), p.of(p.log_ratio), p.next_values(), p.segments,
                  {p.gamma, p.lam, rho_clip, c_clip, pg_rho_clip}, p.to(advantages), p.to(targets));
  CHECK(testing::relative_error(advantages, a) < tolerance);
  CHECK(testing::relative_error(targets, vs) < tolerance);
}

template <class T>
void test_all(const Form& form, double gamma, double lam, double tolerance) {
  const testing::Case here("rows", form.rows, "columns", form.columns, "end rate", form.end_rate, "bootstrap",
                           form.bootstrap, "next values", form.next_values, "gamma", gamma, form.gamma_each,
                           "lambda", lam, form.lam_each);
  const Problem<T> p(form, gamma, lam);
  test_gae(p, tolerance);
  test_vtrace(p, 1, 1, 1, tolerance);
  test_vtrace(p, 1.2, 0.9, infinity, tolerance);
  if (form.next_values) return;
  test_affine(p, tolerance);
  test_n_steps(p, tolerance);
}

// Every operand is left out alone and together with others; gamma = 1 is carried in double.
void test_forms(Index rows, Index columns) {
  for (int bits = 0; bits < 32; ++bits) {
    const auto has = [&](int k) { return (bits >> k & 1) != 0; };
    const Form form{rows, columns, has(0) ? 0.1 : -1, has(1), has(2) && !has(1), has(3), has(4)};
    const double gamma = (bits + rows + columns) % 2 == 0 ? 0.95 : 1;
    test_all<double>(form, gamma, 0.9, 1e-12);
    test_all<float>(form, gamma, 0.9, 2e-5);
  }
}

template <class T>
void test_nan_stays_in_its_segment(Index columns) {
  const Index rows = 3000;
  const auto size = static_cast<std::size_t>(rows * columns);
  std::vector<T> rewards(size, T(1)), out(size);
  const std::unique_ptr<bool[]> ends(new bool[size]());
  for (Index n = 0; n < columns; ++n) {
    rewards[static_cast<std::size_t>(2000 * columns + n)] = std::numeric_limits<T>::quiet_NaN();
    for (const Index t : {1500, 2500}) ends[static_cast<std::size_t>(t * columns + n)] = true;
  }
  const Rows<const T> r{rewards.data(), rows, columns};
  const scan::Segments<T> segments{{ends.get(), rows, columns}, {}, {}};
  for (const auto order : {scan::Order::backward, scan::Order::forward}) {
    scan::affine_scan<T>(r, {0.9, {}}, segments, order, {out.data(), rows, columns});
    const bool backward = order == scan::Order::backward;
    const Index first = backward ? 1501 : 2000, last = backward ? 2000 : 2500;
    for (Index i = 0; i < rows * columns; ++i) {
      const Index t = i / columns;
      CHECK(std::isnan(out[static_cast<std::size_t>(i)]) == (t >= first && t <= last));
    }
  }
}

// Coefficients of any kind follow the plain recursion to the last bit where nothing can be composed.
template <class T>
void test_any_coefficients(Index columns) {
  const testing::Case here("columns", columns);
  const Index rows = 700, size = rows * columns;
  const auto x = testing::normal<T>(size, 1);
  auto c = testing::normal<T>(size, 2);
  const T odd[] = {0, T(1e30), T(-1e30), T(1e-35), T(-3), std::numeric_limits<T>::quiet_NaN()};
  for (Index i = 0; i < size; i += 3) c[static_cast<std::size_t>(i)] = odd[i / 3 % 5];
  c[static_cast<std::size_t>(size / 2)] = odd[5];
  std::vector<T> out = filled<T>(size);
  scan::affine_scan<T>({x.data(), rows, columns}, {0, {c.data(), rows, columns}}, {}, scan::Order::backward,
                       {out.data(), rows, columns});
  std::vector<double> next(static_cast<std::size_t>(columns), 0.0);
  for (Index i = size - 1; i >= 0; --i) {
    const auto k = static_cast<std::size_t>(i);
    double& y = next[static_cast<std::size_t>(i % columns)];
    y = i >= size - columns ? double(x[k]) : double(x[k]) + double(c[k]) * y;
    const T expected = static_cast<T>(y);
    CHECK((out[k] == expected || (std::isnan(out[k]) && std::isnan(expected))));
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
  const scan::Segments<T> segments{{reinterpret_cast<const bool*>(bytes.data()), rows, columns}, {}, {}};
  scan::vtrace<T>(of(r), of(v), of(x), {}, segments, {{1, {}}, {1, {}}, infinity, infinity, infinity},
                  to(advantages), to(targets));
  CHECK(std::abs(static_cast<double>(targets[at(0)]) - 5) < 1e-5);
  for (Index n = 1; n < columns; ++n) CHECK(targets[static_cast<std::size_t>(n)] == T(0));
  std::fill(r.begin(), r.end(), T(0.1));
  scan::gae<T>(of(r), of(v), {}, {}, {1, {}}, {1, {}}, to(advantages), to(targets));
  const double exact = static_cast<double>(T(0.1)) * static_cast<double>(rows);
  CHECK(std::abs(static_cast<double>(advantages[0]) / exact - 1) < 1e-6);
}

// The range is left in one tile and entered in the one before it: ratios of e^60, then as many of e^−60.
template <class T>
void test_products_across_tiles(Index columns) {
  const Index rows = 2500;
  const auto size = static_cast<std::size_t>(rows * columns);
  std::vector<T> r(size, T(0)), v(size, T(0)), x(size, T(0)), targets(size), advantages(size);
  for (Index n = 0; n < columns; ++n) {
    const auto at = [&](Index t) { return static_cast<std::size_t>(t * columns + n); };
    for (Index t = 100; t < 1100; ++t) x[at(t)] = T(-60);
    for (Index t = 1100; t < 2100; ++t) x[at(t)] = T(60);
    r[at(rows - 1)] = T(3);
  }
  const auto of = [=](const std::vector<T>& a) { return Rows<const T>{a.data(), rows, columns}; };
  scan::vtrace<T>(of(r), of(v), of(x), {}, {}, {{1, {}}, {1, {}}, infinity, infinity, infinity},
                  {advantages.data(), rows, columns}, {targets.data(), rows, columns});
  for (Index n = 0; n < columns; ++n) {
    CHECK(std::abs(static_cast<double>(targets[static_cast<std::size_t>(n)]) - 3) < 1e-5);
    const double inside = static_cast<double>(targets[static_cast<std::size_t>(1100 * columns + n)]);
    CHECK(std::isinf(inside));
  }
}

}  // namespace

TEST("every scan follows its definition, whatever operands there are") {
  for (const Index columns : {1, 3, 8}) test_forms(150, columns);
  test_forms(5, 40);
  test_forms(3, 1100);
}
TEST("every scan follows its definition in every width") {
  for (Index columns = 1; columns <= 40; ++columns) {
    for (const Index rows : {1, 2, 3, 70, 600}) {
      const Form form{rows, columns, 0.05, true, false, false, false};
      test_all<double>(form, 0.99, 0.95, 1e-12);
      test_all<float>(form, 0.99, 0.95, 2e-5);
    }
  }
  for (const Index columns : {64, 300, 512, 513, 1024, 1025, 2500}) {
    test_all<double>({4, columns, 0.2, true, false, false, false}, 0.99, 0.95, 1e-12);
    test_all<float>({4, columns, 0.2, true, false, false, false}, 0.99, 0.95, 2e-5);
  }
}
TEST("every scan follows its definition in every length") {
  for (const Index rows : {511, 512, 513, 1023, 1024, 1025, 1026, 5000}) {
    for (const double rate : {-1.0, 0.0, 0.01, 0.5, 1.0}) {
      const Form form{rows, 1, rate, true, false, false, false};
      test_all<double>(form, 0.99, 0.95, 1e-12);
      test_all<float>(form, 1, 1, 1e-4);
    }
  }
}
TEST("ratios and sums of extreme size") {
  for (const Index rows : {3, 700, 100000}) {
    for (const Index columns : {1, 3}) {
      test_extreme_ratios<float>(rows, columns);
      test_extreme_ratios<double>(rows, columns);
    }
  }
}
TEST("products that leave the range in one tile come back in another") {
  for (const Index columns : {1, 2, 3}) {
    test_products_across_tiles<float>(columns);
    test_products_across_tiles<double>(columns);
  }
}
TEST("coefficients may be zero, huge, tiny, negative or not a number") {
  for (const Index columns : {1, 2, 3, 8, 9, 33}) test_any_coefficients<double>(columns);
}
TEST("not-a-number stays in its segment") {
  for (const Index columns : {1, 2, 5, 8, 20}) {
    test_nan_stays_in_its_segment<float>(columns);
    test_nan_stays_in_its_segment<double>(columns);
  }
}
