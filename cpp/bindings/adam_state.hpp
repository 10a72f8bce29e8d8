// What Adam changes from step to step, for the families that take many steps in one call.
#pragma once

#include "arrays.hpp"
#include "pgcore/adam.hpp"

namespace pgcore::bindings {

// Parameters and moments are the caller's arrays, changed in place.
template <class T>
struct AdamState {
  Array<T> theta, m, v;
  Index step;  // steps taken so far
  AdamOptions options;
};

}  // namespace pgcore::bindings
