// The pool: every block once, callers side by side, exceptions, threads that can't be started, and scratch.
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#if defined(__GLIBC__)
#include <pthread.h>
#endif

#include "check.hpp"
#include "math/memory.hpp"
#include "parallel/scratch_pool.hpp"
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

// Blocks so short that threads ask for the next one all the time.
void test_threads_do_not_take_the_same_block() {
  parallel::set_num_threads(4);
  std::vector<std::atomic<int>> hits(200000);
  for (int round = 0; round < 10; ++round) {
    for (auto& hit : hits) hit = 0;
    parallel::for_blocks(static_cast<Index>(hits.size()), true,
                         [&](Index b) { hits[static_cast<std::size_t>(b)].fetch_add(1); });
    CHECK(std::all_of(hits.begin(), hits.end(), [](const auto& n) { return n == 1; }));
  }
}

// More workers than blocks: most wake when nothing is left. Each segment of work has memory of its own, which
// is gone afterwards.
void test_late_workers() {
  parallel::set_num_threads(8);
  bool once = true;
  for (int round = 0; round < 5000; ++round) {
    const Index blocks = round % 2 ? 2 : 40;
    const auto hits = std::make_unique<int[]>(static_cast<std::size_t>(blocks));
    parallel::for_blocks(blocks, true, [&](Index b) { ++hits[static_cast<std::size_t>(b)]; });
    once = once && std::all_of(hits.get(), hits.get() + blocks, [](int n) { return n == 1; });
  }
  CHECK(once);
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

void wait_a_moment() {
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

// Runs blocks of which those chosen by `fails` throw; returns what came out of it.
template <class F>
std::string outcome(Index blocks, F&& fails) {
  std::atomic<int> running{0};
  std::string what = "nothing";
  try {
    parallel::for_blocks(blocks, true, [&](Index b) {
      struct Count {
        explicit Count(std::atomic<int>& n) : n_(n) { ++n_; }
        ~Count() { --n_; }
        std::atomic<int>& n_;
      };
      const auto memory = std::make_unique<Index>(b);
      const Count count(running);
      if (fails(*memory)) throw std::runtime_error("a block");
      wait_a_moment();
    });
  } catch (const std::runtime_error& error) {
    what = error.what();
  } catch (const std::bad_alloc&) {
    what = "no memory";
  }
  CHECK(running == 0);  // nobody uses this frame any more
  return what;
}

void test_exceptions() {
  const auto caller = std::this_thread::get_id();
  for (const int threads : {1, 2, 5}) {
    parallel::set_num_threads(threads);
    for (const Index blocks : {1, 2, 30}) {
      for (const Index bad : {Index{0}, blocks / 2, blocks - 1}) {
        CHECK(outcome(blocks, [=](Index b) { return b == bad; }) == "a block");
      }
      CHECK(outcome(blocks, [](Index) { return true; }) == "a block");
      CHECK(outcome(blocks, [](Index) -> bool { throw std::bad_alloc(); }) == "no memory");
      CHECK(outcome(blocks, [](Index) { return false; }) == "nothing");
    }
    test_every_block_once();
    parallel::set_num_threads(threads);
  }
  // Thrown by a worker alone, and by the caller alone while a worker is inside.
  for (const bool by_caller : {false, true}) {
    parallel::set_num_threads(3);
    std::atomic<bool> worker_was_there{false};
    const std::string what = outcome(400, [&](Index) {
      const bool here = std::this_thread::get_id() == caller;
      if (!here) worker_was_there = true;
      return worker_was_there && here == by_caller;
    });
    CHECK(worker_was_there);
    if (worker_was_there) CHECK(what == "a block");
  }
}

// Stacks larger than the address space: no thread starts.
void test_threads_that_can_not_be_started() {
#if defined(__GLIBC__)
  pthread_attr_t usual, huge;
  pthread_getattr_default_np(&usual);
  pthread_attr_init(&huge);
  pthread_attr_setstacksize(&huge, std::size_t{1} << 46);
  CHECK(pthread_setattr_default_np(&huge) == 0);
  bool started = true;
  try {
    std::thread([] {}).join();
  } catch (const std::system_error&) {
    started = false;
  }
  CHECK(!started);
  parallel::set_num_threads(64);
  std::vector<std::atomic<int>> hits(100);
  parallel::for_blocks(100, true, [&](Index b) { ++hits[static_cast<std::size_t>(b)]; });
  CHECK(std::all_of(hits.begin(), hits.end(), [](const auto& n) { return n == 1; }));
  CHECK(outcome(9, [](Index b) { return b == 3; }) == "a block");
  pthread_setattr_default_np(&usual);
#endif
}

void test_scratch_that_can_not_be_made() {
  int made = 0;
  bool fail = true;
  ScratchPool<int> pool([&] {
    if (fail) throw std::bad_alloc();
    return std::make_unique<int>(++made);
  });
  for (int attempt = 0; attempt < 3; ++attempt) {
    bool failed = false;
    try {
      pool.borrow();
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    CHECK(failed);
  }
  fail = false;
  for (int round = 0; round < 3; ++round) {
    const auto a = pool.borrow();
    const auto b = pool.borrow();
    CHECK(*a != *b);
  }
  CHECK(made == 2);
}

// At its exact size a buffer is on the stack and holds all it promises; one more goes to the heap.
template <class T, Index Size>
void test_small_buffer() {
  SmallBuffer<T, Size> exact(Size), less(Size - 1), more(Size + 1);
  const auto inside = [](const auto& buffer) {
    const auto *begin = reinterpret_cast<const char*>(&buffer), *end = begin + sizeof(buffer);
    const auto* data = reinterpret_cast<const char*>(buffer.data());
    return data >= begin && data < end;
  };
  CHECK(inside(exact));
  CHECK(inside(less));
  CHECK(!inside(more));
  const Index sizes[] = {Size, Size - 1, Size + 1};
  SmallBuffer<T, Size>* buffers[] = {&exact, &less, &more};
  for (int k = 0; k < 3; ++k) {
    for (Index i = 0; i < sizes[k]; ++i) (*buffers[k])[i] = T(k + 1);
  }
  for (int k = 0; k < 3; ++k) {
    bool kept = true;
    for (Index i = 0; i < sizes[k]; ++i) kept = kept && (*buffers[k])[i] == T(k + 1);
    CHECK(kept);
  }
}

}  // namespace

// First, while the pool has none.
TEST("threads that can't be started are done without") {
  test_threads_that_can_not_be_started();
}
TEST("every block is run once") {
  test_every_block_once();
}
TEST("threads don't take the same block") {
  test_threads_do_not_take_the_same_block();
}
TEST("workers that wake late find nothing") {
  test_late_workers();
}
TEST("several callers side by side") {
  test_callers_side_by_side();
}
TEST("blocks that run blocks") {
  test_nested();
}
TEST("an exception in a block comes out on the calling thread") {
  test_exceptions();
}
TEST("scratch that can't be made leaves the pool as it was") {
  test_scratch_that_can_not_be_made();
}
TEST("a small buffer is on the stack up to its size") {
  test_small_buffer<float, 16>();
  test_small_buffer<double, 64>();
  test_small_buffer<float, 1024>();
}
