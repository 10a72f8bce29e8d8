// How scans are cut into tiles.
//
// Every scan has the form y_t = x_t + c_t·(0 if end else y_{t+1}), or forward from y_{t−1}. A tile is a run
// of numbers that lie next to each other in memory and in the first-level cache: a part of one row, or
// several whole rows. A kernel computes x and c of each number of a run, which is vectorised for any number
// of columns; `recur` solves the recurrence in scratch; the kernel writes the results. Operands that the
// caller left out are rows of constants, so that kernels have no variants.
//
// y is a `Real`: a float if the arrays are floats and the coefficients forget (`forgets`), else a double,
// because a float sum of a million terms is wrong by percents. Where coefficients vary (ratios of
// probabilities), products of them may leave the range of a Real although the answer doesn't: `Range` says
// what is safe, and a tile that is not is solved in `Extended` numbers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "math/compiler.hpp"
#include "math/extended.hpp"
#include "math/simd.hpp"
#include "math/vecmath.hpp"
#include "pgcore/parallel.hpp"
#include "pgcore/scan.hpp"
#include "pgcore/types.hpp"
#include "scan/recurrence.hpp"

namespace pgcore::scan::detail {

// ---- which type of number is enough ----

// How large coefficients are: the largest, and the smallest of those that are not 0; NaN if one of them is.
struct Sizes {
  double largest, smallest;

  bool within(double limit) const { return largest <= limit && smallest >= 1 / limit; }
  // Whether a sum with such coefficients forgets what came 256 steps ago, so that no more rounding than that
  // of some 256 additions is ever in it.
  bool forget() const { return largest <= 1 - 1.0 / 256; }
};

template <class T>
PGCORE_FLATTEN Sizes sizes(const Coefficient<T>& c) {
  using Bits = simd::Bits<T>;
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (c.each.empty()) return {std::fabs(c.all), c.all == 0 ? infinity : std::fabs(c.all)};
  // As integers: NaN is larger than all numbers, and 0 − 1 is.
  Bits largest = 0, smallest = std::numeric_limits<Bits>::max();
  const Index count = c.each.num_rows() * c.each.width();
  for (Index k = 0; k < count; ++k) {
    const Bits size = simd::bit_cast<Bits>(c.each.data()[k]) & (std::numeric_limits<Bits>::max() >> 1);
    largest = std::max(largest, size);
    smallest = std::min<Bits>(smallest, size - 1);
  }
  return {static_cast<double>(simd::bit_cast<T>(largest)),
          largest == 0 ? infinity : static_cast<double>(simd::bit_cast<T>(static_cast<Bits>(smallest + 1)))};
}

// What a Real can do: with discounts of 0 or from 1/gamma to gamma, with ratios of e^±log_ratio, and with
// values of 0 or from `least` to `most`, a step stays inside the normal numbers; in steps composed to one,
// a value below `least` shows up before a product of ratios underflows to 0.
template <class Real>
struct Range;
template <>
struct Range<float> {
  static constexpr float gamma = 10, log_ratio = 15, least = 1e-20f, most = 1e10f;
};
template <>
struct Range<double> {
  static constexpr double gamma = 1e3, log_ratio = 80, least = 1e-140, most = 1e140;
};

// All bits set for |x| > limit and for NaN.
template <class T>
simd::Int<T> exceeds(T x, T limit) {
  const simd::Int<T> size = simd::bit_cast<simd::Int<T>>(x) & std::numeric_limits<simd::Int<T>>::max();
  return simd::mask<T>(size > simd::bit_cast<simd::Int<T>>(limit));
}

// Whether all are 0 or within the Range; NaN is not.
template <class Real>
bool in_range(const Real* y, Index count) {
  using Int = simd::Int<Real>;
  const Int least = simd::bit_cast<Int>(Range<Real>::least);
  Int out = 0;
  for (Index k = 0; k < count; ++k) {
    const Int size = simd::bit_cast<Int>(y[k]) & std::numeric_limits<Int>::max();
    out |= exceeds(y[k], Range<Real>::most) | (simd::mask<Real>(size < least) & simd::mask<Real>(size > 0));
  }
  return out == 0;
}

// e^x; in ordinary numbers only for x in range.
template <class Real, class T>
Real ratio(T x) {
  if constexpr (std::is_same_v<Real, Extended>) return Extended::exp(static_cast<double>(x));
  return static_cast<Real>(vecmath::exp_moderate(x));
}

// ---- operands ----

template <class Real>
inline constexpr Index tile_size = 4096 / static_cast<Index>(sizeof(Real));
inline constexpr Index largest_tile = tile_size<float>;

template <class T>
inline constexpr T zeros[largest_tile] = {};
struct Ones {
  std::uint8_t flag[largest_tile];
  constexpr Ones() : flag() {
    for (std::uint8_t& x : flag) x = 1;
  }
};
inline constexpr Ones ones;

// The arrays that all scans have in common. Where a scan has next values, they are the bootstrap values.
template <class T>
struct Operands {
  Index num_rows, num_columns;
  Segments<T> segments;
  Coefficient<T> gamma, lam;

