// Lists the families; everything else stands in their own files.
#include <pybind11/pybind11.h>

#include "families.hpp"
#include "pgcore/parallel.hpp"

namespace py = pybind11;
using namespace pgcore;

PYBIND11_MODULE(PGCORE_MODULE, m) {
  m.doc() = "The compiled core of pgcore at one instruction-set level; use pgcore.kernels instead.";
  m.def("build", [] {
    py::dict d;
    d["variant"] = PGCORE_LEVEL;
#if defined(__clang__)
    d["compiler"] = std::string("clang ") + __clang_version__;
#elif defined(__GNUC__)
    d["compiler"] = std::string("gcc ") + __VERSION__;
#elif defined(_MSC_VER)
    d["compiler"] = "msvc " + std::to_string(_MSC_VER);
#endif
    d["flags"] = PGCORE_FLAGS;
    d["eigen"] = std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
                 std::to_string(EIGEN_MINOR_VERSION);
    d["eigen_simd"] = Eigen::SimdInstructionSetsInUse();
    return d;
  });
  m.def("get_num_threads", [] { return parallel::Pool::instance().num_threads(); });
  m.def("set_num_threads", [](int n) { parallel::Pool::instance().set_num_threads(n); });

  bindings::bind_scan(m);
  bindings::bind_ratios(m);
  bindings::bind_gaussian(m);
  bindings::bind_categorical(m);
  bindings::bind_mlp(m);
  bindings::bind_cg(m);
  bindings::bind_adam(m);
  bindings::bind_policy(m);
  bindings::bind_value_fit(m);
}
