// Reads where pieces end, for the families that run along time.
#pragma once

#include "arrays.hpp"
#include "pgcore/scan.hpp"

namespace pgcore::bindings {

// `tail` is (T, N), or (1, N): tails of the last row only.
template <class T>
scan::Cuts<T> cuts_of(const Optional<bool>& ends, const Optional<T>& tail, Index rows, Index columns) {
  scan::Cuts<T> cuts{input("ends", ends, rows, columns), nullptr, nullptr};
  if (tail && rows > 0) {
    const bool last_only = tail->ndim() == 2 && tail->shape(0) == 1;
    const T* data = input("tail_values", *tail, last_only ? Index{1} : rows, columns);
    cuts.tail = last_only ? nullptr : data;
    cuts.last_tail = last_only ? data : data + (rows - 1) * columns;
  }
  return cuts;
}

}  // namespace pgcore::bindings
