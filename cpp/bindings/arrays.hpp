// The one place through which bindings see NumPy: checked views of array memory, never copies.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pgcore/inputs.hpp"
#include "pgcore/types.hpp"
#include "pgcore/views.hpp"

namespace pgcore::bindings {

namespace py = pybind11;

// With .noconvert() pybind11 accepts just arrays of this dtype that are C-contiguous, and picks the overload
// by it.
template <class T>
using Array = py::array_t<T, py::array::c_style>;
template <class T>
using Optional = std::optional<Array<T>>;

// The submodule of the classes that compute in T: float32 or float64.
template <class T>
py::module_ classes_of(py::module_& m) {
  return m.def_submodule(sizeof(T) == 4 ? "float32" : "float64", "Classes that compute in this dtype.");
}

template <class... Sizes>
std::string shape_text(Sizes... sizes) {
  std::string text;
  ((text += (text.empty() ? "(" : ", ") + std::to_string(sizes)), ...);
  return text + (sizeof...(sizes) == 1 ? ",)" : ")");
}

inline std::string shape_text(const py::array& a) {
  std::string text = "(";
  for (py::ssize_t k = 0; k < a.ndim(); ++k) {
    text += (k ? ", " : "") + std::to_string(a.shape(k));
  }
  return text + (a.ndim() == 1 ? ",)" : ")");
}

template <class... Sizes>
void check_shape(const char* name, const py::array& a, Sizes... sizes) {
  const Index expected[] = {static_cast<Index>(sizes)...};
  bool same = a.ndim() == static_cast<py::ssize_t>(sizeof...(sizes));
  for (py::ssize_t k = 0; same && k < a.ndim(); ++k) same = a.shape(k) == expected[k];
  if (!same) {
    throw py::value_error(std::string(name) + ": expected shape " + shape_text(static_cast<Index>(sizes)...) +
                          ", got " + shape_text(a));
  }
}

inline void check_ndim(const char* name, const py::array& a, py::ssize_t ndim) {
  if (a.ndim() != ndim) {
    throw py::value_error(std::string(name) + ": expected " + std::to_string(ndim) +
                          " dimensions, got shape " + shape_text(a));
  }
}

// Memory of an input of the given shape.
template <class T, class... Sizes>
const T* input(const char* name, const Array<T>& a, Sizes... sizes) {
  check_shape(name, a, sizes...);
  return a.data();
}

template <class T, class... Sizes>
const T* input(const char* name, const Optional<T>& a, Sizes... sizes) {
  return a ? input(name, *a, sizes...) : nullptr;
}

// The same as views.
template <class A>
auto input_vec(const char* name, const A& a, Index size) {
  const auto* data = input(name, a, size);
  return Vec{data, data ? size : 0};
}
template <class A>
auto input_rows(const char* name, const A& a, Index num_rows, Index width) {
  const auto* data = input(name, a, num_rows, width);
  return data ? Rows{data, num_rows, width} : Rows{data, 0, 0};
}

// Memory of an output of the given shape; refuses read-only arrays.
template <class T, class... Sizes>
T* output(const char* name, Array<T>& a, Sizes... sizes) {
  check_shape(name, a, sizes...);
  if (!a.writeable())
    throw py::value_error(std::string(name) + ": expected a writeable array, got a read-only one");
  return a.mutable_data();
}

template <class T>
Vec<T> output_vec(const char* name, Array<T>& a, Index size) {
  return {output(name, a, size), size};
}
template <class T>
Rows<T> output_rows(const char* name, Array<T>& a, Index num_rows, Index width) {
  return {output(name, a, num_rows, width), num_rows, width};
}

// Sizes of something, each at least 1.
inline std::vector<Index> positive(const char* name, std::vector<Index> sizes) {
  for (const Index size : sizes) {
    if (size < 1) {
      throw py::value_error(std::string(name) + ": expected sizes of at least 1, got " +
                            std::to_string(size));
    }
  }
  return sizes;
}

inline Index checked_batch_size(Index batch_size) {
  if (batch_size < 1)
    throw py::value_error("batch_size: expected at least 1, got " + std::to_string(batch_size));
  return batch_size;
}

// Widths of a network's layers: two or more, with a number of parameters that can be counted; the last one is
// as given.
inline std::vector<Index> layer_sizes(std::vector<Index> sizes, Index last = 0) {
  sizes = positive("sizes", std::move(sizes));
  if (sizes.size() < 2) {
    throw py::value_error("sizes: expected at least two widths, got " + std::to_string(sizes.size()));
  }
  if (last > 0 && sizes.back() != last) {
    throw py::value_error("sizes: expected " + std::to_string(last) + " as the last width, got " +
                          std::to_string(sizes.back()));
  }
  double parameters = 0;
  for (std::size_t l = 1; l < sizes.size(); ++l) {
    parameters += static_cast<double>(sizes[l]) * (static_cast<double>(sizes[l - 1]) + 1);
  }
  if (parameters > 1e13) {
    throw py::value_error("sizes: expected at most 1e13 parameters, got " + std::to_string(parameters));
  }
  return sizes;
}

// A normaliser's statistics, an InputScaling or None. As an object, because pybind11 accepts a None for a
// pointer only in its second round over the overloads, which takes longer than the network does to act.
using Scaling = py::object;

// Rows of raw observations, float or double whatever the pass computes in. Their scaling is that of this
// call: changes of the normaliser during the call have no effect on it.
template <class T>
Inputs<T> inputs(const char* name, const py::array& rows, const Scaling& statistics, Index width) {
  std::shared_ptr<InputScaling> scaling;
  if (!statistics.is_none()) scaling = statistics.cast<std::shared_ptr<InputScaling>>();
  check_ndim(name, rows, 2);
  const Index num_rows = rows.shape(0);
  check_shape(name, rows, num_rows, width);
  if (scaling && static_cast<Index>(scaling->shift.size()) != width) {
    throw py::value_error("normalizer: expected one for observations of length " + std::to_string(width) +
                          ", got length " + std::to_string(scaling->shift.size()));
  }
  if (py::isinstance<Array<float>>(rows)) {
    return {Rows{static_cast<const float*>(rows.data()), num_rows, width}, std::move(scaling)};
  }
  if (py::isinstance<Array<double>>(rows)) {
    return {Rows{static_cast<const double*>(rows.data()), num_rows, width}, std::move(scaling)};
  }
  throw py::type_error(std::string(name) + ": expected a C-contiguous array of float32 or float64");
}

using release_gil = py::gil_scoped_release;

}  // namespace pgcore::bindings
