#include "pgcore/surrogate_ascent.hpp"

#include "families.hpp"
#include "policy_kernels.hpp"

namespace pgcore::bindings {
namespace {

template <class T>
class SurrogateAscentKernels {
 public:
  explicit SurrogateAscentKernels(const PolicyKernels<T>& policy) : policy_(policy), fit_(policy.policy()) {}

  // Updates theta, m and v in place; returns (steps taken so far, the report as a dictionary).
  template <class A>
  py::tuple epoch(Array<T>& theta, Array<T>& m, Array<T>& v, Index step, const py::array& obs,
                  const Scaling& scaling, const A& actions, const Array<double>& advantages,
                  const Array<T>& log_probs_old, const Array<std::int64_t>& order, Index batch_size,
                  double clip_range, double entropy_coef, double kl_coef, double max_grad_norm, double max_kl,
                  bool normalize_advantage, double rounding, double learning_rate, double beta1, double beta2,
                  double epsilon) {
    const Inputs<T> x = policy_.inputs(obs, scaling);
    const Index rows = obs.shape(0), P = policy_.num_params();
    T *p = output("theta", theta, P), *m1 = output("m", m, P), *m2 = output("v", v, P);
    const CheckedActions<T> a = policy_.view(actions, rows);
    const double* advantage = input("advantages", advantages, rows);
    const T* old = input("log_probs_old", log_probs_old, rows);
    check_ndim("order", order, 1);
    const Index count = order.shape(0);
    const auto index = choices("order", order, count, rows);
    if (batch_size < 1) {
      throw py::value_error("batch_size: expected at least 1, got " + std::to_string(batch_size));
    }
    SurrogateReport report;
    {
      const release_gil guard;
      report = fit_.epoch(
          p, m1, m2, step, x, a, advantage, old, count, index.data(), batch_size,
          {clip_range, entropy_coef, kl_coef, max_grad_norm, max_kl, normalize_advantage, rounding},
          {learning_rate, beta1, beta2, epsilon});
    }
    py::dict d;
    d["minibatches"] = report.minibatches;
    d["stopped"] = report.stopped;
    d["finite"] = report.finite;
    d["surrogate"] = report.surrogate;
    d["entropy"] = report.entropy;
    d["approx_kl"] = report.approx_kl;
    d["clip_fraction"] = report.clip_fraction;
    d["gradient_norm"] = report.gradient_norm;
    return py::make_tuple(step, d);
  }

 private:
  const PolicyKernels<T>& policy_;
  SurrogateAscent<T> fit_;
};

template <class T, class A>
void bind_epoch(py::class_<SurrogateAscentKernels<T>>& c) {
  c.def("epoch", &SurrogateAscentKernels<T>::template epoch<A>, py::arg("theta").noconvert(),
        py::arg("m").noconvert(), py::arg("v").noconvert(), py::arg("step"), py::arg("obs").noconvert(),
        py::arg("scaling"), py::arg("actions").noconvert(), py::arg("advantages").noconvert(),
        py::arg("log_probs_old").noconvert(), py::arg("order").noconvert(), py::arg("batch_size"),
        py::arg("clip_range"), py::arg("entropy_coef"), py::arg("kl_coef"), py::arg("max_grad_norm"),
        py::arg("max_kl"), py::arg("normalize_advantage"), py::arg("rounding"), py::arg("learning_rate"),
        py::arg("beta1"), py::arg("beta2"), py::arg("epsilon"));
}

template <class T>
void bind(py::module_& m, const char* name) {
  py::class_<SurrogateAscentKernels<T>> c(m, name);
  c.def(py::init<const PolicyKernels<T>&>(), py::keep_alive<1, 2>(), py::arg("policy"));
  bind_epoch<T, Array<T>>(c);
  bind_epoch<T, Array<std::int64_t>>(c);
}

}  // namespace

void bind_surrogate_ascent(py::module_& m) {
  bind<float>(m, "SurrogateAscent_float32");
  bind<double>(m, "SurrogateAscent_float64");
}

}  // namespace pgcore::bindings
