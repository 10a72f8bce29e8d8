// Lists the families; everything else is in their own files.
#include <pybind11/pybind11.h>

#include "families.hpp"
#include "pgcore/build.hpp"
#include "pgcore/parallel.hpp"

namespace py = pybind11;
using namespace pgcore;

namespace {

void bind(py::module_& m) {
  m.doc() = "The compiled core of pgcore at one instruction-set level; use pgcore.kernels instead.";
  py::class_<Build>(m, "Build")
      .def_readonly("variant", &Build::level)
      .def_readonly("compiler", &Build::compiler)
      .def_readonly("flags", &Build::flags)
      .def_readonly("eigen", &Build::eigen)
      .def_readonly("eigen_simd", &Build::eigen_simd);
  m.def("build", &build);
  m.def("get_num_threads", [] { return parallel::num_threads(); });
  m.def("set_num_threads", [](int n) { parallel::set_num_threads(n); }, py::arg("num_threads"));

  bindings::bind_scan(m);
  bindings::bind_ratios(m);
  bindings::bind_gaussian(m);
  bindings::bind_categorical(m);
  bindings::bind_mlp(m);
  bindings::bind_cg(m);
  bindings::bind_adam(m);
  bindings::bind_inputs(m);
  bindings::bind_policy(m);
  bindings::bind_surrogate_ascent(m);
  bindings::bind_value_fit(m);
  bindings::bind_kronecker(m);
  bindings::bind_fisher(m);
}

}  // namespace

// Bindings are compiled once for the modules of all levels, so each module has every entry point: Python asks
// for that of the file's name.
PYBIND11_MODULE(_core_base, m) {
  bind(m);
}
PYBIND11_MODULE(_core_v2, m) {
  bind(m);
}
PYBIND11_MODULE(_core_v3, m) {
  bind(m);
}
PYBIND11_MODULE(_core_v4, m) {
  bind(m);
}
