// What a pass reads: rows of raw inputs, and how they are standardised on the way in.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "pgcore/types.hpp"

namespace pgcore {

// x ↦ clamp((x − shift)·scale, ±clip), in double: of inputs far from 0 a smaller type holds no difference to
// the mean. Nothing changes it once it is made, so that passes of several threads may share it.
struct InputScaling {
  std::vector<double> shift, scale;
  double clip;
};

// Row-major inputs, float or double whatever a pass computes in. A pass holds its own reference to the
// scaling, so that replacing it does not affect passes that other threads are running.
template <class T>
struct Inputs {
  using Scaling = std::shared_ptr<const InputScaling>;

  Inputs(const float* rows, Scaling standardised_by = nullptr)
      : narrow(rows), scaling(std::move(standardised_by)) {}
  Inputs(const double* rows, Scaling standardised_by = nullptr)
      : wide(rows), scaling(std::move(standardised_by)) {}

  // The same without the rows before `first`.
  Inputs from(Index first, Index width) const {
    return narrow ? Inputs(narrow + first * width, scaling) : Inputs(wide + first * width, scaling);
  }

  // out (count, width) ← rows first … first + count − 1: standardised, then cast.
  void read(Index first, Index count, Index width, T* out) const;

  const float* narrow = nullptr;  // one of the two is null
  const double* wide = nullptr;
  Scaling scaling;  // null: inputs as they are
};

}  // namespace pgcore
