// Reads where segments end, for the families that run along time.
#pragma once

#include "arrays.hpp"
#include "pgcore/scan.hpp"

namespace pgcore::bindings {

// The shape of arrays along time: (T,), which is one column, or (T, N).
struct TimeShape {
  Index rows, columns;
  bool flat;

  template <class T>
  Rows<const T> input(const char* name, const Array<T>& a) const {
    return {flat ? bindings::input(name, a, rows) : bindings::input(name, a, rows, columns), rows, columns};
  }
  Rows<const bool> ends(const Optional<bool>& a) const { return a ? input("ends", *a) : Rows<const bool>{}; }
  template <class T>
  Rows<T> output(const char* name, Array<T>& a) const {
    return {flat ? bindings::output(name, a, rows) : bindings::output(name, a, rows, columns), rows, columns};
  }
};

inline TimeShape time_shape(const char* name, const py::array& a) {
  if (a.ndim() == 1) return {a.shape(0), 1, true};
  if (a.ndim() == 2) return {a.shape(0), a.shape(1), false};
  throw py::value_error(std::string(name) + ": expected shape (T,) or (T, N), got " + shape_text(a));
}

// `bootstrap` has that shape, or the shape of one row: bootstrap values of the last row only.
template <class T>
scan::Segments<T> segments_of(const Optional<bool>& ends, const Optional<T>& bootstrap,
                              const TimeShape& shape) {
  const auto rows = shape.rows, columns = shape.columns;
  scan::Segments<T> segments{shape.ends(ends), {}, {}};
  if (!bootstrap) return segments;
  const py::ssize_t ndim = bootstrap->ndim(), full = shape.flat ? 1 : 2;
  const bool last_only = ndim == full - 1 && (shape.flat || bootstrap->shape(0) == columns);
  if (!last_only &&
      !(ndim == full && bootstrap->shape(0) == rows && (shape.flat || bootstrap->shape(1) == columns))) {
    const std::string text =
        shape.flat ? shape_text(rows) + " or ()" : shape_text(rows, columns) + " or " + shape_text(columns);
    throw py::value_error("bootstrap_values: expected shape " + text + ", got " +
                          shape_text(static_cast<const py::array&>(*bootstrap)));
  }
  if (rows > 0) {
    const T* data = bootstrap->data();
    if (!last_only) segments.bootstrap = {data, rows, columns};
    segments.last_bootstrap = {last_only ? data : data + (rows - 1) * columns, columns};
  }
  return segments;
}

}  // namespace pgcore::bindings
