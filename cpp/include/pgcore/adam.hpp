// Adam (Kingma & Ba 2015, algorithm 1): a descent step on `theta`, in place; `m` and `v` are its moments.
#pragma once

#include "pgcore/types.hpp"
#include "pgcore/views.hpp"

namespace pgcore {

struct AdamOptions {
  double learning_rate = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
};

// What steps change. `step` counts those taken so far.
template <class T>
struct AdamState {
  Vec<T> theta, m, v;
  Index& step;
};

// `step` counts from 1.
template <class T>
void adam_step(Vec<T> theta, Vec<const T> gradient, Vec<T> m, Vec<T> v, Index step,
               const AdamOptions& options);

}  // namespace pgcore
