// Reads what the families along time have in common: where segments end, and coefficients.
#pragma once

#include "exact.hpp"
#include "pgcore/scan.hpp"

namespace pgcore::bindings {

// Arguments along time: (T,), which is one column, or (T, N).
template <class T>
class TimeArguments {
 public:
  TimeArguments(Exact<T>& call, int first) : call_(call), shape_(call.shape(first, 1, 2)) {}

  const Shape& shape() const { return shape_; }
  Index size() const { return shape_.size(); }
  bool is_column() const { return shape_.ndim == 1; }
  Shape row_shape() const { return shape_.ndim == 2 ? Shape(columns()) : Shape(); }

  template <class S = T>
  Rows<const S> rows(int i) {
    return {call_.template input<S>(i, shape_), call_ ? num_rows() : 0, call_ ? columns() : 0};
  }
  template <class S = T>
  Rows<const S> optional_rows(int i) {
    return call_.given(i) ? rows<S>(i) : Rows<const S>{};
  }
  // A number, or an array like the others.
  scan::Coefficient<T> coefficient(int i) {
    if (call_.is_array(i)) return {0, rows(i)};
    return {call_.number(i), {}};
  }
  // Bootstrap values have the shape of the others, or of one row: then they are those of the last row.
  scan::Segments<T> segments(int ends, int bootstrap) {
    scan::Segments<T> segments{optional_rows<bool>(ends), {}, {}};
    if (!call_.given(bootstrap) || !call_) return segments;
    if (call_.shape(bootstrap, 0, 2) == row_shape()) {
      const T* data = call_.input(bootstrap, row_shape());
      segments.last_bootstrap = {data, call_ ? columns() : 0};
    } else {
      segments.bootstrap = rows(bootstrap);
      if (call_ && num_rows() > 0)
        segments.last_bootstrap = {segments.bootstrap.row(num_rows() - 1), columns()};
    }
    return segments;
  }
  // Memory of a result, or of one of two.
  Rows<T> output(const py::object& array) const { return {Exact<T>::memory(array), num_rows(), columns()}; }
  Rows<T> output(const py::object& tuple, int k) const {
    return {Exact<T>::memory(tuple, k), num_rows(), columns()};
  }

 private:
  Index num_rows() const { return shape_.length[0]; }
  Index columns() const { return shape_.ndim == 2 ? shape_.length[1] : 1; }

  Exact<T>& call_;
  Shape shape_;
};

}  // namespace pgcore::bindings
