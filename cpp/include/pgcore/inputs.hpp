// What a pass reads: rows of raw inputs, and how they are standardised on the way in.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "pgcore/types.hpp"

namespace pgcore {

template <class T>
struct InputScaling {
  std::vector<T> shift, scale;
  T clip;

  // out ← clamp((x − shift)·scale, ±clip), a row.
  void apply(const T* x, T* out) const;
};

// Row-major inputs. A pass holds its own reference to the scaling, so that whoever replaces it takes nothing
// away from passes that other threads have under way.
template <class T>
struct Inputs {
  Inputs(const T* rows, std::shared_ptr<const InputScaling<T>> standardised_by = nullptr)
      : data(rows), scaling(std::move(standardised_by)) {}

  const T* data;
  std::shared_ptr<const InputScaling<T>> scaling;  // null: inputs as they are
};

}  // namespace pgcore
