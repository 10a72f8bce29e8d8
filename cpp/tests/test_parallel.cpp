// The pool: every block once, callers side by side, and the same results from any number of threads.
#include <atomic>
#include <thread>

#include "check.hpp"
#include "pgcore/parallel.hpp"

using namespace pgcore;

namespace {

void test_every_block_once() {
  for (const int threads : {1, 2, 3, 7}) {
    parallel::set_num_threads(threads);
    for (const Index blocks : {0, 1, 2, 5, 1000}) {
      std::vector<int> hits(static_cast<std::size_t>(blocks), 0);
      parallel::for_blocks(blocks, true, [&](Index b) { ++hits[static_cast<std::size_t>(b)]; });
      CHECK(std::all_of(hits.begin(), hits.end(), [](int n) { return n == 1; }));
    }
  }
}

void test_callers_side_by_side() {
  parallel::set_num_threads(3);
  std::atomic<long> total{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        std::atomic<long> sum{0};
        parallel::for_blocks(17, true, [&](Index b) { sum += b; });
        total += sum;
      }
    });
  }
  for (auto& caller : callers) caller.join();
  CHECK(total == 4L * 200 * 136);
}

void test_nested() {
  std::atomic<long> total{0};
  parallel::for_blocks(4, true, [&](Index) { parallel::for_blocks(5, true, [&](Index b) { total += b; }); });
  CHECK(total == 40);
}

}  // namespace

int main() {
  test_every_block_once();
  test_callers_side_by_side();
  test_nested();
  return testing::finish();
}
