#include "pgcore/scan.hpp"

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <type_traits>

#include "math/compiler.hpp"
#include "math/extended.hpp"
#include "math/simd.hpp"
#include "pgcore/parallel.hpp"
#include "pgcore/types.hpp"
#include "scan/tiles.hpp"

namespace pgcore::scan {
namespace {

using detail::Factors;
using detail::Maps;
using detail::Run;
using detail::Scratch;

// x_t + c_t·(0 at an end, else y_{t+1}), backward or forward: what `recur` does, without scratch. The
// bootstrap values of the last row are y of the row behind it.
template <Order the_order>
struct Affine {
  template <class T, class Real>
  struct Kernel {
    using S = T;
    static constexpr Order order = the_order;
    static constexpr Factors factors = Factors::numbers;
    static constexpr bool direct = true, varying = false, reads_behind = false,
                          carries_bootstrap = order == Order::backward;
    static constexpr double max_coefficient = detail::max_coefficient<Real>;
    const T* addends;
    T* out;

    Maps<T, Real> maps(const Run<T, Real>& run, Index width, Scratch<Real>&, bool&) const {
      return {run.count, width, addends + run.first, run.gamma, run.ends, run.gamma_step, run.ends_step};
    }
    T* y(const Run<T, Real>& run, Scratch<Real>&) const { return out + run.first; }
    void write(const Run<T, Real>&, Index, const T*, const Real*) const {}
  };
};

// The same with bootstrap values inside.
template <class T, class Real>
struct Bootstrapped {
  using S = Real;
  static constexpr Order order = Order::backward;
  static constexpr Factors factors = Factors::numbers;
  static constexpr bool direct = false, varying = false, reads_behind = false, carries_bootstrap = false;
  static constexpr double max_coefficient = detail::max_coefficient<Real>;
  const T* addends;
  T* out;

  Maps<Real, Real> maps(const Run<T, Real>& run, Index width, Scratch<Real>& s, bool&) const {
    const T* a = addends + run.first;
    PGCORE_INDEPENDENT
    for (Index k = 0; k < run.count; ++k) {
      const Real rest = run.gamma[k] * static_cast<Real>(run.bootstrap[k]);
      s.x[k] = Real(a[k]) + simd::select_or_zero(simd::mask<Real>(run.ends[k] != 0), rest);
    }
    return {run.count, width, s.x, run.gamma, run.ends};
  }
  Real* y(const Run<T, Real>& run, Scratch<Real>& s) const { return detail::direct(out + run.first, s.y); }
  void write(const Run<T, Real>& run, Index, const Real* y, const Real*) const {
    detail::copy_unless_direct(run.count, y, out + run.first);
  }
};

template <class T, class Real>
struct Gae {
  using S = Real;
  static constexpr Order order = Order::backward;
  static constexpr Factors factors = Factors::numbers;
  static constexpr bool direct = false, varying = false, reads_behind = false, carries_bootstrap = false;
  static constexpr double max_coefficient = detail::max_coefficient<Real>;
  const T *rewards, *values, *next_values;  // next_values may be null
  T *advantages, *targets;

  Maps<Real, Real> maps(const Run<T, Real>& run, Index width, Scratch<Real>& s, bool&) const {
    const T *r = rewards + run.first, *v = values + run.first;
    const T* following = next_values ? next_values + run.first : v + run.next;
    const T* at_end = next_values ? following : run.bootstrap;
    PGCORE_INDEPENDENT
    for (Index k = 0; k < run.count; ++k) {
      const simd::Int<Real> inner = simd::mask<Real>(run.ends[k] == 0);
      const Real next = simd::select(inner, static_cast<Real>(following[k]), static_cast<Real>(at_end[k]));
      s.x[k] = Real(r[k]) + run.gamma[k] * next - Real(v[k]);
    }
    return {run.count, width, s.x, run.decay, run.ends};
  }
  Real* y(const Run<T, Real>& run, Scratch<Real>& s) const {
    return detail::direct(advantages + run.first, s.y);
  }
  void write(const Run<T, Real>& run, Index, const Real* y, const Real*) const {
    const T* v = values + run.first;
    T* to = targets + run.first;
    detail::copy_unless_direct(run.count, y, advantages + run.first);
    PGCORE_INDEPENDENT
    for (Index k = 0; k < run.count; ++k) to[k] = static_cast<T>(y[k] + Real(v[k]));
  }
};

// Carries vs − v, so that nothing is lost where the two are nearly equal.
template <class T, class Real>
struct Vtrace {
  using S = Real;
  static constexpr Order order = Order::backward;
  static constexpr Factors factors = Factors::numbers;
  static constexpr bool direct = false, varying = true, reads_behind = true, carries_bootstrap = false;
  static constexpr double max_coefficient = detail::Range<Real>::gamma;
  const T *rewards, *values, *log_ratios, *next_values;  // next_values may be null
  double rho_clip, c_clip, pg_rho_clip;
  T *targets, *advantages;

