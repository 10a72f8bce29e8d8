// Actions of a batch in the two forms that policies have.
#pragma once

#include <cstdint>
#include <vector>

#include "pgcore/policy.hpp"

namespace pgcore::testing {

// Memory for `num_rows` rows of numbers or choices; of the two, what a policy takes.
template <class T>
struct ActionBuffer {
  ActionBuffer(bool choices, Index num_rows, Index action_width)
      : discrete(choices),
        rows(num_rows),
        width(action_width),
        real(static_cast<std::size_t>(num_rows * action_width)),
        choice(static_cast<std::size_t>(num_rows * action_width)) {}

  Actions<T> to() {
    if (discrete) return Rows<std::int64_t>{choice.data(), rows, width};
    return Rows<T>{real.data(), rows, width};
  }
  Actions<const T> of() const {
    if (discrete) return Rows<const std::int64_t>{choice.data(), rows, width};
    return Rows<const T>{real.data(), rows, width};
  }

  bool discrete;
  Index rows, width;
  std::vector<T> real;
  std::vector<std::int64_t> choice;
};

}  // namespace pgcore::testing
