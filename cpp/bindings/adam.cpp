#include "pgcore/adam.hpp"

#include "adam_state.hpp"
#include "families.hpp"

namespace pgcore::bindings {
namespace {

template <class T>
void refuse_overlap(Index n, std::initializer_list<std::pair<const char*, const T*>> arrays) {
  const auto size = static_cast<std::uintptr_t>(n) * sizeof(T);
  for (auto a = arrays.begin(); a != arrays.end(); ++a) {
    for (auto b = a + 1; b != arrays.end(); ++b) {
      const auto p = reinterpret_cast<std::uintptr_t>(a->second);
      const auto q = reinterpret_cast<std::uintptr_t>(b->second);
      if ((p < q ? q - p : p - q) < size) {
        throw py::value_error(std::string(b->first) + ": expected memory of its own, got that of " +
                              a->first);
      }
    }
  }
}

template <class T>
void bind(py::module_& m) {
  m.def(
      "adam_step",
      [](Array<T>& theta, const Array<T>& gradient, Array<T>& first, Array<T>& second, Index step,
         const AdamOptions& options) {
        check_ndim("theta", theta, 1);
        const Index n = theta.shape(0);
        const T* g = input("gradient", gradient, n);
        T *x = output("theta", theta, n), *m1 = output("m", first, n), *m2 = output("v", second, n);
        refuse_overlap<T>(n, {{"theta", x}, {"m", m1}, {"v", m2}});
        const release_gil guard;
        adam_step<T>({x, n}, {g, n}, {m1, n}, {m2, n}, step, options);
      },
      py::arg("theta").noconvert(), py::arg("grad").noconvert(), py::arg("m").noconvert(),
      py::arg("v").noconvert(), py::arg("step"), py::arg("options"));
  py::class_<AdamArrays<T>>(classes_of<T>(m), "AdamState")
      .def(py::init(
               [](const Array<T>& theta, const Array<T>& first, const Array<T>& second, Index step,
                  const AdamOptions& options) { return AdamArrays<T>{theta, first, second, step, options}; }),
           py::arg("theta").noconvert(), py::arg("m").noconvert(), py::arg("v").noconvert(), py::arg("step"),
           py::arg("options"))
      .def_readonly("step", &AdamArrays<T>::step);
}

}  // namespace

void bind_adam(py::module_& m) {
  py::class_<AdamOptions>(m, "AdamOptions")
      .def(py::init([](double learning_rate, double beta1, double beta2, double epsilon) {
             return AdamOptions{learning_rate, beta1, beta2, epsilon};
           }),
           py::arg("learning_rate"), py::arg("beta1"), py::arg("beta2"), py::arg("epsilon"));
  bind<float>(m);
  bind<double>(m);
}

}  // namespace pgcore::bindings
