// Scratch objects that are built once and used again. Calls from several threads each get their own.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace pgcore {

template <class S>
class ScratchPool {
 public:
  explicit ScratchPool(std::function<std::unique_ptr<S>()> make) : make_(std::move(make)) {}

  class Loan {
   public:
    Loan(ScratchPool& pool, std::unique_ptr<S> object) : pool_(pool), object_(std::move(object)) {}
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() {
      const std::lock_guard<std::mutex> lock(pool_.mutex_);
      pool_.free_.push_back(std::move(object_));
    }
    S& operator*() const { return *object_; }
    S* operator->() const { return object_.get(); }

   private:
    ScratchPool& pool_;
    std::unique_ptr<S> object_;
  };

  // Builds an object only when all are in use.
  Loan borrow() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!free_.empty()) {
        std::unique_ptr<S> object = std::move(free_.back());
        free_.pop_back();
        return Loan(*this, std::move(object));
      }
    }
    std::unique_ptr<S> object = make_();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      free_.reserve(num_made_ + 1);  // so that returning it, in a destructor, needs no memory
      ++num_made_;
    }
    return Loan(*this, std::move(object));
  }

 private:
  std::function<std::unique_ptr<S>()> make_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<S>> free_;
  std::size_t num_made_ = 0;
};

}  // namespace pgcore
