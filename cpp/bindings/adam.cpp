#include "pgcore/adam.hpp"

#include "arrays.hpp"
#include "families.hpp"

namespace pgcore::bindings {
namespace {

template <class T>
void bind(py::module_& m) {
  m.def(
      "adam_step",
      [](Array<T>& theta, const Array<T>& gradient, Array<T>& first, Array<T>& second, Index step,
         double learning_rate, double beta1, double beta2, double epsilon) {
        check_ndim("theta", theta, 1);
        const Index n = theta.shape(0);
        const T* g = input("gradient", gradient, n);
        T *x = output("theta", theta, n), *m1 = output("m", first, n), *m2 = output("v", second, n);
        const release_gil guard;
        adam_step(n, x, g, m1, m2, step, {learning_rate, beta1, beta2, epsilon});
      },
      py::arg("theta").noconvert(), py::arg("grad").noconvert(), py::arg("m").noconvert(),
      py::arg("v").noconvert(), py::arg("step"), py::arg("learning_rate"), py::arg("beta1"), py::arg("beta2"),
      py::arg("epsilon"));
}

}  // namespace

void bind_adam(py::module_& m) {
  bind<float>(m);
  bind<double>(m);
}

}  // namespace pgcore::bindings
