// What C++ tests need: named tests, checks that print the values they compared, and random numbers.
//
//   TEST("a sum of two") { CHECK(1 + 1 == 2); }
//
// `main.cpp` runs all tests of a program, or those whose name contains the first argument.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "pgcore/types.hpp"
#include "pgcore/views.hpp"

namespace pgcore::testing {

// Registers a test; the value is there so that it can be done before main.
bool add(const char* name, void (*run)());
// Counts a check; prints `what` and the values where it failed, together with the current `Case`.
void report(bool ok, const char* what, const std::string& values, const char* file, int line);

// Says which of many parameters the checks below it are about.
class Case {
 public:
  template <class... Parts>
  explicit Case(const Parts&... parts) {
    std::ostringstream text;
    ((text << ' ' << parts), ...);
    push(text.str());
  }
  ~Case();
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;

 private:
  static void push(std::string text);
};

template <class X>
void show(std::ostream& out, const X& x) {
  if constexpr (std::is_enum_v<X>) {
    out << static_cast<long>(x);
  } else {
    out << x;
  }
}
template <class X>
void show(std::ostream& out, const std::vector<X>& x) {
  constexpr std::size_t most = 8;
  out << x.size() << " numbers (";
  for (std::size_t i = 0; i < std::min(most, x.size()); ++i) out << (i ? ", " : "") << x[i];
  out << (x.size() > most ? ", ...)" : ")");
}

struct Outcome {
  bool ok;
  std::string values;
};

template <class A, class B>
Outcome compare(bool ok, const A& a, const char* by, const B& b) {
  if (ok) return {true, {}};
  std::ostringstream text;
  text.precision(std::numeric_limits<double>::max_digits10);
  show(text, a);
  text << ' ' << by << ' ';
  show(text, b);
  return {false, text.str()};
}
template <class X>
Outcome compare(bool ok, const std::vector<X>& a, const char* by, const std::vector<X>& b) {
  if (ok) return {true, {}};
  std::ostringstream text;
  text.precision(std::numeric_limits<double>::max_digits10);
  if (a.size() == b.size()) {
    const auto where = std::mismatch(a.begin(), a.end(), b.begin());
    if (where.first != a.end()) {
      text << "at " << where.first - a.begin() << ' ' << *where.first << ' ' << by << ' ' << *where.second;
      return {false, text.str()};
    }
  }
  show(text, a);
  text << ' ' << by << ' ';
  show(text, b);
  return {false, text.str()};
}

// The left side of a comparison: `Left{a} < b` keeps what was compared.
template <class A>
struct Left {
  const A& a;
  template <class B>
  Outcome operator==(const B& b) const {
    return compare(a == b, a, "==", b);
  }
  template <class B>
  Outcome operator!=(const B& b) const {
    return compare(a != b, a, "!=", b);
  }
  template <class B>
  Outcome operator<(const B& b) const {
    return compare(a < b, a, "<", b);
  }
  template <class B>
  Outcome operator<=(const B& b) const {
    return compare(a <= b, a, "<=", b);
  }
  template <class B>
  Outcome operator>(const B& b) const {
    return compare(a > b, a, ">", b);
  }
  template <class B>
  Outcome operator>=(const B& b) const {
    return compare(a >= b, a, ">=", b);
  }
  operator Outcome() const {
    std::ostringstream text;
    text << a;
    return {static_cast<bool>(a), text.str()};
  }
};
struct Split {
  template <class A>
  Left<A> operator<<(const A& a) const {
    return {a};
  }
};
inline void check(const Outcome& outcome, const char* what, const char* file, int line) {
  report(outcome.ok, what, outcome.values, file, line);
}

// Vectors as views.
template <class T>
Vec<T> vec(std::vector<T>& x) {
  return {x.data(), static_cast<Index>(x.size())};
}
template <class T>
Vec<const T> vec(const std::vector<T>& x) {
  return {x.data(), static_cast<Index>(x.size())};
}
template <class T>
Rows<T> rows(std::vector<T>& x, Index width) {
  return {x.data(), static_cast<Index>(x.size()) / width, width};
}
template <class T>
Rows<const T> rows(const std::vector<T>& x, Index width) {
  return {x.data(), static_cast<Index>(x.size()) / width, width};
}

template <class T>
std::vector<T> normal(Index count, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> draw;
  std::vector<T> x(static_cast<std::size_t>(count));
  for (T& value : x) value = static_cast<T>(draw(engine));
  return x;
}

// ‖a − b‖ / ‖b‖ in the largest-element norm; NaN where one of the two is.
template <class A, class B>
double relative_error(const A& a, const B& b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    if (std::isnan(x) || std::isnan(y)) return std::nan("");
    difference = std::max(difference, std::abs(x - y));
    size = std::max(size, std::abs(y));
  }
  return size > 0 ? difference / size : difference;
}

// The largest of many errors |got − exact| / (1 + |exact|), and where it was.
class Worst {
 public:
  template <class X, class Y>
  void add(X got, Y exact) {
    const double x = static_cast<double>(got), y = static_cast<double>(exact);
    const double error = x == y ? 0 : std::abs(x - y) / (1 + std::abs(y));
    if (!(error <= error_)) {
      error_ = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
      got_ = x;
      exact_ = y;
      where_ = count_;
    }
    ++count_;
  }
  // Whether all errors were at most so large; of no numbers they were.
  struct Limit {
    const Worst& worst;
    double tolerance;
    explicit operator bool() const { return worst.error_ <= tolerance; }
    friend std::ostream& operator<<(std::ostream& out, const Limit& limit) {
      return out << limit.worst << ", tolerance " << limit.tolerance;
    }
  };
  Limit within(double tolerance) const { return {*this, tolerance}; }
  friend std::ostream& operator<<(std::ostream& out, const Worst& w) {
    return out << "error " << w.error_ << " (number " << w.where_ << " of " << w.count_ << ": " << w.got_
               << " for " << w.exact_ << ")";
  }

 private:
  double error_ = 0, got_ = 0, exact_ = 0;
  long where_ = 0, count_ = 0;
};

}  // namespace pgcore::testing

#define PGCORE_JOIN_TWO(a, b) a##b
#define PGCORE_JOIN(a, b) PGCORE_JOIN_TWO(a, b)
#define TEST(name)                                                   \
  static void PGCORE_JOIN(test_, __LINE__)();                        \
  [[maybe_unused]] static const bool PGCORE_JOIN(added_, __LINE__) = \
      ::pgcore::testing::add(name, PGCORE_JOIN(test_, __LINE__));    \
  static void PGCORE_JOIN(test_, __LINE__)()

// `condition` may be one comparison, whose two sides are printed where it fails, or any condition in
// parentheses.
#if defined(__GNUC__)
#define CHECK(...)                                                                        \
  do {                                                                                    \
    _Pragma("GCC diagnostic push")                                                        \
        _Pragma("GCC diagnostic ignored \"-Wparentheses\"")::pgcore::testing::check(      \
            ::pgcore::testing::Split() << __VA_ARGS__, #__VA_ARGS__, __FILE__, __LINE__); \
    _Pragma("GCC diagnostic pop")                                                         \
  } while (false)
#else
#define CHECK(...) \
  ::pgcore::testing::check(::pgcore::testing::Split() << __VA_ARGS__, #__VA_ARGS__, __FILE__, __LINE__)
#endif
