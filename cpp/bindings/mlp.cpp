#include "pgcore/mlp.hpp"

#include "exact.hpp"
#include "families.hpp"
#include "pgcore/orthogonal.hpp"

namespace pgcore::bindings {
namespace {

template <class T>
class MlpKernels {
 public:
  MlpKernels(std::vector<Index> sizes, const std::string& activation)
      : mlp_(layer_sizes(std::move(sizes)), parse_activation(activation)) {}

  Index num_params() const { return mlp_.num_params(); }

  py::object forward(Exact<T>& call) {
    const auto theta = call.vec(0, num_params());
    const auto x = inputs(call);
    py::object out = call.result(2, outputs(x));
    if (call) {
      const Rows<T> y{call.memory(out), x.num_rows(), mlp_.num_outputs()};
      compute(work(x), [&] { mlp_.forward(theta, x, y); });
    }
    return out;
  }
  py::object vjp(Exact<T>& call) {
    const auto theta = call.vec(0, num_params());
    const auto x = inputs(call);
    const auto cotangent = call.rows(2, outputs(x));
    py::object out = call.result(3, Shape(num_params()));
    if (call) {
      const Vec<T> gradient{call.memory(out), num_params()};
      compute(work(x), [&] { mlp_.vjp(theta, x, cotangent, gradient); });
    }
    return out;
  }
  py::object jvp(Exact<T>& call) {
    const auto theta = call.vec(0, num_params());
    const auto x = inputs(call);
    const auto tangent = call.vec(2, num_params());
    py::object out = call.result(3, outputs(x));
    if (call) {
      const Rows<T> y{call.memory(out), x.num_rows(), mlp_.num_outputs()};
      compute(work(x), [&] { mlp_.jvp(theta, x, tangent, y); });
    }
    return out;
  }
  py::object per_sample_vjp(Exact<T>& call) {
    const auto theta = call.vec(0, num_params());
    const auto x = inputs(call);
    const auto cotangent = call.rows(2, outputs(x));
    py::object out = call.result(3, Shape(x.num_rows(), num_params()));
    if (call) {
      const Rows<T> gradients{call.memory(out), x.num_rows(), num_params()};
      compute(work(x), [&] { mlp_.per_sample_vjp(theta, x, cotangent, gradients); });
    }
    return out;
  }

 private:
  Rows<const T> inputs(Exact<T>& call) const {
    return call.rows(1, Shape(call.shape(1, 2, 2).length[0], mlp_.num_inputs()));
  }
  Shape outputs(Rows<const T> x) const { return Shape(x.num_rows(), mlp_.num_outputs()); }
  Index work(Rows<const T> x) const { return pass_work(x.num_rows(), num_params()); }

  Mlp<T> mlp_;
};

template <class T>
void bind(py::module_& m) {
  using K = MlpKernels<T>;
  py::class_<K> c(classes_of<T>(m), "MLP");
  c.def(py::init<std::vector<Index>, const std::string&>(), py::arg("sizes"), py::arg("activation"))
      .def_property_readonly("num_params", &K::num_params);
  add_method<&K::forward>(c, "forward", "theta, x, out");
  add_method<&K::vjp>(c, "vjp", "theta, x, cotangent, out");
  add_method<&K::jvp>(c, "jvp", "theta, x, tangent, out");
  add_method<&K::per_sample_vjp>(c, "per_sample_vjp", "theta, x, cotangent, out");
}

}  // namespace

void bind_mlp(py::module_& m) {
  m.def(
      "orthonormalize",
      [](Array<double>& rows) {
        check_ndim("rows", rows, 2);
        const Index count = rows.shape(0), length = rows.shape(1);
        if (count > length) {
          throw py::value_error("rows: expected no more rows than columns, got shape " +
                                shape_text(static_cast<const py::array&>(rows)));
        }
        double* data = output("rows", rows, count, length);
        const release_gil guard;
        orthonormalize({data, count, length});
      },
      py::arg("rows").noconvert());
  bind<float>(m);
  bind<double>(m);
}

}  // namespace pgcore::bindings
