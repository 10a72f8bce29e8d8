#include "pgcore/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#if defined(__linux__)
#include <sched.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace pgcore::parallel {
namespace {

// OMP_NUM_THREADS if it is a positive number, else the processors this process may run on.
int default_num_threads() {
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    const long n = std::strtol(text, nullptr, 10);
    if (n > 0) return static_cast<int>(std::min(n, 1024L));
  }
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

class Pool {
 public:
  // Never destroyed: joining workers while the interpreter unloads modules can deadlock.
  static Pool& instance() {
    static Pool* pool = new Pool;
    return *pool;
  }

  int num_threads() const { return num_threads_.load(std::memory_order_relaxed); }
  void set_num_threads(int n) { num_threads_.store(std::max(1, n), std::memory_order_relaxed); }

  void run(Index num_blocks, Task task, void* context) {
    const int threads = static_cast<int>(std::min<Index>(num_threads(), num_blocks));
    if (threads > 1 && !forked_.load(std::memory_order_relaxed)) {
      const std::unique_lock<std::mutex> caller(caller_mutex_, std::try_to_lock);
      if (caller.owns_lock()) return run_shared(num_blocks, task, context, threads);
    }
    for (Index block = 0; block < num_blocks; ++block) task(context, block);
  }

 private:
  Pool() {
#if !defined(_WIN32)
    pthread_atfork(nullptr, nullptr, [] { instance().forked_.store(true); });
#endif
  }

  void run_shared(Index num_blocks, Task task, void* context, int threads) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      start_workers(threads - 1);
      task_ = task;
      context_ = context;
      num_blocks_ = num_blocks;
      next_block_.store(0, std::memory_order_relaxed);
      places_ = threads - 1;
    }
    wake_.notify_all();
    take_blocks();
    std::unique_lock<std::mutex> lock(mutex_);
    places_ = 0;  // A worker that wakes only now must not join.
    finished_.wait(lock, [this] { return active_ == 0; });
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

  // As many as needed and possible: without memory or a thread for another worker, the existing ones do the
  // work.
  void start_workers(int count) {
    try {
      for (; num_workers_ < count; ++num_workers_) std::thread([this] { work_forever(); }).detach();
    } catch (const std::exception&) {
    }
  }

  // An exception is kept for the caller: it must not leave a worker, and on the caller's thread workers still
  // use what it would unwind. Blocks that have not begun are left out.
  void take_blocks() {
    try {
      for (Index block; (block = next_block_.fetch_add(1, std::memory_order_relaxed)) < num_blocks_;) {
        task_(context_, block);
      }
    } catch (...) {
      next_block_.store(num_blocks_, std::memory_order_relaxed);
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }

  void work_forever() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return places_ > 0; });
      --places_;
      ++active_;
      lock.unlock();
      take_blocks();
      lock.lock();
      if (--active_ == 0) finished_.notify_one();
    }
  }

  std::atomic<int> num_threads_{default_num_threads()};
  std::atomic<bool> forked_{false};
  std::mutex caller_mutex_;  // held by the one caller whose work the pool shares
  std::mutex mutex_;         // guards everything below but the atomic
  std::condition_variable wake_, finished_;
  Task task_ = nullptr;
  void* context_ = nullptr;
  Index num_blocks_ = 0;
  std::atomic<Index> next_block_{0};
  std::exception_ptr error_;  // the first of the current work
  int num_workers_ = 0;
  int places_ = 0;  // workers that may still join the current work
  int active_ = 0;  // workers inside it
};

}  // namespace

int num_threads() {
  return Pool::instance().num_threads();
}
void set_num_threads(int n) {
  Pool::instance().set_num_threads(n);
}
void run(Index num_blocks, Task task, void* context) {
  Pool::instance().run(num_blocks, task, context);
}

}  // namespace pgcore::parallel