  Sizes decay() const {
    const Sizes g = sizes(gamma), l = sizes(lam);
    return {g.largest * l.largest, g.smallest * l.smallest};
  }
};

// Numbers next to each other: where they are, and their operands.
template <class T, class Real>
struct Run {
  Index first, count;        // flat index t·N + n of the first one
  const std::uint8_t* ends;  // not 0 where y is x alone; any byte but 0 is true
  const T* bootstrap;
  const Real *gamma, *decay;    // γ and γλ
  Index next;                   // how far away the next row is; 0 in the last row, where nothing follows
  Index gamma_step, ends_step;  // 0 if all are equal
};

// Coefficients as runs of Reals: rows of one number, the caller's array, or what is computed from arrays.
template <class T, class Real>
class Discounts {
 public:
  Discounts(const Coefficient<T>& gamma, const Coefficient<T>& lam, Index most) : gamma_(gamma), lam_(lam) {
    most = std::min(most, tile_size<Real>);
    if (gamma.each.empty()) std::fill(row_, row_ + most, static_cast<Real>(gamma.all));
    if (gamma.each.empty() && lam.each.empty() && lam.all != 1) {
      std::fill(decay_row_, decay_row_ + most, static_cast<Real>(gamma.all * lam.all));
    }
  }

  void set(Run<T, Real>& run) {
    run.gamma = row_;
    run.gamma_step = gamma_.each.empty() ? 0 : 1;
    if (!gamma_.each.empty()) {
      const T* each = gamma_.each.data() + run.first;
      if constexpr (std::is_same_v<T, Real>) {
        run.gamma = each;
      } else {
        std::copy(each, each + run.count, row_);
      }
    }
    const bool no_lam = lam_.each.empty() && lam_.all == 1;
    run.decay = no_lam ? run.gamma : decay_row_;
    if (no_lam || (gamma_.each.empty() && lam_.each.empty())) return;
    const T* each = lam_.each.data() + run.first;
    if (lam_.each.empty()) {
      const Real lam = static_cast<Real>(lam_.all);
      for (Index k = 0; k < run.count; ++k) decay_row_[k] = run.gamma[k] * lam;
    } else {
      for (Index k = 0; k < run.count; ++k) decay_row_[k] = run.gamma[k] * static_cast<Real>(each[k]);
    }
  }

 private:
  const Coefficient<T>&gamma_, &lam_;
  alignas(64) Real row_[tile_size<Real>], decay_row_[tile_size<Real>];
};

// ---- tiles ----

// What a tile needs besides the caller's arrays.
template <class Real>
struct Scratch {
  static constexpr Index size = tile_size<Real>;
  alignas(64) Real x[size], c[size], y[2 * size];
  alignas(64) Real kept[size];           // what a kernel needs again when it writes its results
  alignas(64) Real carry[largest_tile];  // y of the row behind
};

// y where the caller wants it, if it is of the caller's type; else in scratch, to be copied from there.
template <class T, class Real>
Real* direct(T* out, Real* scratch) {
  if constexpr (std::is_same_v<T, Real>) return out;
  return scratch;
}
template <class T, class Real>
void copy_unless_direct(Index count, const Real* y, T* out) {
  if constexpr (!std::is_same_v<T, Real>) std::copy(y, y + count, out);
}

// y of the row behind in numbers of any size, while tiles leave the Range.
template <class Real>
struct ExtendedCarry {
  Extended y[tile_size<Real>];
  bool used;

  ExtendedCarry() : used(false) {}

