#include "pgcore/categorical.hpp"

#include "arrays.hpp"
#include "families.hpp"

namespace pgcore::bindings {
namespace {

template <class T>
void bind(py::module_& m) {
  m.def(
      "categorical_log_prob",
      [](const Array<std::int64_t>& actions, const Array<T>& logits, Array<T>& out) {
        check_ndim("logits", logits, 2);
        const Index rows = logits.shape(0), K = logits.shape(1);
        const auto a = choices("actions", actions, rows, K);
        T* y = output("out", out, rows);
        const release_gil guard;
        categorical::log_prob<T>({a.data(), rows}, {logits.data(), rows, K}, {y, rows});
      },
      py::arg("actions").noconvert(), py::arg("logits").noconvert(), py::arg("out").noconvert());
  m.def(
      "categorical_score",
      [](const Array<std::int64_t>& actions, const Array<T>& logits, Array<T>& out) {
        check_ndim("logits", logits, 2);
        const Index rows = logits.shape(0), K = logits.shape(1);
        const auto a = choices("actions", actions, rows, K);
        T* y = output("out", out, rows, K);
        const release_gil guard;
        categorical::score<T>({a.data(), rows}, {logits.data(), rows, K}, {y, rows, K});
      },
      py::arg("actions").noconvert(), py::arg("logits").noconvert(), py::arg("out").noconvert());
  m.def(
      "categorical_kl",
      [](const Array<T>& logits_p, const Array<T>& logits_q, Array<T>& out) {
        check_ndim("logits_p", logits_p, 2);
        const Index rows = logits_p.shape(0), K = logits_p.shape(1);
        const T* q = input("logits_q", logits_q, rows, K);
        T* y = output("out", out, rows);
        const release_gil guard;
        categorical::kl<T>({logits_p.data(), rows, K}, {q, rows, K}, {y, rows});
      },
      py::arg("logits_p").noconvert(), py::arg("logits_q").noconvert(), py::arg("out").noconvert());
  m.def(
      "categorical_entropy",
      [](const Array<T>& logits, Array<T>& out) {
        check_ndim("logits", logits, 2);
        T* y = output("out", out, logits.shape(0));
        const release_gil guard;
        categorical::entropy<T>({logits.data(), logits.shape(0), logits.shape(1)}, {y, logits.shape(0)});
      },
      py::arg("logits").noconvert(), py::arg("out").noconvert());
}

}  // namespace

void bind_categorical(py::module_& m) {
  bind<float>(m);
  bind<double>(m);
}

}  // namespace pgcore::bindings
