#include "pgcore/mlp.hpp"

#include "arrays.hpp"
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

  void forward(const Array<T>& theta, const Array<T>& x, Array<T>& out) {
    const Index rows = rows_of(x);
    const T *p = input("theta", theta, num_params()), *data = x.data();
    T* y = output("out", out, rows, mlp_.num_outputs());
    const release_gil guard;
    mlp_.forward({p, num_params()}, {data, rows, mlp_.num_inputs()}, {y, rows, mlp_.num_outputs()});
  }
  void vjp(const Array<T>& theta, const Array<T>& x, const Array<T>& cotangent, Array<T>& out) {
    const Index rows = rows_of(x);
    const T *p = input("theta", theta, num_params()), *data = x.data();
    const T* c = input("cotangent", cotangent, rows, mlp_.num_outputs());
    T* gradient = output("out", out, num_params());
    const release_gil guard;
    mlp_.vjp({p, num_params()}, {data, rows, mlp_.num_inputs()}, {c, rows, mlp_.num_outputs()},
             {gradient, num_params()});
  }
  void jvp(const Array<T>& theta, const Array<T>& x, const Array<T>& tangent, Array<T>& out) {
    const Index rows = rows_of(x);
    const T *p = input("theta", theta, num_params()), *data = x.data();
    const T* direction = input("tangent", tangent, num_params());
    T* y = output("out", out, rows, mlp_.num_outputs());
    const release_gil guard;
    mlp_.jvp({p, num_params()}, {data, rows, mlp_.num_inputs()}, {direction, num_params()},
             {y, rows, mlp_.num_outputs()});
  }
  void per_sample_vjp(const Array<T>& theta, const Array<T>& x, const Array<T>& cotangent, Array<T>& out) {
    const Index rows = rows_of(x);
    const T *p = input("theta", theta, num_params()), *data = x.data();
    const T* c = input("cotangent", cotangent, rows, mlp_.num_outputs());
    T* gradients = output("out", out, rows, num_params());
    const release_gil guard;
    mlp_.per_sample_vjp({p, num_params()}, {data, rows, mlp_.num_inputs()}, {c, rows, mlp_.num_outputs()},
                        {gradients, rows, num_params()});
  }

 private:
  Index rows_of(const Array<T>& x) const {
    check_ndim("x", x, 2);
    check_shape("x", x, x.shape(0), mlp_.num_inputs());
    return x.shape(0);
  }

  Mlp<T> mlp_;
};

template <class T>
void bind(py::module_& m) {
  using K = MlpKernels<T>;
  py::class_<K>(classes_of<T>(m), "MLP")
      .def(py::init<std::vector<Index>, const std::string&>(), py::arg("sizes"), py::arg("activation"))
      .def_property_readonly("num_params", &K::num_params)
      .def("forward", &K::forward, py::arg("theta").noconvert(), py::arg("x").noconvert(),
           py::arg("out").noconvert())
      .def("vjp", &K::vjp, py::arg("theta").noconvert(), py::arg("x").noconvert(),
           py::arg("cotangent").noconvert(), py::arg("out").noconvert())
      .def("jvp", &K::jvp, py::arg("theta").noconvert(), py::arg("x").noconvert(),
           py::arg("tangent").noconvert(), py::arg("out").noconvert())
      .def("per_sample_vjp", &K::per_sample_vjp, py::arg("theta").noconvert(), py::arg("x").noconvert(),
           py::arg("cotangent").noconvert(), py::arg("out").noconvert());
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
