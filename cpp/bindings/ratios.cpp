#include "pgcore/ratios.hpp"

#include "families.hpp"
#include "segments.hpp"

namespace pgcore::bindings {
namespace {

template <class T>
void bind(py::module_& m) {
  m.def(
      "cumulative_log_ratios",
      [](const Array<T>& log_ratios, const Optional<bool>& ends, int direction, Array<T>& out) {
        const TimeShape shape = time_shape("log_ratios", log_ratios);
        const auto l = shape.input("log_ratios", log_ratios);
        const auto e = shape.ends(ends);
        const Rows<T> y = shape.output("out", out);
        const release_gil guard;
        ratios::cumulative_log_ratios(l, e, static_cast<ratios::Direction>(direction), y);
      },
      py::arg("log_ratios").noconvert(), py::arg("ends").noconvert(), py::arg("direction"),
      py::arg("out").noconvert());
  m.def(
      "weighted_reward_to_go",
      [](const Array<T>& rewards, const Array<T>& log_ratios, const Optional<bool>& ends,
         const Optional<T>& bootstrap, double gamma, Array<T>& out) {
        const TimeShape shape = time_shape("rewards", rewards);
        const auto r = shape.input("rewards", rewards), l = shape.input("log_ratios", log_ratios);
        const auto segments = segments_of<T>(ends, bootstrap, shape);
        const Rows<T> y = shape.output("out", out);
        const release_gil guard;
        ratios::weighted_reward_to_go(r, l, segments, {gamma, {}}, y);
      },
      py::arg("rewards").noconvert(), py::arg("log_ratios").noconvert(), py::arg("ends").noconvert(),
      py::arg("bootstrap").noconvert(), py::arg("gamma"), py::arg("out").noconvert());
  m.def(
      "effective_sample_size",
      [](const Array<T>& log_weights, Array<T>& out) {
        const TimeShape shape = time_shape("log_weights", log_weights);
        const auto l = shape.input("log_weights", log_weights);
        const Vec<T> y = output_vec("out", out, shape.columns);
        const release_gil guard;
        ratios::effective_sample_size(l, y);
      },
      py::arg("log_weights").noconvert(), py::arg("out").noconvert());
}

}  // namespace

void bind_ratios(py::module_& m) {
  bind<float>(m);
  bind<double>(m);
}

}  // namespace pgcore::bindings
