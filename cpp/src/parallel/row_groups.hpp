// Batches of short rows are taken in groups, wide enough to fill vectors.
#pragma once

#include <algorithm>

#include "pgcore/parallel.hpp"
#include "pgcore/types.hpp"

namespace pgcore {

inline constexpr Index group = 16;

// Calls f(state, first, rows) for groups of rows, on several threads when there are many; every block of
// groups gets a state of its own from `make_state`.
template <class MakeState, class F>
void for_groups(Index num_rows, Index width, MakeState&& make_state, F&& f) {
  constexpr Index rows_per_block = 2048;
  const Index num_blocks = (num_rows + rows_per_block - 1) / rows_per_block;
  parallel::for_blocks(num_blocks, num_rows * width >= parallel::min_scalars, [&](Index block) {
    auto&& state = make_state();
    const Index end = std::min(num_rows, (block + 1) * rows_per_block);
    for (Index first = block * rows_per_block; first < end; first += group) {
      f(state, first, std::min(group, end - first));
    }
  });
}

}  // namespace pgcore
