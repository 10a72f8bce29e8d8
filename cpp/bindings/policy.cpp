#include "pgcore/policy.hpp"

#include "actor.hpp"
#include "families.hpp"

namespace pgcore::bindings {
namespace {

template <class T, class A>
void bind_for_actions(py::class_<PolicyKernels<T>>& c) {
  using K = PolicyKernels<T>;
  c.def("log_prob", &K::template log_prob<A>, py::arg("params").noconvert(), py::arg("obs").noconvert(),
        py::arg("scaling"), py::arg("actions").noconvert(), py::arg("out").noconvert())
      .def("sample", &K::template sample<A>, py::arg("params").noconvert(), py::arg("obs").noconvert(),
           py::arg("scaling"), py::arg("noise").noconvert(), py::arg("actions").noconvert(),
           py::arg("log_probs").noconvert())
      .def("mode", &K::template mode<A>, py::arg("params").noconvert(), py::arg("obs").noconvert(),
           py::arg("scaling"), py::arg("actions").noconvert())
      .def("score_product", &K::template score_product<A>, py::arg("params").noconvert(),
           py::arg("obs").noconvert(), py::arg("scaling"), py::arg("actions").noconvert(),
           py::arg("weights").noconvert(), py::arg("out").noconvert())
      .def("scores", &K::template scores<A>, py::arg("params").noconvert(), py::arg("obs").noconvert(),
           py::arg("scaling"), py::arg("actions").noconvert(), py::arg("out").noconvert())
      .def("episode_scores", &K::template episode_scores<A>, py::arg("params").noconvert(),
           py::arg("obs").noconvert(), py::arg("scaling"), py::arg("actions").noconvert(),
           py::arg("weights").noconvert(), py::arg("starts").noconvert(), py::arg("out").noconvert())
      .def("score_sq_norms", &K::template score_sq_norms<A>, py::arg("params").noconvert(),
           py::arg("obs").noconvert(), py::arg("scaling"), py::arg("actions").noconvert(),
           py::arg("out").noconvert());
}

template <class T, class A>
void bind_actor(py::module_& m, const char* name) {
  using K = Actor<T, A>;
  py::class_<K>(m, name)
      .def(py::init<PolicyKernels<T>&, const Array<T>&, const py::array&, const Scaling&, const Array<T>&, A&,
                    Index>(),
           py::arg("policy"), py::arg("params").noconvert(), py::arg("obs").noconvert(), py::arg("scaling"),
           py::arg("noise").noconvert(), py::arg("actions").noconvert(), py::arg("num_envs"),
           py::keep_alive<1, 2>())
      .def("__call__", &K::operator(), py::arg("t"));
}

template <class T>
void bind(py::module_ m) {
  using K = PolicyKernels<T>;
  py::class_<K> c(m, "Policy");
  c.def(py::init<Index, const std::vector<Index>&, const std::string&, const std::string&,
                 const std::vector<Index>&, double, const Optional<double>&>(),
        py::arg("obs_dim"), py::arg("hidden"), py::arg("activation"), py::arg("head"), py::arg("sizes"),
        py::arg("init_log_std") = 0.0, py::arg("fixed_tril").noconvert() = py::none())
      .def_property_readonly("num_params", &K::num_params)
      .def_property_readonly("num_net_params", &K::num_net_params)
      .def("entropy", &K::entropy, py::arg("params").noconvert(), py::arg("obs").noconvert(),
           py::arg("scaling"), py::arg("out").noconvert())
      .def("entropy_gradient", &K::entropy_gradient, py::arg("params").noconvert(),
           py::arg("obs").noconvert(), py::arg("scaling"), py::arg("out").noconvert())
      .def("kl", &K::kl, py::arg("params_old").noconvert(), py::arg("params").noconvert(),
           py::arg("obs").noconvert(), py::arg("scaling"), py::arg("out").noconvert());
  bind_for_actions<T, Array<T>>(c);
  bind_for_actions<T, Array<std::int64_t>>(c);
  bind_actor<T, Array<T>>(m, "RealActor");
  bind_actor<T, Array<std::int64_t>>(m, "ChoiceActor");
}

}  // namespace

void bind_policy(py::module_& m) {
  bind<float>(classes_of<float>(m));
  bind<double>(classes_of<double>(m));
}

}  // namespace pgcore::bindings
