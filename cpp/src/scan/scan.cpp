#include "pgcore/scan.hpp"

#include <cassert>

#include "math/compiler.hpp"
#include "math/simd.hpp"
#include "pgcore/types.hpp"
#include "scan/recurrence.hpp"

namespace pgcore::scan {
namespace {

template <class T, class Cut>
struct RewardToGo {
  using Scalar = T;
  static constexpr bool varying = false, output_is_y = true;
  Cut cut;
  const T *r, *last_bootstrap;
  double gamma;
  T* out;

  template <class Real>
  bool composable() const {
    return detail::within(gamma, detail::max_coefficient<Real>);
  }
  template <class Real>
  Real last(Index i, Index n) const {
    return Real(r[i]) + Real(gamma) * Real(last_bootstrap ? last_bootstrap[n] : T(0));
  }
  template <class Real>
  Real operator()(Index i, Real next) const {
    return Real(r[i]) + Real(gamma) * cut.follow(i, next);
  }
  template <class Real>
  void affine(Index i, Real& x, Real& c) const {
    x = Real(r[i]) + Real(gamma) * cut.follow(i, Real(0));
    c = cut.inside(i, Real(gamma));
  }
  PGCORE_INLINE void prefetch(Index i) const {
    cut.prefetch(i);
    pgcore::prefetch(r + i);
    pgcore::prefetch(out + i);
  }
  T* output(Index i) const { return out + i; }
  void emit_others(Index, Index) const {}
  template <class Real>
  void emit(Index i, Real, Real y) const {
    out[i] = static_cast<T>(y);
  }
  template <class Real>
  void emit_last(Index i, Real y) const {
    out[i] = static_cast<T>(y);
  }
};

template <class T, class Cut>
struct Gae {
  using Scalar = T;
  static constexpr bool varying = false, output_is_y = true;
  Cut cut;
  const T *r, *v, *last_bootstrap;
  Index stride;
  double gamma, decay;
  T *advantages, *targets;

  template <class Real>
  bool composable() const {
    return detail::within(decay, detail::max_coefficient<Real>);
  }
  template <class Real>
  Real last(Index i, Index n) const {
    return Real(r[i]) + Real(gamma) * Real(last_bootstrap ? last_bootstrap[n] : T(0)) - Real(v[i]);
  }
  template <class Real>
  Real delta(Index i) const {
    return Real(r[i]) + Real(gamma) * cut.follow(i, Real(v[i + stride])) - Real(v[i]);
  }
  template <class Real>
  Real operator()(Index i, Real next) const {
    return delta<Real>(i) + Real(decay) * cut.inside(i, next);
  }
  template <class Real>
  void affine(Index i, Real& x, Real& c) const {
    x = delta<Real>(i);
    c = cut.inside(i, Real(decay));
  }
  PGCORE_INLINE void prefetch(Index i) const {
    cut.prefetch(i);
    pgcore::prefetch(r + i);
    pgcore::prefetch(v + i);
    pgcore::prefetch(advantages + i);
  }
  T* output(Index i) const { return advantages + i; }
  void emit_others(Index first, Index count) const {
    PGCORE_INDEPENDENT
    for (Index i = first; i < first + count; ++i) targets[i] = advantages[i] + v[i];
  }
  template <class Real>
  void emit(Index i, Real, Real y) const {
    emit_last(i, y);
  }
  template <class Real>
  void emit_last(Index i, Real y) const {
    advantages[i] = static_cast<T>(y);
    targets[i] = static_cast<T>(y + Real(v[i]));
  }
};

// Carries vs − v, so that nothing is lost where the two are nearly equal.
template <class T, class Cut>
struct Vtrace {
  using Scalar = T;
  static constexpr bool varying = true, output_is_y = false;
  using Int = simd::Int<T>;
  Cut cut;
  const T *r, *v, *log_ratio, *last_bootstrap;
  Index stride;
  double gamma, rho_clip, c_clip;
  T *targets, *advantages;

