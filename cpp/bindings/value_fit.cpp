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

  void set_input_scaling(const Optional<T>& shift, const Optional<T>& scale, double clip) {
    scaling_ = input_scaling(shift, scale, clip, fit_.num_inputs());
  }

  void predict(const Array<T>& theta, const Array<T>& x, Array<T>& out) {
    const Index rows = rows_of(x);
    const T* p = input("theta", theta, num_params());
    const Inputs<T> data{x.data(), scaling_};  // with the GIL held: no other thread is replacing the scaling
    T* y = output("out", out, rows);
    const release_gil guard;
    fit_.predict(p, rows, data, y);
  }

  // Updates theta, m and v in place; returns (steps taken so far, mean loss).
  std::pair<Index, double> epoch(Array<T>& theta, Array<T>& m, Array<T>& v, Index step, const Array<T>& x,
                                 const Array<T>& targets, const Array<std::int64_t>& order, Index batch_size,
                                 double max_grad_norm, double learning_rate, double beta1, double beta2,
                                 double epsilon) {
    const Index rows = rows_of(x);
    T *p = output("theta", theta, num_params()), *m1 = output("m", m, num_params());
    T* m2 = output("v", v, num_params());
    const T* y = input("targets", targets, rows);
    const Inputs<T> data{x.data(), scaling_};
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
  Index rows_of(const Array<T>& x) const {
    check_ndim("x", x, 2);
    check_shape("x", x, x.shape(0), fit_.num_inputs());
    return x.shape(0);
  }

  ValueFit<T> fit_;
  std::shared_ptr<const InputScaling<T>> scaling_;
};

template <class T>
void bind(py::module_& m, const char* name) {
  using K = ValueKernels<T>;
  py::class_<K>(m, name)
      .def(py::init<std::vector<Index>, const std::string&>(), py::arg("sizes"), py::arg("activation"))
      .def_property_readonly("num_params", &K::num_params)
      .def("set_input_scaling", &K::set_input_scaling, py::arg("shift").noconvert(),
           py::arg("scale").noconvert(), py::arg("clip"))
      .def("predict", &K::predict, py::arg("theta").noconvert(), py::arg("x").noconvert(),
           py::arg("out").noconvert())
      .def("epoch", &K::epoch, py::arg("theta").noconvert(), py::arg("m").noconvert(),
           py::arg("v").noconvert(), py::arg("step"), py::arg("x").noconvert(),
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
