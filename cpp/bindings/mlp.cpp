#include "pgcore/mlp.hpp"

#include "arrays.hpp"
#include "families.hpp"
#include "pgcore/batch_pass.hpp"

namespace pgcore::bindings {
namespace {

template <class T>
class MlpKernels {
 public:
  MlpKernels(std::vector<Index> sizes, const std::string& activation)
      : net_(std::move(sizes), parse_activation(activation)), pass_(net_, net_.num_params()) {}

  Index num_params() const { return net_.num_params(); }

  void forward(const Array<T>& theta, const Array<T>& x, Array<T>& out) {
    const Index rows = rows_of(x);
    const T* parameters = input("theta", theta, net_.num_params());
    T* y = output("out", out, rows, net_.num_outputs());
    const T* data = x.data();
    const release_gil guard;
    pass_.for_rows(rows, net_.flops(1), [&](Index first, Index count, Block& block) {
      run(parameters, data, first, count, block);
      std::copy_n(block.hidden.back(), count * net_.num_outputs(), y + first * net_.num_outputs());
    });
  }

  void vjp(const Array<T>& theta, const Array<T>& x, const Array<T>& cotangent, Array<T>& out) {
    const Index rows = rows_of(x), width = net_.num_outputs();
    const T* parameters = input("theta", theta, net_.num_params());
    const T* c = input("cotangent", cotangent, rows, width);
    T* gradient = output("out", out, net_.num_params());
    const T* data = x.data();
    const release_gil guard;
    pass_.sum_rows(rows, 3 * net_.flops(1), gradient, [&](Index first, Index count, Block& block, T* sum) {
      run_back(parameters, data, c, first, count, block);
      net_.add_gradient(count, block, sum);
    });
  }

  void jvp(const Array<T>& theta, const Array<T>& x, const Array<T>& tangent, Array<T>& out) {
    const Index rows = rows_of(x), width = net_.num_outputs();
    const T* parameters = input("theta", theta, net_.num_params());
    const T* direction = input("tangent", tangent, net_.num_params());
    T* y = output("out", out, rows, width);
    const T* data = x.data();
    const release_gil guard;
    pass_.for_rows(rows, 3 * net_.flops(1), [&](Index first, Index count, Block& block) {
      run(parameters, data, first, count, block);
      net_.tangent(parameters, direction, count, block);
      std::copy_n(block.delta.back(), count * width, y + first * width);
    });
  }

  void per_sample_vjp(const Array<T>& theta, const Array<T>& x, const Array<T>& cotangent, Array<T>& out) {
    const Index rows = rows_of(x);
    const T* parameters = input("theta", theta, net_.num_params());
    const T* c = input("cotangent", cotangent, rows, net_.num_outputs());
    T* gradients = output("out", out, rows, net_.num_params());
    const T* data = x.data();
    const release_gil guard;
    pass_.for_rows(rows, 3 * net_.flops(1), [&](Index first, Index count, Block& block) {
      run_back(parameters, data, c, first, count, block);
      for (Index r = 0; r < count; ++r)
        net_.row_gradient(r, block, gradients + (first + r) * net_.num_params());
    });
  }

 private:
  using Block = typename Mlp<T>::Block;

  Index rows_of(const Array<T>& x) const {
    check_ndim("x", x, 2);
    check_shape("x", x, x.shape(0), net_.num_inputs());
    return x.shape(0);
  }
  void run(const T* theta, const T* x, Index first, Index count, Block& block) const {
    net_.load(x + first * net_.num_inputs(), count, {}, block);
    net_.forward(theta, count, block);
  }
  void run_back(const T* theta, const T* x, const T* cotangent, Index first, Index count,
                Block& block) const {
    run(theta, x, first, count, block);
    std::copy_n(cotangent + first * net_.num_outputs(), count * net_.num_outputs(), block.delta.back());
    net_.backward(theta, count, block);
  }

  Mlp<T> net_;
  BatchPass<T> pass_;
};

template <class T>
void bind(py::module_& m, const char* name) {
  using Kernels = MlpKernels<T>;
  py::class_<Kernels>(m, name)
      .def(py::init<std::vector<Index>, const std::string&>(), py::arg("sizes"), py::arg("activation"))
      .def_property_readonly("num_params", &Kernels::num_params)
      .def("forward", &Kernels::forward, py::arg("theta").noconvert(), py::arg("x").noconvert(),
           py::arg("out").noconvert())
      .def("vjp", &Kernels::vjp, py::arg("theta").noconvert(), py::arg("x").noconvert(),
           py::arg("cotangent").noconvert(), py::arg("out").noconvert())
      .def("jvp", &Kernels::jvp, py::arg("theta").noconvert(), py::arg("x").noconvert(),
           py::arg("tangent").noconvert(), py::arg("out").noconvert())
      .def("per_sample_vjp", &Kernels::per_sample_vjp, py::arg("theta").noconvert(), py::arg("x").noconvert(),
           py::arg("cotangent").noconvert(), py::arg("out").noconvert());
}

}  // namespace

void bind_mlp(py::module_& m) {
  bind<float>(m, "MLP_float32");
  bind<double>(m, "MLP_float64");
}

}  // namespace pgcore::bindings