  // r + γ·following − v, in Reals or in numbers of any size.
  template <class R>
  static R error(T r, Real gamma, T following, T v) {
    return R(r) + R(gamma) * R(following) - R(v);
  }
  template <class R>
  static R clipped(const R& rho, double clip) {
    const R limit = R(clip);
    return rho > limit ? limit : rho;
  }

  Maps<Real, Real> maps(const Run<T, Real>& run, Index width, Scratch<Real>& s, bool& ordinary) const {
    const T *r = rewards + run.first, *v = values + run.first, *log_ratio = log_ratios + run.first;
    const T* following = next_values ? next_values + run.first : v + run.next;
    const T* at_end = next_values ? following : run.bootstrap;
    simd::Int<T> extreme = 0;
    PGCORE_INDEPENDENT
    for (Index k = 0; k < run.count; ++k) {
      const Real rho = detail::ratio<Real>(log_ratio[k]);
      const T next = simd::select(simd::mask<T>(run.ends[k] == 0), following[k], at_end[k]);
      extreme |= detail::exceeds(log_ratio[k], T(detail::Range<Real>::log_ratio));
      s.x[k] = clipped(rho, rho_clip) * error<Real>(r[k], run.gamma[k], next, v[k]);
      s.c[k] = run.decay[k] * clipped(rho, c_clip);
      s.kept[k] = clipped(rho, pg_rho_clip);
    }
    ordinary = extreme == 0;
    return {run.count, width, s.x, s.c, run.ends};
  }
  Real* y(const Run<T, Real>&, Scratch<Real>& s) const { return s.y; }
  void write(const Run<T, Real>& run, Index width, const Real* y, const Real* pg_rho) const {
    const T *r = rewards + run.first, *v = values + run.first;
    const T* at_end = next_values ? next_values + run.first : run.bootstrap;
    T *to = targets + run.first, *a = advantages + run.first;
    PGCORE_INDEPENDENT
    for (Index k = 0; k < run.count; ++k) {
      const simd::Int<Real> inner = simd::mask<Real>(run.ends[k] == 0);
      const T next = simd::select(simd::mask<T>(run.ends[k] == 0), v[k + run.next], at_end[k]);
      to[k] = static_cast<T>(Real(v[k]) + y[k]);
      a[k] = static_cast<T>(pg_rho[k] * (error<Real>(r[k], run.gamma[k], next, v[k]) +
                                         simd::select_or_zero(inner, run.gamma[k] * y[k + width])));
    }
  }

