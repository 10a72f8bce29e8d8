#include "pgcore/cg.hpp"

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
        const CgOptions options{rtol, max_iter, damping};
        Product<T> precondition;
        if (!preconditioner.is_none()) {
          precondition = [&](const T* r, T* z) { call(preconditioner, "preconditioner", n, r, z); };
        }
        CgReport report{};
        const auto solve = [&, out = x.mutable_data(), rhs = b.data()](const Product<T>& multiply) {
          report = conjugate_gradient(n, multiply, rhs, out, start != nullptr, options, precondition);
        };
        if (py::isinstance<Array<T>>(op)) {
          const auto matrix = py::reinterpret_borrow<Array<T>>(op);
          const Product<T> multiply = matrix_product(n, input("operator", matrix, n, n));
          std::optional<release_gil> guard;
          if (!precondition) guard.emplace();  // no Python function is called
          solve(multiply);
        } else {
          solve([&](const T* v, T* out) { call(op, "operator", n, v, out); });
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
