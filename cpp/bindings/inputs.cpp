#include "pgcore/inputs.hpp"

#include "arrays.hpp"
#include "families.hpp"

namespace pgcore::bindings {

void bind_inputs(py::module_& m) {
  py::class_<InputScaling, Scaling>(m, "InputScaling")
      .def(py::init([](const Array<double>& shift, const Array<double>& scale, double clip) {
             check_ndim("shift", shift, 1);
             const Index width = shift.shape(0);
             const double *s = shift.data(), *f = input("scale", scale, width);
             return std::make_shared<InputScaling>(InputScaling{{s, s + width}, {f, f + width}, clip});
           }),
           py::arg("shift").noconvert(), py::arg("scale").noconvert(), py::arg("clip"));
}

}  // namespace pgcore::bindings
