#include "pgcore/policy.hpp"

#include "actor.hpp"
#include "families.hpp"

namespace pgcore::bindings {
namespace {

template <class T, class A>
void bind_episode_scores(py::class_<PolicyKernels<T>>& c) {
  c.def("episode_scores", &PolicyKernels<T>::template episode_scores<A>, py::arg("params").noconvert(),
        py::arg("obs").noconvert(), py::arg("scaling"), py::arg("actions").noconvert(),
        py::arg("weights").noconvert(), py::arg("starts").noconvert(), py::arg("out").noconvert());
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
  c.def(py::init<Index, const std::vector<Index>&, const std::string&, Index, const std::string&,
                 const std::vector<Index>&, double, const Optional<double>&>(),
        py::arg("obs_dim"), py::arg("hidden"), py::arg("activation"), py::arg("action_ndim"), py::arg("head"),
        py::arg("sizes"), py::arg("init_log_std") = 0.0, py::arg("fixed_tril").noconvert() = py::none())
      .def_property_readonly("num_params", &K::num_params)
      .def_property_readonly("num_net_params", &K::num_net_params);
  add_method<&K::log_prob>(c, "log_prob", "params, obs, scaling, actions");
  add_method<&K::entropy>(c, "entropy", "params, obs, scaling");
  add_method<&K::entropy_gradient>(c, "entropy_gradient", "params, obs, scaling");
  add_method<&K::kl>(c, "kl", "params, obs, scaling, params_old");
  add_method<&K::score_product>(c, "score_product", "params, obs, scaling, actions, weights");
  add_method<&K::scores>(c, "scores", "params, obs, scaling, actions");
  add_method<&K::score_sq_norms>(c, "score_sq_norms", "params, obs, scaling, actions");
  add_method<&K::act>(c, "act", "params, obs, scaling, noise, out");
  add_method<&K::sample>(c, "sample", "params, obs, scaling, noise");
  add_method<&K::mode>(c, "mode", "params, obs, scaling");
  bind_episode_scores<T, Array<T>>(c);
  bind_episode_scores<T, Array<std::int64_t>>(c);
  bind_actor<T, Array<T>>(m, "RealActor");
  bind_actor<T, Array<std::int64_t>>(m, "ChoiceActor");
}

}  // namespace

void bind_policy(py::module_& m) {
  bind<float>(classes_of<float>(m));
  bind<double>(classes_of<double>(m));
}

}  // namespace pgcore::bindings
