// Integers that are used as indices.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "arrays.hpp"

namespace pgcore::bindings {

// Checked to be in 0 … K − 1. A copy, because other threads may write to the caller's array; of a few it is
// not on the heap.
class Choices {
 public:
  Choices(const char* name, const std::int64_t* data, Index size, Index K) : size_(size) {
    if (size > static_cast<Index>(few_.size())) many_.reset(new std::int64_t[static_cast<std::size_t>(size)]);
    std::int64_t* const copy = many_ ? many_.get() : few_.data();
    bool valid = true;
    for (Index i = 0; i < size; ++i) {
      copy[i] = data[i];
      valid &= is_valid(copy[i], K);
    }
    for (Index i = 0; !valid; ++i) {
      if (!is_valid(copy[i], K)) refuse_choice(name, K, copy[i]);
    }
  }
  Choices(const Choices&) = delete;
  Choices& operator=(const Choices&) = delete;

  Vec<const std::int64_t> view() const { return {many_ ? many_.get() : few_.data(), size_}; }

 private:
  static bool is_valid(std::int64_t k, Index K) {
    return static_cast<std::uint64_t>(k) < static_cast<std::uint64_t>(K);
  }

  Index size_;
  std::array<std::int64_t, 256> few_;
  std::unique_ptr<std::int64_t[]> many_;
};

}  // namespace pgcore::bindings
