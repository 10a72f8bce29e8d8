// A small pool of threads behind one function, `for_blocks`.
//
// Callers cut work into blocks whose number depends on the problem alone and combine block results in block
// order, so results are bit-identical for any number of threads. Idle workers sleep; a second caller that
// finds the pool busy does its own work serially; after a fork the child runs serially (its workers are
// gone). If no thread can be started, every caller runs serially.
//
// When a block throws, blocks that have begun are finished and others are left out. Then `for_blocks` throws
// the first exception on the calling thread.
#pragma once

#include <type_traits>

#include "pgcore/types.hpp"

namespace pgcore::parallel {

// At first OMP_NUM_THREADS if it is a positive number, else the processors this process may run on.
int num_threads();
void set_num_threads(int n);

// Calls task(context, block) for every block in 0 … num_blocks − 1.
using Task = void (*)(void* context, Index block);
void run(Index num_blocks, Task task, void* context);

// Calls f(block) for every block in 0 … num_blocks − 1, on several threads when `worthwhile`.
template <class F>
void for_blocks(Index num_blocks, bool worthwhile, F&& f) {
  if (!worthwhile || num_blocks < 2) {
    for (Index block = 0; block < num_blocks; ++block) f(block);
    return;
  }
  using Function = std::remove_reference_t<F>;
  run(num_blocks, [](void* context, Index block) { (*static_cast<Function*>(context))(block); }, &f);
}

// Waking a sleeping worker takes about ten microseconds: threads help from about this many scalars or flops
// on.
inline constexpr Index min_scalars = Index{1} << 16;
inline constexpr double min_flops = 2e6;

}  // namespace pgcore::parallel