  // Solves a tile one by one.
  template <class T, class Kernel>
  void solve(const Run<T, Real>& run, Index width, const Kernel& kernel, Real* carry) {
    for (Index n = 0; n < width && !used; ++n) y[n] = Extended(carry[n]);
    used = true;
    for (Index k = run.count - 1; k >= 0; --k) {
      Extended& next = y[k % width];
      if (run.ends[k] != 0) next = Extended();
      const Extended value = kernel.value(run, k, next);
      kernel.write_one(run, k, next, value);
      next = value;
    }
    for (Index n = 0; n < width; ++n) carry[n] = static_cast<Real>(y[n]);
  }
  // Whether `carry` says all that there is to say.
  bool serves(const Real* carry, Index width) const {
    if (!used) return true;
    for (Index n = 0; n < width; ++n) {
      if (carry[n] == 0 && !(y[n] == Extended())) return false;
    }
    return in_range(carry, width);
  }
};

// Whether a tile must fit the scratch memory.
template <class Real, class Kernel, class T>
bool in_scratch(const Operands<T>& in) {
  return !Kernel::direct || (!std::is_same_v<T, Real> && !in.gamma.each.empty());
}

// The columns first … first + width − 1, a tile after the other.
template <class Real, class T, class Kernel>
PGCORE_FLATTEN void solve_columns(const Operands<T>& in, Index first, Index width, bool composable,
                                  const Kernel kernel) {
  constexpr Order order = Kernel::order;
  constexpr Factors factors = Kernel::factors;
  constexpr bool forward = order == Order::forward, varying = Kernel::varying;
  const Index size = in_scratch<Real, Kernel>(in) ? tile_size<Real> : 16 * largest_tile;
  const Index rows_per_tile = width < in.num_columns ? 1 : std::max<Index>(1, size / in.num_columns);
  const auto* const ends = reinterpret_cast<const std::uint8_t*>(in.segments.ends.data());
  const T *const bootstrap = in.segments.bootstrap.data(), *const last = in.segments.last_bootstrap.data();
  Discounts<T, Real> discounts(in.gamma, in.lam, Kernel::direct ? lanes<Real> : in.num_rows * width);
  Scratch<Real> s;
  [[maybe_unused]] std::conditional_t<varying, ExtendedCarry<Real>, int> extended;
  for (Index n = 0; n < width; ++n) {
    s.carry[n] = Kernel::carries_bootstrap && last ? static_cast<Real>(last[first + n]) : Real(0);
  }
  for (Index done = 0, rows = 1; done < in.num_rows; done += rows) {
    const bool edge = done == 0;  // the row where nothing follows; forward, where nothing precedes
    if (!edge) rows = std::min(rows_per_tile, in.num_rows - done);
    Run<T, Real> run;
    run.first = (forward ? done : in.num_rows - done - rows) * in.num_columns + first;
    run.count = rows * width;
    run.next = edge ? 0 : in.num_columns;
    run.ends = ends ? ends + run.first - (forward ? in.num_columns : 0) : zeros<std::uint8_t>;
    run.bootstrap = bootstrap ? bootstrap + run.first : zeros<T>;
    if (edge) {
      run.ends = Kernel::carries_bootstrap && last ? zeros<std::uint8_t> : ones.flag;
      run.bootstrap = last ? last + first : zeros<T>;
    }
    run.ends_step = ends && !edge ? 1 : 0;
    if constexpr (factors == Factors::numbers) discounts.set(run);
    bool ordinary = true;
    const auto maps = kernel.maps(run, width, s, ordinary);
    auto* const y = kernel.y(run, s);
    if constexpr (Kernel::reads_behind) std::copy(s.carry, s.carry + width, y + run.count);
    if constexpr (varying) {
      static_assert(Kernel::reads_behind);
      ordinary = ordinary && composable && extended.serves(s.carry, width);
      if (!ordinary || !recur<factors, order>(maps, s.carry, y) || !in_range(y, run.count)) {
        std::copy(y + run.count, y + run.count + width, s.carry);
        extended.solve(run, width, kernel, s.carry);
        continue;
      }
      extended.used = false;
    } else if (!composable || !recur<factors, order>(maps, s.carry, y)) {
      recur_plainly<factors, order>(maps, s.carry, y);
    }
    kernel.write(run, width, y, s.kept);
  }
}

// Blocks of columns are for threads; the more a row holds, the better a block uses it.
template <class Real, class T, class Kernel>
void solve_blocks(const Operands<T>& in, bool composable, const Kernel& kernel) {
  const Index most = std::min(in.num_columns, in_scratch<Real, Kernel>(in) ? tile_size<Real> : largest_tile);
  const Index num_blocks = (in.num_columns + most - 1) / most;
  parallel::for_blocks(num_blocks, in.num_rows * in.num_columns >= parallel::min_scalars, [&](Index block) {
    const Index first = block * most;
    solve_columns<Real>(in, first, std::min(most, in.num_columns - first), composable, kernel);
  });
}

// In single precision where it is what the arrays have, and coefficients of this size forget and fit.
template <template <class, class> class Kernel, class T, class... Arrays>
void solve(const Operands<T>& in, const Sizes& coefficients, const Arrays&... arrays) {
  if (in.num_rows == 0 || in.num_columns == 0) return;
  using Single = Kernel<T, float>;
  if constexpr (std::is_same_v<T, float> && Single::factors == Factors::numbers) {
    if (coefficients.forget() && coefficients.within(Single::max_coefficient)) {
      return solve_blocks<float>(in, true, Single{arrays...});
    }
  }
  using Double = Kernel<T, double>;
  solve_blocks<double>(in, coefficients.within(Double::max_coefficient), Double{arrays...});
}

}  // namespace pgcore::scan::detail
