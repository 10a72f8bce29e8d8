#include "pgcore/value_fit.hpp"

#include "adam_state.hpp"
#include "checked_indices.hpp"
#include "exact.hpp"
#include "families.hpp"

namespace pgcore::bindings {
namespace {

template <class T>
class ValueKernels {
 public:
  ValueKernels(std::vector<Index> sizes, const std::string& activation)
      : fit_(layer_sizes(std::move(sizes), 1), parse_activation(activation)) {}

  Index num_params() const { return fit_.num_params(); }

  // mean + std·f(x), in double: next to a large mean nothing would be left of what the observation says.
  py::object predict(Exact<T>& call) {
    const auto theta = call.vec(0, num_params());
    const Inputs<T> x = inputs(call, 1, 2, fit_.num_inputs());
    const double mean = call.number(3), std = call.number(4);
    const Index rows = x.num_rows();
    py::object out = call.template result<double>(Shape(rows));
    if (call) {
      double* const values = call.template memory<double>(out);
      const std::unique_ptr<T[]> numbers(new T[static_cast<std::size_t>(rows)]);
      compute(pass_work(rows, num_params()), [&] {
        fit_.predict(theta, x, {numbers.get(), rows});
        for (Index i = 0; i < rows; ++i) values[i] = mean + std * static_cast<double>(numbers[i]);
      });
    }
    return out;
  }

  // Returns the mean loss.
  double epoch(AdamArrays<T>& adam, const py::array& x, const Scaling& scaling, const Array<T>& targets,
               const Array<std::int64_t>& order, Index batch_size, double max_grad_norm) {
    const Inputs<T> data = bindings::inputs<T>("x", x, scaling, fit_.num_inputs());
    const Index rows = data.num_rows();
    const AdamState<T> state = adam.state(num_params());
    const auto y = input_vec("targets", targets, rows);
    check_ndim("order", order, 1);
    const Index count = order.shape(0);
    const CheckedIndices index("order", order.data(), count, rows);
    checked_batch_size(batch_size);
    const release_gil guard;
    return fit_.epoch(state, data, y, index.view(), {batch_size, max_grad_norm, adam.options});
  }

 private:
  ValueFit<T> fit_;
};

template <class T>
void bind(py::module_& m) {
  using K = ValueKernels<T>;
  py::class_<K> c(classes_of<T>(m), "ValueFit");
  c.def(py::init<std::vector<Index>, const std::string&>(), py::arg("sizes"), py::arg("activation"))
      .def_property_readonly("num_params", &K::num_params)
      .def("epoch", &K::epoch, py::arg("adam"), py::arg("x").noconvert(), py::arg("scaling"),
           py::arg("targets").noconvert(), py::arg("order").noconvert(), py::arg("batch_size"),
           py::arg("max_grad_norm"));
  add_method<&K::predict>(c, "predict", "theta, x, scaling, mean, std");
}

}  // namespace

void bind_value_fit(py::module_& m) {
  bind<float>(m);
  bind<double>(m);
}

}  // namespace pgcore::bindings
