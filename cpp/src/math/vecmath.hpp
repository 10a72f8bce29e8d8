// Elementary functions as branch-free scalar code that compilers turn into vector loops.
//
// Library calls would stop a loop from vectorising, and Eigen's packet functions differ from its scalar ones,
// so that an element's bits would depend on its position in an array. These give the same bits everywhere.
// Accuracy: a few units in the last place (tests/kernels/test_mlp.py and cpp/tests/test_vecmath.cpp).
// The polynomials of exponentials have the least largest relative error (found by Remez's exchange); that of
// the logarithm is a Taylor series.
#pragma once

#include <cmath>
#include <limits>

#include "math/compiler.hpp"
#include "math/simd.hpp"

namespace pgcore::vecmath {

using simd::bit_cast;
using simd::Bits;

template <class T>
struct Format;
template <>
struct Format<float> {
  static constexpr int mantissa_bits = 23;
  static constexpr simd::Int<float> bias = 127;
  static constexpr float round_magic = 12582912.0f;  // 1.5·2²³: adding it rounds to an integer
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr float exp_min = -104.0f, exp_max = 89.0f;
};
template <>
struct Format<double> {
  static constexpr int mantissa_bits = 52;
  static constexpr simd::Int<double> bias = 1023;
  static constexpr double round_magic = 6755399441055744.0;  // 1.5·2⁵²
  static constexpr double ln2_high = 6.93145751953125e-1, ln2_low = 1.42860682030941723212e-6;
  static constexpr double exp_min = -746.0, exp_max = 710.0;
};

// a·b + c, in one instruction where the level has it (contraction is off, so that only this decides).
template <class T>
PGCORE_INLINE inline T multiply_add(T a, T b, T c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return std::fma(a, b, c);
#else
  return a * b + c;
#endif
}

// Horner's rule, coefficients from the highest power down. Unrolled: a loop in here would stop callers' loops
// from vectorising.
template <class T, class... Rest>
PGCORE_INLINE inline T polynomial(T x, T first, Rest... rest) {
  T y = first;
  ((y = multiply_add(y, x, static_cast<T>(rest))), ...);
  return y;
}

// e^r for |r| ≤ ln(2)/2. The error of the polynomial is below 1/20 of a unit in the last place.
PGCORE_INLINE inline float exp_near(float r) {
  return polynomial(r, 1.384361064992845e-3f, 8.374195545911789e-3f, 4.166800528764725e-2f,
                    1.6666430234909058e-1f, 4.999999403953552e-1f, 1.0f, 1.0f);
}
PGCORE_INLINE inline double exp_near(double r) {
  return polynomial(r, 2.4991365720211673e-8, 2.763110703928474e-7, 2.7557627328364305e-6,
                    2.4801490445230064e-5, 1.9841269435571005e-4, 1.3888888946523101e-3, 8.333333333550559e-3,
                    4.166666666651724e-2, 1.6666666666666216e-1, 5.000000000000012e-1, 1.0, 1.0);
}

// (e^r − 1 − r)/r² for |r| ≤ ln(2)/2, as accurate.
PGCORE_INLINE inline float exp_tail(float r) {
  return polynomial(r, 1.9857815641444176e-4f, 1.3933642767369747e-3f, 8.333360776305199e-3f,
                    4.166646674275398e-2f, 1.666666716337204e-1f, 0.5f);
}
PGCORE_INLINE inline double exp_tail(double r) {
  return polynomial(r, 2.088938835269583e-9, 2.5105226746362924e-8, 2.7557349674760785e-7,
                    2.7557255386678463e-6, 2.48015872455806e-5, 1.9841269874821266e-4, 1.3888888888918072e-3,
                    8.33333333332614e-3, 4.1666666666666616e-2, 1.666666666666667e-1, 0.5);
}

// x = n ln 2 + r with an integer n, kept in the low bits of `shifted`.
template <class T>
struct Reduced {
  T shifted, n, r;
  PGCORE_INLINE explicit Reduced(T x) {
    using F = Format<T>;
    shifted = multiply_add(x, T(1.4426950408889634), F::round_magic);
    n = shifted - F::round_magic;
    r = multiply_add(-n, F::ln2_low, multiply_add(-n, F::ln2_high, x));
  }
  // n as an integer; for a NaN it is unspecified, so integers are unsigned here: their arithmetic is defined.
  Bits<T> exponent() const { return bit_cast<Bits<T>>(shifted) - bit_cast<Bits<T>>(Format<T>::round_magic); }
  // 2^(n + more) within the range of normal numbers: what `round_magic` added is shifted out.
  T power(Bits<T> more = 0) const {
    using F = Format<T>;
    return bit_cast<T>((bit_cast<Bits<T>>(shifted) << F::mantissa_bits) +
                       ((more + Bits<T>{F::bias}) << F::mantissa_bits));
  }
};

// 2^k within the range of normal numbers.
template <class T>
PGCORE_INLINE inline T power_of_two(Bits<T> k) {
  return bit_cast<T>((k + Bits<T>{Format<T>::bias}) << Format<T>::mantissa_bits);
}

// e^x, of `highest` where x is larger.
template <class T>
PGCORE_INLINE inline T exp(T x, T highest = Format<T>::exp_max) {
  using F = Format<T>;
  x = x > highest ? highest : x;  // NaN fails the comparisons and stays NaN
  x = x < F::exp_min ? F::exp_min : x;
  const Reduced<T> reduced(x);
  // 2ⁿ in two factors, so that results that are subnormal or just overflow come out right. The shift is of a
  // positive number: not all levels have a signed one for vectors of 64 bits.
  constexpr Bits<T> bias{F::bias};
  const Bits<T> n = reduced.exponent(), half = ((n + 2 * bias) >> 1) - bias;
  return exp_near(reduced.r) * power_of_two<T>(half) * power_of_two<T>(n - half);
}

// The same bits for x ≤ 0, in fewer operations; unspecified for larger x. Two factors again: e^x may be
// subnormal.
template <class T>
PGCORE_INLINE inline T exp_to_one(T x) {
  using F = Format<T>;
  constexpr Bits<T> lift{F::bias / 2};
  x = x < F::exp_min ? F::exp_min : x;
  const Reduced<T> reduced(x);
  return exp_near(reduced.r) * reduced.power(lift) * power_of_two<T>(Bits<T>{0} - lift);
}

// The same bits where e^x and the power of two nearest to it are normal numbers (|x| ≤ 87 for float, 708 for
// double), in fewer operations; unspecified for other x.
template <class T>
PGCORE_INLINE inline T exp_moderate(T x) {
  const Reduced<T> reduced(x);
  return exp_near(reduced.r) * reduced.power();
}

// e^x − 1 − x, to a few units in the last place also near zero, where it is x²/2. With x = n ln 2 + r this is
// 2ⁿ (e^r − 1 − r) + (2ⁿ − 1)(1 + r) − n ln 2, and all but the first term are zero for n = 0.
template <class T>
PGCORE_INLINE inline T exp_excess(T x) {
  using F = Format<T>;
  const T lowest = T(-0.6931) * F::bias, highest = T(0.6934) * (F::bias + 1);  // 2ⁿ normal, or infinite
  T bounded = x < lowest ? lowest : x;
  bounded = bounded > highest ? highest : bounded;
  const Reduced<T> reduced(bounded);
  const T r = reduced.r, n = reduced.n;
  const T scale = reduced.power(), less = scale - T(1);
  const T rest = multiply_add(less, r, (less - n * F::ln2_high) - n * F::ln2_low);
  const T y = multiply_add(scale, exp_tail(r) * (r * r), rest);
  return x < lowest ? -x - T(1) : y;
}

// Natural logarithm of x ≥ 1 (softmax denominators); NaN and infinity stay as they are.
template <class T>
PGCORE_INLINE inline T log_from_one(T x) {
  using F = Format<T>;
  const Bits<T> sqrt_half = bit_cast<Bits<T>>(T(0.70710678118654752));
  const Bits<T> bits = bit_cast<Bits<T>>(x) + (bit_cast<Bits<T>>(T(1)) - sqrt_half);
  constexpr Bits<T> implied_one = Bits<T>{1} << F::mantissa_bits, mantissa_mask = implied_one - 1;
  const T m = bit_cast<T>((bits & mantissa_mask) + sqrt_half);  // in [√½, √2)
  const T s = (m - T(1)) / (m + T(1));
  const T z = s * s;  // at most 0.0295; log m = 2 artanh s
  // The exponent in the low bits of 2^mantissa_bits: not all levels turn 64-bit integers into numbers.
  constexpr T origin = static_cast<T>(implied_one);
  const T e = bit_cast<T>((bits >> F::mantissa_bits) | bit_cast<Bits<T>>(origin)) - (origin + T(F::bias));
  const T y =
      (T(2) * s + (T(2) * s * z *
                       polynomial(z, T(1.0 / 23), T(1.0 / 21), T(1.0 / 19), T(1.0 / 17), T(1.0 / 15),
                                  T(1.0 / 13), T(1.0 / 11), T(1.0 / 9), T(1.0 / 7), T(1.0 / 5), T(1.0 / 3)) +
                   e * F::ln2_low)) +
      e * F::ln2_high;
  return x < std::numeric_limits<T>::infinity() ? y : x;
}

// log(1 + x) of x ≥ 0, to a few units in the last place also near zero; NaN and infinity stay as they are.
template <class T>
PGCORE_INLINE inline T log1p(T x) {
  const T rounded = T(1) + x;
  const T lost = rounded < T(2) ? x - (rounded - T(1)) : T(0);  // beyond, it is below the result's last place
  const T y = log_from_one(rounded) + lost;
  return x < std::numeric_limits<T>::infinity() ? y : x;
}

// With E = e^{2|x|} − 1, tanh|x| = E/(E + 2). E is 2ⁿ(e^r − 1) + (2ⁿ − 1), which loses nothing near zero (n =
// 0).
template <class T>
PGCORE_INLINE inline T tanh(T x) {
  using Int = simd::Int<T>;
  const Int sign = bit_cast<Int>(x) & std::numeric_limits<Int>::min();
  const T magnitude = bit_cast<T>(static_cast<Int>(bit_cast<Int>(x) ^ sign));
  const T bounded = magnitude > T(20) ? T(20) : magnitude;  // 1 to the last bit from there on
  const Reduced<T> reduced(bounded + bounded);
  const T r = reduced.r;
  const T scale = reduced.power();
  const T e = multiply_add(scale, multiply_add(exp_tail(r), r * r, r), scale - T(1));
  return bit_cast<T>(static_cast<Int>(bit_cast<Int>(e / (e + T(2))) | sign));
}

}  // namespace pgcore::vecmath
