// What the solvers of linear systems exchange with Python.
#pragma once

#include "arrays.hpp"
#include "pgcore/cg.hpp"

namespace pgcore::bindings {

// Calls a Python function on a vector; it must return an array of the same length and dtype.
template <class T>
void call(const py::object& function, const char* name, Vec<const T> v, Vec<T> out) {
  const py::object result = function(py::array_t<T>(v.size(), v.data()));
  if (!py::isinstance<Array<T>>(result)) {
    throw py::type_error(std::string(name) + ": expected an array of b's dtype, got " +
                         std::string(py::str(py::type::of(result))));
  }
  const auto array = py::reinterpret_borrow<Array<T>>(result);
  std::copy_n(input(name, array, v.size()), v.size(), out.data());
}

// x, and how it was found.
template <class T>
using Solution = std::pair<Array<T>, CgReport>;

}  // namespace pgcore::bindings
