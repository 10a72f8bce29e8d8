#include "pgcore/cg.hpp"

#include <vector>

#include "arrays.hpp"
#include "families.hpp"

namespace pgcore::bindings {
namespace {

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

template <class T>
void bind(py::module_& m) {
  m.def(
      "conjugate_gradient",
      [](const py::object& op, const Array<T>& b, const Optional<T>& x0, double rtol, Index max_iter,
         double damping, const py::object& preconditioner) {
        check_ndim("b", b, 1);
        const Index n = b.shape(0);
        const T* start = input("x0", x0, n);
        Array<T> x(n);
        if (start) std::copy(start, start + n, x.mutable_data());
        std::vector<T> scratch(static_cast<std::size_t>(5 * n));
        const CgOptions options{rtol, max_iter, damping};
        CgReport report{};
        const auto solve = [&](auto&& multiply, auto&& precondition) {
          report = conjugate_gradient(n, multiply, b.data(), x.mutable_data(), start != nullptr, options,
                                      precondition, scratch.data());
        };
        const auto precondition = [&](const T* r, T* z) { call(preconditioner, "preconditioner", n, r, z); };
        if (py::isinstance<Array<T>>(op)) {
          const auto matrix = py::reinterpret_borrow<Array<T>>(op);
          const ConstMatrixMap<T> a(input("operator", matrix, n, n), n, n);
          const auto multiply = [&](const T* v, T* out) {
            VectorMap<T>(out, n).noalias() = a * ConstVectorMap<T>(v, n);
          };
          if (preconditioner.is_none()) {
            const release_gil guard;
            solve(multiply, no_preconditioner);
          } else {
            solve(multiply, precondition);
          }
        } else {
          const auto multiply = [&](const T* v, T* out) { call(op, "operator", n, v, out); };
          if (preconditioner.is_none()) {
            solve(multiply, no_preconditioner);
          } else {
            solve(multiply, precondition);
          }
        }
        return py::make_tuple(x, static_cast<int>(report.status), report.iterations, report.residual_norm,
                              report.curvature);
      },
      py::arg("operator"), py::arg("b").noconvert(), py::arg("x0").noconvert(), py::arg("rtol"),
      py::arg("max_iter"), py::arg("damping"), py::arg("preconditioner"));
}

}  // namespace

void bind_cg(py::module_& m) {
  bind<float>(m);
  bind<double>(m);
}

}  // namespace pgcore::bindings
