#include "pgcore/fisher.hpp"

#include "families.hpp"
#include "pgcore/kronecker.hpp"
#include "policy_kernels.hpp"
#include "python_product.hpp"

namespace pgcore::bindings {
namespace {

template <class T>
class FisherKernels {
 public:
  // No actions make the exact form. The object keeps `obs` alive where it may have to read it again.
  template <class A>
  FisherKernels(const PolicyKernels<T>& policy, const Array<T>& theta, const py::array& obs,
                const Scaling& scaling, const std::optional<A>& actions, double max_cache_bytes)
      : obs_(obs), fisher_(make(policy, theta, obs, scaling, actions, max_cache_bytes)) {}

  Index num_params() const { return fisher_.num_params(); }
  Index num_free() const { return fisher_.num_free(); }
  Index num_rows() const { return fisher_.num_rows(); }
  Index num_roots() const { return fisher_.num_roots(); }
  std::vector<Index> layer_sizes() const { return fisher_.layer_sizes(); }
  bool cached() const { return fisher_.cached(); }

  // (F + damping·I) v.
  py::object multiply(Exact<T>& call) {
    const auto v = call.vec(0, num_params());
    const double damping = call.number(1);
    py::object out = call.result(Shape(num_params()));
    if (call) {
      const Vec<T> y{call.memory(out), num_params()};
      compute(pass_work(num_rows(), num_params()), [&] {
        fisher_.multiply(v, y);
        if (damping == 0) return;
        const T scale = static_cast<T>(damping);
        for (Index i = 0; i < y.size(); ++i) y[i] += scale * v[i];
      });
    }
    return out;
  }
  void diagonal(Array<T>& out) {
    const auto y = output_vec("out", out, num_params());
    const release_gil guard;
    fisher_.diagonal(y);
  }
  void free_block(Array<T>& out) {
    const auto y = output_rows("out", out, num_free(), num_free());
    const release_gil guard;
    fisher_.free_block(y);
  }
  void factors(std::vector<Array<T>> hidden, std::vector<Array<T>> delta, Array<T>& free_params) {
    const auto sizes = layer_sizes();
    check_count("hidden", hidden.size(), sizes.size() - 1);
    check_count("delta", delta.size(), sizes.size() - 1);
    std::vector<Rows<T>> h, d;
    for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
      h.push_back(output_rows("hidden", hidden.at(l), num_rows(), sizes[l]));
      d.push_back(output_rows("delta", delta.at(l), num_rows() * num_roots(), sizes[l + 1]));
    }
    const auto e = output_rows("free_params", free_params, num_rows(), num_free());
    const release_gil guard;
    fisher_.factors(h, d, e);
  }
  void kronecker_factors(std::vector<Array<T>> inputs, std::vector<Array<T>> outputs) {
    const auto sizes = layer_sizes();
    check_count("inputs", inputs.size(), sizes.size() - 1);
    check_count("outputs", outputs.size(), sizes.size() - 1);
    std::vector<Rows<T>> a, g;
    for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
      a.push_back(output_rows("inputs", inputs.at(l), sizes[l] + 1, sizes[l] + 1));
      g.push_back(output_rows("outputs", outputs.at(l), sizes[l + 1], sizes[l + 1]));
    }
    const release_gil guard;
    fisher_.kronecker_factors(a, g);
  }

