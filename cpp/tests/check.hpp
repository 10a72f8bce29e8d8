// The few words that C++ tests need: checks that count, random numbers, and an exit status.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "pgcore/types.hpp"

namespace pgcore::testing {

inline int failures = 0;
inline int checks = 0;

inline void check(bool ok, const char* what, const char* file, int line) {
  ++checks;
  if (!ok && ++failures <= 20) std::printf("%s:%d: failed: %s\n", file, line, what);
}

// Ends a test's main: a test that checked nothing has failed.
inline int finish() {
  std::printf("%d passed, %d failed\n", checks - failures, failures);
  return failures == 0 && checks > 0 ? 0 : 1;
}

template <class T>
std::vector<T> normal(Index count, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> draw;
  std::vector<T> x(static_cast<std::size_t>(count));
  for (T& value : x) value = static_cast<T>(draw(engine));
  return x;
}

// ‖a − b‖ / ‖b‖ in the largest-element norm.
template <class A, class B>
double relative_error(const A& a, const B& b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference = std::max(difference, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    size = std::max(size, std::abs(static_cast<double>(b[i])));
  }
  return size > 0 ? difference / size : difference;
}

}  // namespace pgcore::testing

#define CHECK(condition) ::pgcore::testing::check((condition), #condition, __FILE__, __LINE__)
