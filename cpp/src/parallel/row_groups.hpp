// Batches of short rows are taken in groups, wide enough to fill vectors.
#pragma once

#include <algorithm>

#include "pgcore/parallel.hpp"
#include "pgcore/types.hpp"

namespace pgcore {

inline constexpr Index group = 16;

// Calls f(first, rows) for blocks of rows, on several threads when there are many numbers.
template <class F>
void for_row_blocks(Index num_rows, Index width, F&& f) {
  constexpr Index most_rows = 2048, numbers = Index{1} << 16;
  const Index rows = std::clamp(numbers / std::max<Index>(1, width) / group * group, group, most_rows);
  const Index num_blocks = (num_rows + rows - 1) / rows;
  parallel::for_blocks(num_blocks, num_rows * width >= parallel::min_scalars,
                       [&](Index block) { f(block * rows, std::min(rows, num_rows - block * rows)); });
}

// Calls f(state, first, rows) for groups of rows; every block of groups gets a state of its own from
// `make_state`.
template <class MakeState, class F>
void for_groups(Index num_rows, Index width, MakeState&& make_state, F&& f) {
  for_row_blocks(num_rows, width, [&](Index begin, Index rows) {
    auto&& state = make_state();
    for (Index first = begin; first < begin + rows; first += group) {
      f(state, first, std::min(group, begin + rows - first));
    }
  });
}

}  // namespace pgcore