  // `preconditioner` is None, a vector of the inverse's diagonal, a KroneckerInverse or a function;
  // `callback` None or a function.
  py::object solve(const Array<T>& b, const Optional<T>& x0, std::pair<double, double> tolerances,
                   Index max_iter, double damping, const py::object& preconditioner,
                   const py::object& callback) {
    const Index n = num_params();
    const auto rhs = input_vec("b", b, n);
    const T* start = input("x0", x0, n);
    Array<T> x(n);
    const Vec<T> out{x.mutable_data(), n};
    if (start) std::copy_n(start, n, out.data());
    Product<T> precondition;
    bool calls_python = !callback.is_none();
    if (py::isinstance<Array<T>>(preconditioner)) {
      const auto inverse = input_vec("preconditioner", py::reinterpret_borrow<Array<T>>(preconditioner), n);
      precondition = [=](Vec<const T> r, Vec<T> z) {
        for (Index i = 0; i < n; ++i) z[i] = inverse[i] * r[i];
      };
    } else if (py::isinstance<KroneckerInverse<T>>(preconditioner)) {
      const auto& inverse = preconditioner.cast<const KroneckerInverse<T>&>();
      if (inverse.size() != n) {
        throw py::value_error("preconditioner: expected size " + std::to_string(n) + ", got " +
                              std::to_string(inverse.size()));
      }
      precondition = [&inverse](Vec<const T> r, Vec<T> z) { inverse.multiply(r, z); };
    } else if (!preconditioner.is_none()) {
      calls_python = true;
      precondition = [&](Vec<const T> r, Vec<T> z) { call<T>(preconditioner, "preconditioner", r, z); };
    }
    const Product<T> multiply = [this](Vec<const T> v, Vec<T> product) { fisher_.multiply(v, product); };
    const CgObserver<T> observe = observer<T>(callback);
    std::optional<release_gil> guard;
    if (!calls_python) guard.emplace();
    const CgReport report =
        conjugate_gradient(multiply, rhs, out, start != nullptr,
                           {tolerances.first, tolerances.second, max_iter, damping}, precondition, observe);
    guard.reset();
    return solution(x, report);
  }

 private:
  static void check_count(const char* name, std::size_t count, std::size_t layers) {
    if (count != layers) {
      throw py::value_error(std::string(name) + ": expected an array for each of " + std::to_string(layers) +
                            " layers, got " + std::to_string(count));
    }
  }
  template <class A>
  static Fisher<T> make(const PolicyKernels<T>& policy, const Array<T>& theta, const py::array& obs,
                        const Scaling& scaling, const std::optional<A>& actions, double max_cache_bytes) {
    const auto [p, x] = policy.arguments(theta, obs, scaling);
    positive("obs", {x.num_rows()});
    if (!actions) return made(policy, p, x, {}, max_cache_bytes);
    return made(policy, p, x, policy.view(*actions, x.num_rows()), max_cache_bytes);
  }

  static Fisher<T> made(const PolicyKernels<T>& policy, Vec<const T> params, const Inputs<T>& x,
                        Actions<const T> actions, double max_cache_bytes) {
    const release_gil guard;
    return Fisher<T>(policy.policy(), params, x, actions, max_cache_bytes);
  }

  py::array obs_;
  Fisher<T> fisher_;
};

template <class T>
void bind(py::module_& m) {
  using K = FisherKernels<T>;
  using Reals = Array<T>;
  using Choices = Array<std::int64_t>;
  const auto constructor = [](auto actions_type, auto& c) {
    using A = decltype(actions_type);
    c.def(py::init<const PolicyKernels<T>&, const Reals&, const py::array&, const Scaling&,
                   const std::optional<A>&, double>(),
          py::keep_alive<1, 2>(), py::arg("policy"), py::arg("params").noconvert(),
          py::arg("obs").noconvert(), py::arg("scaling"), py::arg("actions").noconvert(),
          py::arg("max_cache_bytes"));
  };
  py::class_<K> c(classes_of<T>(m), "Fisher");
  constructor(Reals{}, c);
  constructor(Choices{}, c);
  c.def_property_readonly("cached", &K::cached)
      .def_property_readonly("num_free", &K::num_free)
      .def_property_readonly("num_rows", &K::num_rows)
      .def_property_readonly("num_roots", &K::num_roots)
      .def_property_readonly("layer_sizes", &K::layer_sizes)
      .def("diagonal", &K::diagonal, py::arg("out").noconvert())
      .def("free_block", &K::free_block, py::arg("out").noconvert())
      .def("factors", &K::factors, py::arg("hidden"), py::arg("delta"), py::arg("free_params").noconvert())
      .def("kronecker_factors", &K::kronecker_factors, py::arg("inputs"), py::arg("outputs"))
      .def("solve", &K::solve, py::arg("b").noconvert(), py::arg("x0").noconvert(), py::arg("tolerances"),
           py::arg("max_iter"), py::arg("damping"), py::arg("preconditioner"), py::arg("callback"));
  add_method<&K::multiply>(c, "multiply", "v, damping");
}

}  // namespace

void bind_fisher(py::module_& m) {
  bind<float>(m);
  bind<double>(m);
}

}  // namespace pgcore::bindings
