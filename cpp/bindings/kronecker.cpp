#include "pgcore/kronecker.hpp"

#include "arrays.hpp"
#include "families.hpp"

namespace pgcore::bindings {
namespace {

template <class T>
void bind(py::module_& m) {
  using K = KroneckerInverse<T>;
  py::class_<K>(classes_of<T>(m), "KroneckerInverse")
      .def(py::init<>())
      .def(
          "add_layer",
          [](K& self, const Array<T>& inputs, const Array<T>& outputs, const Array<T>& inverse) {
            check_ndim("inverse", inverse, 2);
            const Index out = inverse.shape(0), width = inverse.shape(1);
            positive("inverse", {out, width});
            const auto of_inputs = input_rows("inputs", inputs, width, width);
            const auto of_outputs = input_rows("outputs", outputs, out, out);
            self.add_layer(of_inputs, of_outputs, {inverse.data(), out, width});
          },
          py::arg("inputs").noconvert(), py::arg("outputs").noconvert(), py::arg("inverse").noconvert())
      .def(
          "set_rest",
          [](K& self, const Array<T>& inverse) {
            check_ndim("inverse", inverse, 2);
            const Index n = inverse.shape(0);
            self.set_rest(input_rows("inverse", inverse, n, n));
          },
          py::arg("inverse").noconvert());
}

}  // namespace

void bind_kronecker(py::module_& m) {
  bind<float>(m);
  bind<double>(m);
}

}  // namespace pgcore::bindings
