#include "pgcore/inputs.hpp"

#include "arrays.hpp"
#include "families.hpp"

namespace pgcore::bindings {
namespace {

// What a pass in T makes of raw observations.
template <class T>
void normalize(const Scaling& statistics, const py::array& obs, Array<T>& out) {
  const Index width = static_cast<Index>(statistics.cast<const InputScaling&>().shift.size());
  const Inputs<T> x = inputs<T>("obs", obs, statistics, width);
  const Rows<T> y = output_rows("out", out, x.num_rows(), width);
  const release_gil guard;
  x.read(0, y);
}

}  // namespace

void bind_inputs(py::module_& m) {
  py::class_<InputScaling, std::shared_ptr<InputScaling>>(m, "InputScaling")
      .def(py::init([](const Array<double>& shift, const Array<double>& scale, double clip) {
             check_ndim("shift", shift, 1);
             const Index width = shift.shape(0);
             const double *s = shift.data(), *f = input("scale", scale, width);
             return std::make_shared<InputScaling>(InputScaling{{s, s + width}, {f, f + width}, clip});
           }),
           py::arg("shift").noconvert(), py::arg("scale").noconvert(), py::arg("clip"))
      .def("normalize", &normalize<float>, py::arg("obs").noconvert(), py::arg("out").noconvert())
      .def("normalize", &normalize<double>, py::arg("obs").noconvert(), py::arg("out").noconvert());
}

}  // namespace pgcore::bindings
