#include "pgcore/value_fit.hpp"

#include "arrays.hpp"
#include "families.hpp"

namespace pgcore::bindings {
namespace {

template <class T>
class ValueKernels {
 public:
  ValueKernels(std::vector<Index> sizes, const std::string& activation)
      : fit_(layer_sizes(std::move(sizes), 1), parse_activation(activation)) {}

  Index num_params() const { return fit_.num_params(); }

  void predict(const Array<T>& theta, const py::array& x, const Scaling& scaling, Array<T>& out) {
    const Inputs<T> data = inputs<T>("x", x, scaling, fit_.num_inputs());
    const Index rows = x.shape(0);
    const T* p = input("theta", theta, num_params());
    T* y = output("out", out, rows);
    const release_gil guard;
    fit_.predict(p, rows, data, y);
  }

  // Updates theta, m and v in place; returns (steps taken so far, mean loss).
  std::pair<Index, double> epoch(Array<T>& theta, Array<T>& m, Array<T>& v, Index step, const py::array& x,
                                 const Scaling& scaling, const Array<T>& targets,
                                 const Array<std::int64_t>& order, Index batch_size, double max_grad_norm,
                                 double learning_rate, double beta1, double beta2, double epsilon) {
    const Inputs<T> data = inputs<T>("x", x, scaling, fit_.num_inputs());
    const Index rows = x.shape(0);
    T *p = output("theta", theta, num_params()), *m1 = output("m", m, num_params());
    T* m2 = output("v", v, num_params());
    const T* y = input("targets", targets, rows);
    check_ndim("order", order, 1);
    const Index count = order.shape(0);
    const auto index = choices("order", order, count, rows);
    if (batch_size < 1)
      throw py::value_error("batch_size: expected at least 1, got " + std::to_string(batch_size));
    const release_gil guard;
    const double loss = fit_.epoch(p, m1, m2, step, data, y, count, index.data(), batch_size, max_grad_norm,
                                   {learning_rate, beta1, beta2, epsilon});
    return {step, loss};
  }

 private:
  ValueFit<T> fit_;
};

template <class T>
void bind(py::module_& m, const char* name) {
  using K = ValueKernels<T>;
  py::class_<K>(m, name)
      .def(py::init<std::vector<Index>, const std::string&>(), py::arg("sizes"), py::arg("activation"))
      .def_property_readonly("num_params", &K::num_params)
      .def("predict", &K::predict, py::arg("theta").noconvert(), py::arg("x").noconvert(), py::arg("scaling"),
           py::arg("out").noconvert())
      .def("epoch", &K::epoch, py::arg("theta").noconvert(), py::arg("m").noconvert(),
           py::arg("v").noconvert(), py::arg("step"), py::arg("x").noconvert(), py::arg("scaling"),
           py::arg("targets").noconvert(), py::arg("order").noconvert(), py::arg("batch_size"),
           py::arg("max_grad_norm"), py::arg("learning_rate"), py::arg("beta1"), py::arg("beta2"),
           py::arg("epsilon"));
}

}  // namespace

void bind_value_fit(py::module_& m) {
  bind<float>(m, "ValueFit_float32");
  bind<double>(m, "ValueFit_float64");
}

}  // namespace pgcore::bindings
