// Integers that are used as indices.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "arrays.hpp"

namespace pgcore::bindings {

// Number i was checked to be in 0 … K(i) − 1. A copy, because other threads may write to the caller's array;
// of a few it is not on the heap.
class CheckedIndices {
 public:
  template <class F>
  CheckedIndices(const char* name, const std::int64_t* data, Index size, F&& K) : size_(size) {
    if (size > static_cast<Index>(few_.size())) many_.reset(new std::int64_t[static_cast<std::size_t>(size)]);
    std::int64_t* const copy = many_ ? many_.get() : few_.data();
    bool valid = true;
    for (Index i = 0; i < size; ++i) {
      copy[i] = data[i];
      valid &= is_valid(copy[i], K(i));
    }
    for (Index i = 0; !valid; ++i) {
      if (!is_valid(copy[i], K(i))) refuse(name, K(i), copy[i]);
    }
  }
  CheckedIndices(const char* name, const std::int64_t* data, Index size, Index K)
      : CheckedIndices(name, data, size, [K](Index) { return K; }) {}
  CheckedIndices(const CheckedIndices&) = delete;
  CheckedIndices& operator=(const CheckedIndices&) = delete;

  Vec<const std::int64_t> view() const { return {many_ ? many_.get() : few_.data(), size_}; }

 private:
  [[noreturn]] static void refuse(const char* name, Index K, std::int64_t got) {
    throw py::value_error(std::string(name) + ": expected integers in 0…" + std::to_string(K - 1) + ", got " +
                          std::to_string(got));
  }
  static bool is_valid(std::int64_t k, Index K) {
    return static_cast<std::uint64_t>(k) < static_cast<std::uint64_t>(K);
  }

  Index size_;
  std::array<std::int64_t, 256> few_;
  std::unique_ptr<std::int64_t[]> many_;
};

}  // namespace pgcore::bindings