  // One step in numbers of any size. `next` is 0 at an end.
  Extended value(const Run<T, Real>& run, Index k, const Extended& next) const {
    const Index i = run.first + k;
    const Extended rho = Extended::exp(static_cast<double>(log_ratios[i]));
    const T following = next_values        ? next_values[i]
                        : run.ends[k] != 0 ? run.bootstrap[k]
                                           : values[i + run.next];
    const Extended x =
        clipped(rho, rho_clip) * error<Extended>(rewards[i], run.gamma[k], following, values[i]);
    if (run.ends[k] != 0) return x;
    return x + Extended(run.decay[k]) * clipped(rho, c_clip) * next;
  }
  void write_one(const Run<T, Real>& run, Index k, const Extended& next, const Extended& y) const {
    const Index i = run.first + k;
    const Extended rho = Extended::exp(static_cast<double>(log_ratios[i]));
    const T following = run.ends[k] == 0 ? values[i + run.next]
                        : next_values    ? next_values[i]
                                         : run.bootstrap[k];
    const Extended error = Vtrace::error<Extended>(rewards[i], run.gamma[k], following, values[i]);
    targets[i] = static_cast<T>(Extended(values[i]) + y);
    advantages[i] = static_cast<T>(clipped(rho, pg_rho_clip) * (error + Extended(run.gamma[k]) * next));
  }
};

// Numbers k of a block are those of rows k steps later once more: G ← r + γ·(bootstrap if end else G), from
// the last of the n steps to the first.
template <class T, class Real>
PGCORE_FLATTEN void n_step_block(const detail::Operands<T>& in, const T* rewards, const T* values, Index n,
                                 Index first, Index count, T* out) {
  const Index columns = in.num_columns, size = in.num_rows * columns, last_row = size - columns;
  detail::Discounts<T, Real> discounts(in.gamma, in.lam, count);
  alignas(64) Real g[detail::tile_size<Real>];
  const auto* const ends = reinterpret_cast<const std::uint8_t*>(in.segments.ends.data());
  const T *const bootstrap = in.segments.bootstrap.data(), *const last = in.segments.last_bootstrap.data();
  const Index from = first + n * columns;
  std::copy(values + std::min(from, size), values + std::min(from + count, size), g);
  for (Index step = n - 1; step >= 0; --step) {
    Run<T, Real> run;
    run.first = first + step * columns;
    run.count = std::clamp<Index>(last_row - run.first, 0, count);
    run.ends = ends ? ends + run.first : detail::zeros<std::uint8_t>;
    run.bootstrap = bootstrap ? bootstrap + run.first : detail::zeros<T>;
    // Those in the last row, where nothing follows; beyond it there is nothing.
    const Index end = std::clamp<Index>(size - run.first, 0, count);
    for (Index k = run.count; k < end; ++k) {
      const Index i = run.first + k;
      const Real gamma =
          static_cast<Real>(in.gamma.each.empty() ? in.gamma.all : double(in.gamma.each.data()[i]));
      g[k] = Real(rewards[i]) + gamma * Real(last ? last[i - last_row] : T(0));
    }
    if (run.count == 0) continue;
    discounts.set(run);
    const T* r = rewards + run.first;
    Index done = 0;
    if constexpr (std::is_same_v<T, Real>) {
      // By registers, because compilers turn bytes into masks one by one.
      constexpr int lanes = detail::lanes<Real>;
      for (; !bootstrap && done + lanes <= run.count; done += lanes) {
        simd::Vector<Real, lanes> reward, gamma, following;
        simd::load(r + done, reward);
        simd::load(run.gamma + done, gamma);
        simd::load(g + done, following);
        simd::store(reward + gamma * simd::where_zero<Real>(run.ends + done, following), g + done);
      }
    }
    PGCORE_INDEPENDENT
    for (Index k = done; k < run.count; ++k) {
      const simd::Int<Real> inner = simd::mask<Real>(run.ends[k] == 0);
      g[k] = Real(r[k]) + run.gamma[k] * simd::select(inner, g[k], static_cast<Real>(run.bootstrap[k]));
    }
  }
  for (Index k = 0; k < count; ++k) out[first + k] = static_cast<T>(g[k]);
}

constexpr Index longest_single = 256;  // sums of as many numbers lose little in single precision

template <class T, class... Arrays>
bool serve(const detail::Operands<T>& in, const Arrays&... arrays) {
  const Index rows = in.num_rows, columns = in.num_columns;
  return (arrays.has_shape(rows, columns) && ...) && in.segments.serves(rows, columns) &&
         in.gamma.serves(rows, columns) && in.lam.serves(rows, columns);
}

}  // namespace

template <class T>
void affine_scan(Rows<const T> x, Coefficient<T> c, const Segments<T>& segments, Order order, Rows<T> out) {
  const detail::Operands<T> in{x.num_rows(), x.width(), segments, c, {1, {}}};
  assert(serve(in, x, out));
  const detail::Sizes size = detail::sizes(c);
  if (order == Order::forward) {
    detail::solve<Affine<Order::forward>::template Kernel>(in, size, x.data(), out.data());
  } else if (segments.ends.empty() || segments.bootstrap.empty()) {
    detail::solve<Affine<Order::backward>::template Kernel>(in, size, x.data(), out.data());
  } else {
    detail::solve<Bootstrapped>(in, size, x.data(), out.data());
  }
}

template <class T>
void reward_to_go(Rows<const T> rewards, const Segments<T>& segments, Coefficient<T> gamma, Rows<T> out) {
  affine_scan(rewards, gamma, segments, Order::backward, out);
}

template <class T>
void n_step_return(Rows<const T> rewards, Rows<const T> values, const Segments<T>& segments,
                   Coefficient<T> gamma, Index n, Rows<T> out) {
  const detail::Operands<T> in{rewards.num_rows(), rewards.width(), segments, gamma, {1, {}}};
  assert(n >= 1 && serve(in, rewards, values, out));
  if (n >= in.num_rows) return reward_to_go(rewards, segments, gamma, out);
  const auto in_blocks = [&](auto real) {
    using Real = decltype(real);
    constexpr Index most = detail::tile_size<Real>;
    const Index size = in.num_rows * in.num_columns;
    parallel::for_blocks((size + most - 1) / most, size * n >= parallel::min_scalars, [&](Index block) {
      n_step_block<T, Real>(in, rewards.data(), values.data(), n, block * most,
                            std::min(most, size - block * most), out.data());
    });
  };
  if (n <= longest_single || detail::sizes(gamma).forget()) {
    in_blocks(T(0));
  } else {
    in_blocks(0.0);
  }
}

template <class T>
void gae(Rows<const T> rewards, Rows<const T> values, Rows<const T> next_values, const Segments<T>& segments,
         Coefficient<T> gamma, Coefficient<T> lam, Rows<T> advantages, Rows<T> value_targets) {
  const detail::Operands<T> in{rewards.num_rows(), rewards.width(), segments, gamma, lam};
  assert(serve(in, rewards, values, advantages, value_targets));
  assert(next_values.empty() || serve(in, next_values));
  detail::solve<Gae>(in, in.decay(), rewards.data(), values.data(), next_values.data(), advantages.data(),
                     value_targets.data());
}

template <class T>
void vtrace(Rows<const T> rewards, Rows<const T> values, Rows<const T> log_ratios, Rows<const T> next_values,
            const Segments<T>& segments, const VtraceOptions<T>& options, Rows<T> advantages,
            Rows<T> value_targets) {
  const detail::Operands<T> in{rewards.num_rows(), rewards.width(), segments, options.gamma, options.lam};
  assert(serve(in, rewards, values, log_ratios, advantages, value_targets));
  assert(next_values.empty() || serve(in, next_values));
  detail::solve<Vtrace>(in, in.decay(), rewards.data(), values.data(), log_ratios.data(), next_values.data(),
                        options.rho_clip, options.c_clip, options.pg_rho_clip, value_targets.data(),
                        advantages.data());
}

#define PGCORE_INSTANTIATE(T)                                                                          \
  template void affine_scan(Rows<const T>, Coefficient<T>, const Segments<T>&, Order, Rows<T>);        \
  template void reward_to_go(Rows<const T>, const Segments<T>&, Coefficient<T>, Rows<T>);              \
  template void n_step_return(Rows<const T>, Rows<const T>, const Segments<T>&, Coefficient<T>, Index, \
                              Rows<T>);                                                                \
  template void gae(Rows<const T>, Rows<const T>, Rows<const T>, const Segments<T>&, Coefficient<T>,   \
                    Coefficient<T>, Rows<T>, Rows<T>);                                                 \
  template void vtrace(Rows<const T>, Rows<const T>, Rows<const T>, Rows<const T>, const Segments<T>&, \
                       const VtraceOptions<T>&, Rows<T>, Rows<T>);
PGCORE_INSTANTIATE(float)
PGCORE_INSTANTIATE(double)

}  // namespace pgcore::scan
