// Real numbers m·2^e with the precision of a double and an exponent of 64 bits: products of importance ratios
// may leave the range of every float on their way to an answer that doesn't.
#pragma once

#include <cmath>
#include <cstdint>

#include "math/vecmath.hpp"

namespace pgcore {

class Extended {
 public:
  Extended() = default;  // Extended() is 0; an array of them is left as it is
  explicit Extended(double value) : m_(value), e_(0) { normalise(); }

  static Extended exp(double x) {
    if (!std::isfinite(x)) return Extended(std::exp(x));
    // Far beyond what a float holds, and so that 2³² of them can be multiplied.
    x = std::fmin(std::fmax(x, -1e9), 1e9);
    const double n = std::nearbyint(x * 1.4426950408889634);
    using F = vecmath::Format<double>;
    Extended y(std::exp((x - n * F::ln2_high) - n * F::ln2_low));
    y.e_ += static_cast<std::int64_t>(n);
    return y;
  }

  explicit operator float() const { return static_cast<float>(static_cast<double>(*this)); }
  explicit operator double() const {
    constexpr std::int64_t beyond = 4000;  // more than the exponents of a double
    return std::ldexp(m_, static_cast<int>(e_ < -beyond ? -beyond : e_ > beyond ? beyond : e_));
  }

  friend Extended operator*(const Extended& a, const Extended& b) {
    Extended y(a.m_ * b.m_);
    if (y.ordinary()) y.e_ += a.e_ + b.e_;
    return y;
  }
  friend Extended operator+(const Extended& a, const Extended& b) {
    if (!a.ordinary() || !b.ordinary()) return a.m_ == 0 ? b : b.m_ == 0 ? a : Extended(a.m_ + b.m_);
    const bool first = a.e_ >= b.e_;
    const Extended &large = first ? a : b, &small = first ? b : a;
    constexpr std::int64_t beyond = 200;  // more than the bits of a sum
    const std::int64_t shift = large.e_ - small.e_;
    Extended y(large.m_ + std::ldexp(small.m_, -static_cast<int>(shift < beyond ? shift : beyond)));
    if (y.ordinary()) y.e_ += large.e_;
    return y;
  }
  friend Extended operator-(const Extended& a, const Extended& b) { return a + Extended(-1.0) * b; }
  friend bool operator==(const Extended& a, const Extended& b) { return a.m_ == b.m_ && a.e_ == b.e_; }
  friend bool operator>(const Extended& a, const Extended& b) { return (a - b).m_ > 0; }

 private:
  double m_;  // ½ ≤ |m| < 1, or 0, infinite or NaN with e = 0
  std::int64_t e_;

  bool ordinary() const { return m_ != 0 && std::isfinite(m_); }
  void normalise() {
    if (!ordinary()) return;
    int e = 0;
    m_ = std::frexp(m_, &e);
    e_ = e;
  }
};

}  // namespace pgcore
