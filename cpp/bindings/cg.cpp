#include "pgcore/cg.hpp"

#include "arrays.hpp"
#include "families.hpp"
#include "python_product.hpp"

namespace pgcore::bindings {
namespace {

template <class T>
void bind(py::module_& m) {
  m.def(
      "conjugate_gradient",
      [](const py::object& op, const Array<T>& b, const Optional<T>& x0, const CgOptions& options,
         const py::object& preconditioner) {
        check_ndim("b", b, 1);
        const Index n = b.shape(0);
        const T* start = input("x0", x0, n);
        Array<T> x(n);
        if (start) std::copy(start, start + n, x.mutable_data());
        Product<T> precondition;
        if (!preconditioner.is_none()) {
          precondition = [&](Vec<const T> r, Vec<T> z) { call<T>(preconditioner, "preconditioner", r, z); };
        }
        CgReport report{};
        const Vec<const T> rhs{b.data(), n};
        const Vec<T> out{x.mutable_data(), n};
        const auto solve = [&](const Product<T>& multiply) {
          report = conjugate_gradient(multiply, rhs, out, start != nullptr, options, precondition);
        };
        if (py::isinstance<Array<T>>(op)) {
          const auto matrix = py::reinterpret_borrow<Array<T>>(op);
          const Product<T> multiply = matrix_product(input_rows("operator", matrix, n, n));
          std::optional<release_gil> guard;
          if (!precondition) guard.emplace();  // no Python function is called
          solve(multiply);
        } else {
          solve([&](Vec<const T> v, Vec<T> product) { call<T>(op, "operator", v, product); });
        }
        return Solution<T>(x, report);
      },
      py::arg("operator"), py::arg("b").noconvert(), py::arg("x0").noconvert(), py::arg("options"),
      py::arg("preconditioner"));
}

}  // namespace

void bind_cg(py::module_& m) {
  py::class_<CgOptions>(m, "CgOptions")
      .def(py::init([](double rtol, Index max_iter, double damping) {
             return CgOptions{rtol, max_iter, damping};
           }),
           py::arg("rtol"), py::arg("max_iter"), py::arg("damping"));
  py::class_<CgReport>(m, "CgReport")
      .def_property_readonly("status", [](const CgReport& report) { return static_cast<int>(report.status); })
      .def_readonly("iterations", &CgReport::iterations)
      .def_readonly("residual_norm", &CgReport::residual_norm)
      .def_readonly("curvature", &CgReport::curvature)
      .def_readonly("condition", &CgReport::condition);
  bind<float>(m);
  bind<double>(m);
}

}  // namespace pgcore::bindings
