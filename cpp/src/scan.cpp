#include "pgcore/scan.hpp"

#include "recurrence.hpp"

namespace pgcore::scan {

template <class T>
void reward_to_go(Index num_rows, Index num_columns, const T* rewards, const Cuts<T>& cuts, T gamma, T* out) {
  detail::with_cuts(cuts, [&](auto view) {
    struct Step {
      decltype(view) cut;
      const T *r, *last_tail;
      T gamma;
      T last(Index i, Index n) const { return r[i] + gamma * (last_tail ? last_tail[n] : T(0)); }
      T operator()(Index i, T next) const { return r[i] + gamma * cut.follow(i, next); }
      void affine(Index i, T& x, T& c) const {
        x = r[i] + gamma * cut.follow(i, T(0));
        c = cut.inside(i, gamma);
      }
      void prefetch(Index i) const {
        cut.prefetch(i);
        pgcore::prefetch(r + i);
      }
      void emit(Index, T, T) const {}
    };
    detail::solve(num_rows, num_columns, Step{view, rewards, cuts.last_tail, gamma}, out);
  });
}

template <class T>
void gae(Index num_rows, Index num_columns, const T* rewards, const T* values, const Cuts<T>& cuts, T gamma,
         T lam, T* advantages, T* value_targets) {
  detail::with_cuts(cuts, [&](auto view) {
    struct Step {
      decltype(view) cut;
      const T *r, *v, *last_tail;
      T* targets;
      Index stride;
      T gamma, decay;
      T last(Index i, Index n) const {
        const T advantage = r[i] + gamma * (last_tail ? last_tail[n] : T(0)) - v[i];
        emit(i, T(0), advantage);
        return advantage;
      }
      T delta(Index i) const { return r[i] + gamma * cut.follow(i, v[i + stride]) - v[i]; }
      T operator()(Index i, T next) const { return delta(i) + decay * cut.inside(i, next); }
      void affine(Index i, T& x, T& c) const {
        x = delta(i);
        c = cut.inside(i, decay);
      }
      void prefetch(Index i) const {
        cut.prefetch(i);
        pgcore::prefetch(r + i);
        pgcore::prefetch(v + i);
      }
      void emit(Index i, T, T advantage) const { targets[i] = advantage + v[i]; }
    };
    const Step step{view, rewards, values, cuts.last_tail, value_targets, num_columns, gamma, gamma * lam};
    detail::solve(num_rows, num_columns, step, advantages);
  });
}

template <class T>
void vtrace(Index num_rows, Index num_columns, const T* rewards, const T* values, const T* log_ratios,
            const Cuts<T>& cuts, T gamma, T rho_clip, T c_clip, T* value_targets, T* advantages) {
  detail::with_cuts(cuts, [&](auto view) {
    struct Step {
      decltype(view) cut;
      const T *r, *v, *log_ratio, *last_tail;
      T* advantages;
      Index stride;
      T gamma, rho_clip, c_clip;
      static T clipped(T ratio, T clip) { return ratio > clip ? clip : ratio; }
      T last(Index i, Index n) const {
        const T rho = clipped(vecmath::exp(log_ratio[i]), rho_clip);
        advantages[i] = rho * (r[i] + gamma * (last_tail ? last_tail[n] : T(0)) - v[i]);
        return v[i] + advantages[i];
      }
      T corrected(Index i, T ratio) const {
        return v[i] + clipped(ratio, rho_clip) * (r[i] + gamma * cut.follow(i, v[i + stride]) - v[i]);
      }
      T operator()(Index i, T next) const {
        const T ratio = vecmath::exp(log_ratio[i]);
        return corrected(i, ratio) + gamma * clipped(ratio, c_clip) * cut.inside(i, next - v[i + stride]);
      }
      void affine(Index i, T& x, T& c) const {
        const T ratio = vecmath::exp(log_ratio[i]);
        c = cut.inside(i, gamma * clipped(ratio, c_clip));
        x = corrected(i, ratio) - c * cut.inside(i, v[i + stride]);
      }
      void prefetch(Index i) const {
        cut.prefetch(i);
        pgcore::prefetch(r + i);
        pgcore::prefetch(v + i);
        pgcore::prefetch(log_ratio + i);
      }
      void emit(Index i, T next, T) const {
        const T rho = clipped(vecmath::exp(log_ratio[i]), rho_clip);
        advantages[i] = rho * (r[i] + gamma * cut.follow(i, next) - v[i]);
      }
    };
    const Step step{view,       rewards,     values, log_ratios, cuts.last_tail,
                    advantages, num_columns, gamma,  rho_clip,   c_clip};
    detail::solve(num_rows, num_columns, step, value_targets);
  });
}

#define PGCORE_INSTANTIATE(T)                                                        \
  template void reward_to_go(Index, Index, const T*, const Cuts<T>&, T, T*);         \
  template void gae(Index, Index, const T*, const T*, const Cuts<T>&, T, T, T*, T*); \
  template void vtrace(Index, Index, const T*, const T*, const T*, const Cuts<T>&, T, T, T, T*, T*);
PGCORE_INSTANTIATE(float)
PGCORE_INSTANTIATE(double)

}  // namespace pgcore::scan
