#include "pgcore/scan.hpp"

#include "families.hpp"
#include "segments.hpp"

namespace pgcore::bindings {
namespace {

struct VtraceOptions {
  double gamma, rho_clip, c_clip;
};

template <class T>
void bind(py::module_& m) {
  m.def(
      "reward_to_go",
      [](const Array<T>& rewards, const Optional<bool>& ends, const Optional<T>& bootstrap, double gamma,
         Array<T>& out) {
        const TimeShape shape = time_shape("rewards", rewards);
        const auto r = shape.input("rewards", rewards);
        const auto segments = segments_of<T>(ends, bootstrap, shape);
        const Rows<T> y = shape.output("out", out);
        const release_gil guard;
        scan::reward_to_go(r, segments, {gamma, {}}, y);
      },
      py::arg("rewards").noconvert(), py::arg("ends").noconvert(), py::arg("bootstrap").noconvert(),
      py::arg("gamma"), py::arg("out").noconvert());
  m.def(
      "gae",
      [](const Array<T>& rewards, const Array<T>& values, const Optional<bool>& ends,
         const Optional<T>& bootstrap, double gamma, double lam, Array<T>& advantages,
         Array<T>& value_targets) {
        const TimeShape shape = time_shape("rewards", rewards);
        const auto r = shape.input("rewards", rewards), v = shape.input("values", values);
        const auto segments = segments_of<T>(ends, bootstrap, shape);
        const Rows<T> a = shape.output("advantages", advantages),
                      targets = shape.output("value_targets", value_targets);
        const release_gil guard;
        scan::gae(r, v, {}, segments, {gamma, {}}, {lam, {}}, a, targets);
      },
      py::arg("rewards").noconvert(), py::arg("values").noconvert(), py::arg("ends").noconvert(),
      py::arg("bootstrap").noconvert(), py::arg("gamma"), py::arg("lam"), py::arg("advantages").noconvert(),
      py::arg("value_targets").noconvert());
  m.def(
      "vtrace",
      [](const Array<T>& rewards, const Array<T>& values, const Array<T>& log_ratios,
         const Optional<bool>& ends, const Optional<T>& bootstrap, const VtraceOptions& options,
         Array<T>& advantages, Array<T>& value_targets) {
        const TimeShape shape = time_shape("rewards", rewards);
        const auto r = shape.input("rewards", rewards), v = shape.input("values", values);
        const auto ratios = shape.input("log_ratios", log_ratios);
        const auto segments = segments_of<T>(ends, bootstrap, shape);
        const Rows<T> targets = shape.output("value_targets", value_targets),
                      a = shape.output("advantages", advantages);
        const release_gil guard;
        const scan::VtraceOptions<T> all{
            {options.gamma, {}}, {1, {}}, options.rho_clip, options.c_clip, options.rho_clip};
        scan::vtrace(r, v, ratios, {}, segments, all, a, targets);
      },
      py::arg("rewards").noconvert(), py::arg("values").noconvert(), py::arg("log_ratios").noconvert(),
      py::arg("ends").noconvert(), py::arg("bootstrap").noconvert(), py::arg("options"),
      py::arg("advantages").noconvert(), py::arg("value_targets").noconvert());
}

}  // namespace

void bind_scan(py::module_& m) {
  py::class_<VtraceOptions>(m, "VtraceOptions")
      .def(py::init([](double gamma, double rho_clip, double c_clip) {
             return VtraceOptions{gamma, rho_clip, c_clip};
           }),
           py::arg("gamma"), py::arg("rho_clip"), py::arg("c_clip"));
  bind<float>(m);
  bind<double>(m);
}

}  // namespace pgcore::bindings
