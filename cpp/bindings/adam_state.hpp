// What Adam changes from step to step, for the families that take many steps in one call.
#pragma once

#include "arrays.hpp"
#include "pgcore/adam.hpp"

namespace pgcore::bindings {

// Parameters and moments are the caller's arrays, changed in place.
template <class T>
struct AdamArrays {
  Array<T> theta, m, v;
  Index step;  // steps taken so far
  AdamOptions options;

  AdamState<T> state(Index num_params) {
    return {output_vec("theta", theta, num_params), output_vec("m", m, num_params),
            output_vec("v", v, num_params), step};
  }
};

}  // namespace pgcore::bindings