  template <class Real>
  bool composable() const {
    return detail::within(gamma, detail::Range<Real>::gamma);
  }
  template <class Real>
  Int extreme(Index i) const {
    return detail::exceeds(log_ratio[i], T(detail::Range<Real>::log_ratio));
  }
  template <class Real>
  bool last_extreme(Index i) const {
    return extreme<Real>(i) != 0;
  }
  template <class Real>
  Real clipped(Index i, double clip) const {
    const Real rho = detail::ratio<Real>(log_ratio[i]), limit = Real(clip);
    return rho > limit ? limit : rho;
  }
  template <class Real>
  Real last(Index i, Index n) const {
    return clipped<Real>(i, rho_clip) *
           (Real(r[i]) + Real(gamma) * Real(last_bootstrap ? last_bootstrap[n] : T(0)) - Real(v[i]));
  }
  template <class Real>
  Real delta(Index i) const {
    return Real(r[i]) + Real(gamma) * cut.follow(i, Real(v[i + stride])) - Real(v[i]);
  }
  template <class Real>
  Real operator()(Index i, Real next) const {
    return clipped<Real>(i, rho_clip) * delta<Real>(i) +
           cut.inside(i, Real(gamma) * clipped<Real>(i, c_clip) * next);
  }
  template <class Real>
  void affine(Index i, Real& x, Real& c) const {
    x = clipped<Real>(i, rho_clip) * delta<Real>(i);
    c = cut.inside(i, Real(gamma) * clipped<Real>(i, c_clip));
  }
  PGCORE_INLINE void prefetch(Index i) const {
    cut.prefetch(i);
    pgcore::prefetch(r + i);
    pgcore::prefetch(v + i);
    pgcore::prefetch(log_ratio + i);
    pgcore::prefetch(targets + i);
  }
  template <class Real>
  void emit(Index i, Real next, Real y) const {
    targets[i] = static_cast<T>(Real(v[i]) + y);
    advantages[i] =
        static_cast<T>(clipped<Real>(i, rho_clip) * (delta<Real>(i) + cut.inside(i, Real(gamma) * next)));
  }
  template <class Real>
  void emit_last(Index i, Real y) const {
    targets[i] = static_cast<T>(Real(v[i]) + y);
    advantages[i] = static_cast<T>(y);
  }
};

}  // namespace

template <class T>
void reward_to_go(Rows<const T> rewards, const Segments<T>& segments, double gamma, Rows<T> out) {
  const Index num_rows = rewards.num_rows(), num_columns = rewards.width();
  assert(segments.serves(num_rows, num_columns) && out.has_shape(num_rows, num_columns));
  detail::with_segments(segments, [&](auto cut) {
    const RewardToGo<T, decltype(cut)> step{cut, rewards.data(), segments.last_bootstrap.data(), gamma,
                                            out.data()};
    detail::solve<T>(num_rows, num_columns, step, gamma);
  });
}

template <class T>
void gae(Rows<const T> rewards, Rows<const T> values, const Segments<T>& segments, double gamma, double lam,
         Rows<T> advantages, Rows<T> value_targets) {
  const Index num_rows = rewards.num_rows(), num_columns = rewards.width();
  assert(segments.serves(num_rows, num_columns) && values.has_shape(num_rows, num_columns) &&
         advantages.has_shape(num_rows, num_columns) && value_targets.has_shape(num_rows, num_columns));
  detail::with_segments(segments, [&](auto cut) {
    const Gae<T, decltype(cut)> step{cut,
                                     rewards.data(),
                                     values.data(),
                                     segments.last_bootstrap.data(),
                                     num_columns,
                                     gamma,
                                     gamma * lam,
                                     advantages.data(),
                                     value_targets.data()};
    detail::solve<T>(num_rows, num_columns, step, gamma * lam);
  });
}

template <class T>
void vtrace(Rows<const T> rewards, Rows<const T> values, Rows<const T> log_ratios,
            const Segments<T>& segments, double gamma, double rho_clip, double c_clip, Rows<T> advantages,
            Rows<T> value_targets) {
  const Index num_rows = rewards.num_rows(), num_columns = rewards.width();
  assert(segments.serves(num_rows, num_columns) && values.has_shape(num_rows, num_columns) &&
         log_ratios.has_shape(num_rows, num_columns) && advantages.has_shape(num_rows, num_columns) &&
         value_targets.has_shape(num_rows, num_columns));
  detail::with_segments(segments, [&](auto cut) {
    const Vtrace<T, decltype(cut)> step{cut,
                                        rewards.data(),
                                        values.data(),
                                        log_ratios.data(),
                                        segments.last_bootstrap.data(),
                                        num_columns,
                                        gamma,
                                        rho_clip,
                                        c_clip,
                                        value_targets.data(),
                                        advantages.data()};
    detail::solve<T>(num_rows, num_columns, step, gamma);
  });
}

#define PGCORE_INSTANTIATE(T)                                                                            \
  template void reward_to_go(Rows<const T>, const Segments<T>&, double, Rows<T>);                        \
  template void gae(Rows<const T>, Rows<const T>, const Segments<T>&, double, double, Rows<T>, Rows<T>); \
  template void vtrace(Rows<const T>, Rows<const T>, Rows<const T>, const Segments<T>&, double, double,  \
                       double, Rows<T>, Rows<T>);
PGCORE_INSTANTIATE(float)
PGCORE_INSTANTIATE(double)

}  // namespace pgcore::scan
