// What the solvers of linear systems exchange with Python.
#pragma once

#include "arrays.hpp"
#include "pgcore/cg.hpp"

namespace pgcore::bindings {

// Calls a Python function on a vector; it must return an array of the same length and dtype.
template <class T>
void call(const py::object& function, const char* name, Index n, const T* v, T* out) {
  const py::object result = function(py::array_t<T>(n, v));
  if (!py::isinstance<Array<T>>(result)) {
    throw py::type_error(std::string(name) + ": expected an array of b's dtype, got " +
                         std::string(py::str(py::type::of(result))));
  }
  const auto array = py::reinterpret_borrow<Array<T>>(result);
  const T* data = input(name, array, n);
  std::copy(data, data + n, out);
}

// x, and how it was found.
template <class T>
using Solution = std::pair<Array<T>, CgReport>;

}  // namespace pgcore::bindings
