// Reads where segments end, for the families that run along time.
#pragma once

#include "arrays.hpp"
#include "pgcore/scan.hpp"

namespace pgcore::bindings {

// `bootstrap` is (T, N), or (1, N): bootstrap values of the last row only.
template <class T>
scan::Segments<T> segments_of(const Optional<bool>& ends, const Optional<T>& bootstrap, Index rows,
                              Index columns) {
  scan::Segments<T> segments{input("ends", ends, rows, columns), nullptr, nullptr};
  if (bootstrap && rows > 0) {
    const bool last_only = bootstrap->ndim() == 2 && bootstrap->shape(0) == 1;
    const T* data = input("bootstrap_values", *bootstrap, last_only ? Index{1} : rows, columns);
    segments.bootstrap = last_only ? nullptr : data;
    segments.last_bootstrap = last_only ? data : data + (rows - 1) * columns;
  }
  return segments;
}

}  // namespace pgcore::bindings
