// Memory together with its sizes: what functions of the core read and write. Views own nothing, and shapes
// are asserted where assertions are on (the C++ tests under sanitizers).
#pragma once

#include <cassert>
#include <type_traits>

#include "pgcore/types.hpp"

namespace pgcore {

// Numbers next to each other; `const T` for those that are only read.
template <class T>
class Vec {
 public:
  Vec() = default;  // none at all
  Vec(T* data, Index size) : data_(data), size_(size) { assert(size >= 0 && (data || size == 0)); }
  // A view that may write converts to one that only reads.
  template <class U, class = std::enable_if_t<!std::is_same_v<U, T> && std::is_same_v<const U, T>>>
  Vec(Vec<U> other) : Vec(other.data(), other.size()) {}

  T* data() const { return data_; }
  Index size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](Index i) const {
    assert(0 <= i && i < size_);
    return data_[i];
  }
  Vec part(Index first, Index count) const {
    assert(0 <= first && 0 <= count && first + count <= size_);
    return {data_ + first, count};
  }

 private:
  T* data_ = nullptr;
  Index size_ = 0;
};

// Rows of `width` numbers, one behind the other.
template <class T>
class Rows {
 public:
  Rows() = default;  // none at all
  Rows(T* data, Index num_rows, Index width) : data_(data), num_rows_(num_rows), width_(width) {
    assert(num_rows >= 0 && width >= 0 && (data || num_rows * width == 0));
  }
  template <class U, class = std::enable_if_t<!std::is_same_v<U, T> && std::is_same_v<const U, T>>>
  Rows(Rows<U> other) : Rows(other.data(), other.num_rows(), other.width()) {}

  T* data() const { return data_; }
  Index num_rows() const { return num_rows_; }
  Index width() const { return width_; }
  bool empty() const { return num_rows_ * width_ == 0; }
  bool has_shape(Index num_rows, Index width) const { return num_rows_ == num_rows && width_ == width; }
  // Row i, or where the rows from i on begin.
  T* row(Index i) const {
    assert(0 <= i && i <= num_rows_);
    return data_ + i * width_;
  }
  Rows part(Index first, Index count) const {
    assert(0 <= first && 0 <= count && first + count <= num_rows_);
    return {data_ + first * width_, count, width_};
  }

 private:
  T* data_ = nullptr;
  Index num_rows_ = 0, width_ = 0;
};

}  // namespace pgcore
