#include "pgcore/gaussian.hpp"

#include "arrays.hpp"
#include "families.hpp"

namespace pgcore::bindings {
namespace {

// log σ is (1, A), one row for all, or (B, A).
template <class T>
gaussian::LogStd<T> log_std_of(const char* name, const Array<T>& log_std, Index rows, Index A) {
  const bool shared = log_std.ndim() == 2 && log_std.shape(0) == 1;
  const Index given = shared ? Index{1} : rows;
  return {{input(name, log_std, given, A), given, A}, shared};
}

template <class T>
void bind_diagonal(py::module_& m) {
  m.def(
      "gaussian_log_prob",
      [](const Array<T>& actions, const Array<T>& mean, const Array<T>& log_std, Array<T>& out) {
        check_ndim("actions", actions, 2);
        const Index rows = actions.shape(0), A = actions.shape(1);
        const T* m_ = input("mean", mean, rows, A);
        const auto log = log_std_of<T>("log_std", log_std, rows, A);
        T* y = output("out", out, rows);
        const release_gil guard;
        gaussian::log_prob<T>({actions.data(), rows, A}, {m_, rows, A}, log, {y, rows});
      },
      py::arg("actions").noconvert(), py::arg("mean").noconvert(), py::arg("log_std").noconvert(),
      py::arg("out").noconvert());
  m.def(
      "gaussian_score",
      [](const Array<T>& actions, const Array<T>& mean, const Array<T>& log_std, Array<T>& d_mean,
         Array<T>& d_log_std) {
        check_ndim("actions", actions, 2);
        const Index rows = actions.shape(0), A = actions.shape(1);
        const T* m_ = input("mean", mean, rows, A);
        const auto log = log_std_of<T>("log_std", log_std, rows, A);
        T* dm = output("d_mean", d_mean, rows, A);
        T* dl = output("d_log_std", d_log_std, rows, A);
        const release_gil guard;
        gaussian::score<T>({actions.data(), rows, A}, {m_, rows, A}, log, {dm, rows, A}, {dl, rows, A});
      },
      py::arg("actions").noconvert(), py::arg("mean").noconvert(), py::arg("log_std").noconvert(),
      py::arg("d_mean").noconvert(), py::arg("d_log_std").noconvert());
  m.def(
      "gaussian_kl",
      [](const Array<T>& mean_p, const Array<T>& log_std_p, const Array<T>& mean_q, const Array<T>& log_std_q,
         Array<T>& out) {
        check_ndim("mean_p", mean_p, 2);
        const Index rows = mean_p.shape(0), A = mean_p.shape(1);
        const auto log_p = log_std_of<T>("log_std_p", log_std_p, rows, A);
        const T* q = input("mean_q", mean_q, rows, A);
        const auto log_q = log_std_of<T>("log_std_q", log_std_q, rows, A);
        T* y = output("out", out, rows);
        const release_gil guard;
        gaussian::kl<T>({mean_p.data(), rows, A}, log_p, {q, rows, A}, log_q, {y, rows});
      },
      py::arg("mean_p").noconvert(), py::arg("log_std_p").noconvert(), py::arg("mean_q").noconvert(),
      py::arg("log_std_q").noconvert(), py::arg("out").noconvert());
  m.def(
      "gaussian_entropy",
      [](const Array<T>& log_std, Array<T>& out) {
        check_ndim("log_std", log_std, 2);
        T* y = output("out", out, log_std.shape(0));
        const release_gil guard;
        gaussian::entropy<T>({log_std.data(), log_std.shape(0), log_std.shape(1)}, {y, log_std.shape(0)});
      },
      py::arg("log_std").noconvert(), py::arg("out").noconvert());
}

template <class T>
void bind_full(py::module_& m) {
  m.def(
      "gaussian_log_prob_tril",
      [](const Array<T>& actions, const Array<T>& mean, const Array<T>& scale_tril, Array<T>& out) {
        check_ndim("actions", actions, 2);
        const Index rows = actions.shape(0), A = actions.shape(1);
        const T* m_ = input("mean", mean, rows, A);
        const T* L = input("scale_tril", scale_tril, A, A);
        T* y = output("out", out, rows);
        const release_gil guard;
        gaussian::log_prob_tril<T, T>({actions.data(), rows, A}, {m_, rows, A}, {L, A, A}, {y, rows});
      },
      py::arg("actions").noconvert(), py::arg("mean").noconvert(), py::arg("scale_tril").noconvert(),
      py::arg("out").noconvert());
  m.def(
      "gaussian_score_tril",
      [](const Array<T>& actions, const Array<T>& mean, const Array<T>& scale_tril, Array<T>& d_mean,
         Array<T>& d_tril) {
        check_ndim("actions", actions, 2);
        const Index rows = actions.shape(0), A = actions.shape(1);
        const T* m_ = input("mean", mean, rows, A);
        const T* L = input("scale_tril", scale_tril, A, A);
        T* dm = output("d_mean", d_mean, rows, A);
        T* dL = output("d_tril", d_tril, rows, A, A);
        const release_gil guard;
        gaussian::score_tril<T, T>({actions.data(), rows, A}, {m_, rows, A}, {L, A, A}, {dm, rows, A},
                                   {dL, rows, A * A});
      },
      py::arg("actions").noconvert(), py::arg("mean").noconvert(), py::arg("scale_tril").noconvert(),
      py::arg("d_mean").noconvert(), py::arg("d_tril").noconvert());
  m.def(
      "gaussian_kl_tril",
      [](const Array<T>& mean_p, const Array<T>& tril_p, const Array<T>& mean_q, const Array<T>& tril_q,
         Array<T>& out) {
        check_ndim("mean_p", mean_p, 2);
        const Index rows = mean_p.shape(0), A = mean_p.shape(1);
        const T* p = input("scale_tril_p", tril_p, A, A);
        const T* q_mean = input("mean_q", mean_q, rows, A);
        const T* q = input("scale_tril_q", tril_q, A, A);
        T* y = output("out", out, rows);
        const release_gil guard;
        gaussian::kl_tril<T, T>({mean_p.data(), rows, A}, {p, A, A}, {q_mean, rows, A}, {q, A, A}, {y, rows});
      },
      py::arg("mean_p").noconvert(), py::arg("tril_p").noconvert(), py::arg("mean_q").noconvert(),
      py::arg("tril_q").noconvert(), py::arg("out").noconvert());
}

}  // namespace

void bind_gaussian(py::module_& m) {
  bind_diagonal<float>(m);
  bind_diagonal<double>(m);
  bind_full<float>(m);
  bind_full<double>(m);
}

}  // namespace pgcore::bindings
