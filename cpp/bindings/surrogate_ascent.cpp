#include "pgcore/surrogate_ascent.hpp"

#include "adam_state.hpp"
#include "checked_indices.hpp"
#include "families.hpp"
#include "policy_kernels.hpp"

namespace pgcore::bindings {
namespace {

template <class T>
class SurrogateAscentKernels {
 public:
  explicit SurrogateAscentKernels(const PolicyKernels<T>& policy) : policy_(policy), fit_(policy.policy()) {}

  template <class A>
  SurrogateReport epoch(AdamArrays<T>& adam, const py::array& obs, const Scaling& scaling, const A& actions,
                        const Array<double>& advantages, const Array<T>& log_probs_old,
                        const Array<std::int64_t>& order, const SurrogateOptions& options) {
    const Inputs<T> x = policy_.inputs(obs, scaling);
    const Index rows = x.num_rows();
    const AdamState<T> state = adam.state(policy_.num_params());
    const auto a = policy_.view(actions, rows);
    const auto advantage = input_vec("advantages", advantages, rows);
    const auto old = input_vec("log_probs_old", log_probs_old, rows);
    check_ndim("order", order, 1);
    const Index count = order.shape(0);
    const CheckedIndices index("order", order.data(), count, rows);
    const release_gil guard;
    return fit_.epoch(state, {x, a, advantage, old}, index.view(), options, adam.options);
  }

 private:
  const PolicyKernels<T>& policy_;
  SurrogateAscent<T> fit_;
};

template <class T, class A>
void bind_epoch(py::class_<SurrogateAscentKernels<T>>& c) {
  c.def("epoch", &SurrogateAscentKernels<T>::template epoch<A>, py::arg("adam"), py::arg("obs").noconvert(),
        py::arg("scaling"), py::arg("actions").noconvert(), py::arg("advantages").noconvert(),
        py::arg("log_probs_old").noconvert(), py::arg("order").noconvert(), py::arg("options"));
}

template <class T>
void bind(py::module_& m) {
  py::class_<SurrogateAscentKernels<T>> c(classes_of<T>(m), "SurrogateAscent");
  c.def(py::init<const PolicyKernels<T>&>(), py::keep_alive<1, 2>(), py::arg("policy"));
  bind_epoch<T, Array<T>>(c);
  bind_epoch<T, Array<std::int64_t>>(c);
}

}  // namespace

void bind_surrogate_ascent(py::module_& m) {
  py::class_<SurrogateOptions>(m, "SurrogateOptions")
      .def(py::init([](Index batch_size, double clip_range, double entropy_coef, double kl_coef,
                       double max_grad_norm, double max_kl, bool normalize_advantage, double rounding) {
             return SurrogateOptions{checked_batch_size(batch_size),
                                     clip_range,
                                     entropy_coef,
                                     kl_coef,
                                     max_grad_norm,
                                     max_kl,
                                     normalize_advantage,
                                     rounding};
           }),
           py::arg("batch_size"), py::arg("clip_range"), py::arg("entropy_coef"), py::arg("kl_coef"),
           py::arg("max_grad_norm"), py::arg("max_kl"), py::arg("normalize_advantage"), py::arg("rounding"));
  py::class_<SurrogateReport>(m, "SurrogateReport")
      .def_readonly("minibatches", &SurrogateReport::minibatches)
      .def_readonly("stopped", &SurrogateReport::stopped)
      .def_readonly("finite", &SurrogateReport::finite)
      .def_readonly("surrogate", &SurrogateReport::surrogate)
      .def_readonly("entropy", &SurrogateReport::entropy)
      .def_readonly("approx_kl", &SurrogateReport::approx_kl)
      .def_readonly("clip_fraction", &SurrogateReport::clip_fraction)
      .def_readonly("gradient_norm", &SurrogateReport::gradient_norm);
  bind<float>(m);
  bind<double>(m);
}

}  // namespace pgcore::bindings
