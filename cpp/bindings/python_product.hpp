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

// A Python function as the observer of an iteration: every call gets an array of its own. None is no
// observer.
template <class T>
CgObserver<T> observer(const py::object& callback) {
  if (callback.is_none()) return nullptr;
  return [=](Vec<const T> x) { callback(py::array_t<T>(x.size(), x.data())); };
}

// x, and how it was found: the fields of `CGResult` in its order.
inline py::tuple solution(const py::object& x, const CgReport& report) {
  return py::make_tuple(x, static_cast<int>(report.status), report.iterations, report.residual_norm,
                        report.curvature, report.condition);
}

}  // namespace pgcore::bindings
