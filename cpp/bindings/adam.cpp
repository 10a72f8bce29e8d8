#include "pgcore/adam.hpp"

#include "adam_state.hpp"
#include "exact.hpp"
#include "families.hpp"

namespace pgcore::bindings {
namespace {

// θ and the moments change in place. Returns true: there is nothing else to return.
struct AdamStep {
  static constexpr auto name = "adam_step", arguments = "theta, grad, m, v, step, options";

  template <class T>
  static py::object call(Exact<T>& call) {
    const Index P = call.shape(0, 1, 1).length[0];
    const auto gradient = call.vec(1, P);
    const auto theta = call.changed(0, P), m = call.changed(2, P), v = call.changed(3, P);
    const Index step = call.integer(4, 1);
    call.unfold(5, 4);
    constexpr int k = Exact<T>::unfolded;
    const AdamOptions options{call.number(k), call.number(k + 1), call.number(k + 2), call.number(k + 3)};
    for (const double rate : {options.beta1, options.beta2}) call.require(0 <= rate && rate < 1);
    call.require(options.epsilon >= 0);
    if (call) compute(P, [&] { adam_step<T>(theta, gradient, m, v, step, options); });
    return py::bool_(true);
  }
};

template <class T>
void bind(py::module_& m) {
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
  add_kernel<AdamStep>(m);
  bind<float>(m);
  bind<double>(m);
}

}  // namespace pgcore::bindings
