// Scratch memory.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>

#include "pgcore/types.hpp"

namespace pgcore {

// Memory on cache-line boundaries. Kernels copy what they multiply into such buffers, so that their
// results cannot depend on how the caller's memory happens to be aligned.
template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(Index size) { resize(size); }

  // Grows when needed; the contents are then unspecified.
  void resize(Index size) {
    if (size > capacity_) {
      data_.reset(static_cast<T*>(::operator new(sizeof(T) * static_cast<std::size_t>(size), alignment)));
      capacity_ = size;
    }
  }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }

 private:
  static_assert(std::is_trivially_destructible_v<T>);
  static constexpr std::align_val_t alignment{64};
  struct Delete {
    void operator()(T* p) const { ::operator delete(p, alignment); }
  };
  std::unique_ptr<T, Delete> data_;
  Index capacity_ = 0;
};

// Rounds a count of scalars up to whole cache lines, so that buffers carved from one slab stay aligned.
template <class T>
constexpr Index padded(Index count) {
  constexpr Index line = 64 / static_cast<Index>(sizeof(T));
  return (count + line - 1) / line * line;
}

// Scratch memory: on the stack, or on the heap for more than StackSize numbers.
template <class T, Index StackSize = 1024>
class SmallBuffer {
 public:
  explicit SmallBuffer(Index size) {
    if (size > StackSize) heap_.resize(size);
    data_ = size > StackSize ? heap_.data() : stack_;
  }
  SmallBuffer(const SmallBuffer&) = delete;
  SmallBuffer& operator=(const SmallBuffer&) = delete;
  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](Index i) { return data_[i]; }

 private:
  alignas(64) T stack_[StackSize];
  AlignedBuffer<T> heap_;
  T* data_;
};

}  // namespace pgcore
