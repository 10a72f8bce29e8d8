// Runs a network over a whole batch, block by block, on several threads, with results that do not depend on
// how many.
#pragma once

#include <algorithm>
#include <memory>

#include "math/compiler.hpp"
#include "math/memory.hpp"
#include "nn/network.hpp"
#include "parallel/scratch_pool.hpp"
#include "pgcore/parallel.hpp"
#include "pgcore/types.hpp"

namespace pgcore {

template <class T>
class BatchPass {
 public:
  using Block = typename Network<T>::Block;

  // `num_params` may exceed the network's: what follows belongs to the caller.
  BatchPass(const Network<T>& net, Index num_params)
      : net_(net), num_params_(num_params), blocks_([&net] { return net.make_block(); }), sums_([num_params] {
          return std::make_unique<AlignedBuffer<T>>(max_chunks * padded<T>(num_params));
        }) {
    {
      const auto built_now = blocks_.borrow();
    }
    {
      const auto built_now = sums_.borrow();
    }
  }

  // f(first, rows, block) for blocks of rows; `flops` is the work of one row.
  template <class F>
  void for_rows(Index num_rows, double flops, F&& f) const {
    const Index num_blocks = (num_rows + Network<T>::block_rows - 1) / Network<T>::block_rows;
    parallel::for_blocks(num_blocks, worthwhile(num_rows, flops), [&](Index b) {
      const auto block = blocks_.borrow();
      const Index first = b * Network<T>::block_rows;
      f(first, std::min(Network<T>::block_rows, num_rows - first), *block);
    });
  }

  // out ← Σ over blocks of what f(first, rows, block, sum) adds to `sum` (num_params). Blocks are divided
  // into chunks, whose number depends on num_rows alone; each chunk sums in order, then chunks are added in
  // order.
  template <class F>
  void sum_rows(Index num_rows, double flops, T* out, F&& f) const {
    const auto sums = sums_.borrow();
    const Index stride = padded<T>(num_params_);
    const Index num_blocks = (num_rows + Network<T>::block_rows - 1) / Network<T>::block_rows;
    const Index num_chunks = std::max<Index>(1, std::min(num_blocks, max_chunks));
    parallel::for_blocks(num_chunks, worthwhile(num_rows, flops), [&](Index chunk) {
      const auto block = blocks_.borrow();
      T* sum = sums->data() + chunk * stride;
      std::fill(sum, sum + num_params_, T(0));
      for (Index b = chunk * num_blocks / num_chunks; b < (chunk + 1) * num_blocks / num_chunks; ++b) {
        const Index first = b * Network<T>::block_rows;
        f(first, std::min(Network<T>::block_rows, num_rows - first), *block, sum);
      }
    });
    T* total = sums->data();
    for (Index chunk = 1; chunk < num_chunks; ++chunk) {
      const T* sum = total + chunk * stride;
      PGCORE_INDEPENDENT
      for (Index i = 0; i < num_params_; ++i) total[i] += sum[i];
    }
    std::copy(total, total + num_params_, out);
  }

  typename ScratchPool<Block>::Loan borrow_block() const { return blocks_.borrow(); }
  typename ScratchPool<AlignedBuffer<T>>::Loan borrow_sums() const { return sums_.borrow(); }

 private:
  static constexpr Index max_chunks = 16;
  static bool worthwhile(Index num_rows, double flops) {
    return static_cast<double>(num_rows) * flops >= parallel::min_flops;
  }

  const Network<T>& net_;
  Index num_params_;
  // Scratch memory alone: using it changes nothing that a caller could see.
  mutable ScratchPool<Block> blocks_;
  mutable ScratchPool<AlignedBuffer<T>> sums_;
};

}  // namespace pgcore
