#include "pgcore/value_fit.hpp"

#include "adam_state.hpp"
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
    const auto p = input_vec("theta", theta, num_params());
    const auto y = output_vec("out", out, data.num_rows());
    const release_gil guard;
    fit_.predict(p, data, y);
  }

  // Returns the mean loss.
  double epoch(AdamArrays<T>& adam, const py::array& x, const Scaling& scaling, const Array<T>& targets,
               const Array<std::int64_t>& order, Index batch_size, double max_grad_norm) {
    const Inputs<T> data = inputs<T>("x", x, scaling, fit_.num_inputs());
    const Index rows = data.num_rows();
    const AdamState<T> state = adam.state(num_params());
    const auto y = input_vec("targets", targets, rows);
    check_ndim("order", order, 1);
    const Index count = order.shape(0);
    const auto index = choices("order", order, count, rows);
    checked_batch_size(batch_size);
    const release_gil guard;
    return fit_.epoch(state, data, y, {index.data(), count}, {batch_size, max_grad_norm, adam.options});
  }

 private:
  ValueFit<T> fit_;
};

template <class T>
void bind(py::module_& m) {
  using K = ValueKernels<T>;
  py::class_<K>(classes_of<T>(m), "ValueFit")
      .def(py::init<std::vector<Index>, const std::string&>(), py::arg("sizes"), py::arg("activation"))
      .def_property_readonly("num_params", &K::num_params)
      .def("predict", &K::predict, py::arg("theta").noconvert(), py::arg("x").noconvert(), py::arg("scaling"),
           py::arg("out").noconvert())
      .def("epoch", &K::epoch, py::arg("adam"), py::arg("x").noconvert(), py::arg("scaling"),
           py::arg("targets").noconvert(), py::arg("order").noconvert(), py::arg("batch_size"),
           py::arg("max_grad_norm"));
}

}  // namespace

void bind_value_fit(py::module_& m) {
  bind<float>(m);
  bind<double>(m);
}

}  // namespace pgcore::bindings
