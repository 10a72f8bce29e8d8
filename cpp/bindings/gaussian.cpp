#include "pgcore/gaussian.hpp"

#include "exact.hpp"
#include "families.hpp"

namespace pgcore::bindings {
namespace {

// log σ: (A,), one row for all, or (B, A).
template <class T>
gaussian::LogStd<T> log_std(Exact<T>& call, int i, const Shape& batch) {
  const bool shared = call.shape(i, 1, 2).ndim == 1;
  const Index rows = shared ? 1 : batch.length[0], A = batch.length[1];
  const T* data = call.input(i, shared ? Shape(A) : batch);
  return {call ? Rows{data, rows, A} : Rows<const T>{}, shared};
}

// A lower-triangular factor of the covariance. Not exact if its diagonal is not positive: Python then changes
// signs of columns.
template <class T>
Rows<const T> factor(Exact<T>& call, int i, Index A) {
  const Rows<const T> L = call.rows(i, Shape(A, A));
  for (Index k = 0; k < L.num_rows(); ++k) call.require(!(L.row(k)[k] <= 0));  // NaN gives NaN
  return L;
}

struct LogProb {
  static constexpr auto name = "gaussian_log_prob", arguments = "actions, mean, log_std, scale_tril, out";

  template <class T>
  static py::object call(Exact<T>& call) {
    const Shape batch = call.shape(0, 2, 2);
    const Index B = batch.length[0], A = batch.length[1];
    const auto actions = call.rows(0, batch), mean = call.rows(1, batch);
    if (call.given(3)) {
      call.require(!call.given(2));
      const auto L = factor(call, 3, A);
      py::object out = call.result(4, Shape(B));
      if (call) {
        const Vec<T> y{call.memory(out), B};
        compute(B * A * A, [&] { gaussian::log_prob_tril<T, T>(actions, mean, L, y); });
      }
      return out;
    }
    const auto log = log_std(call, 2, batch);
    py::object out = call.result(4, Shape(B));
    if (call) {
      const Vec<T> y{call.memory(out), B};
      compute(B * A, [&] { gaussian::log_prob<T>(actions, mean, log, y); });
    }
    return out;
  }
};

struct Score {
  static constexpr auto name = "gaussian_score", arguments = "actions, mean, log_std, scale_tril, out";

  template <class T>
  static py::object call(Exact<T>& call) {
    const Shape batch = call.shape(0, 2, 2);
    const Index B = batch.length[0], A = batch.length[1];
    const auto actions = call.rows(0, batch), mean = call.rows(1, batch);
    if (call.given(3)) {
      call.require(!call.given(2));
      const auto L = factor(call, 3, A);
      py::object out = call.results(4, batch, Shape(B, A, A));
      if (call) {
        const Rows<T> d_mean{call.memory(out, 0), B, A}, d_tril{call.memory(out, 1), B, A * A};
        compute(B * A * A, [&] { gaussian::score_tril<T, T>(actions, mean, L, d_mean, d_tril); });
      }
      return out;
    }
    const auto log = log_std(call, 2, batch);
    py::object out = call.results(4, batch, batch);
    if (call) {
      const Rows<T> d_mean{call.memory(out, 0), B, A}, d_log_std{call.memory(out, 1), B, A};
      compute(B * A, [&] { gaussian::score<T>(actions, mean, log, d_mean, d_log_std); });
    }
    return out;
  }
};

struct Kl {
  static constexpr auto name = "gaussian_kl",
                        arguments = "mean_p, log_std_p, mean_q, log_std_q, scale_tril_p, scale_tril_q, out";

  template <class T>
  static py::object call(Exact<T>& call) {
    const Shape batch = call.shape(0, 2, 2);
    const Index B = batch.length[0], A = batch.length[1];
    const auto mean_p = call.rows(0, batch), mean_q = call.rows(2, batch);
    if (call.given(4)) {
      call.require(!call.given(1) && !call.given(3));
      const auto tril_p = factor(call, 4, A), tril_q = factor(call, 5, A);
      py::object out = call.result(6, Shape(B));
      if (call) {
        const Vec<T> y{call.memory(out), B};
        compute(B * A * A, [&] { gaussian::kl_tril<T, T>(mean_p, tril_p, mean_q, tril_q, y); });
      }
      return out;
    }
    call.require(!call.given(5));
    const auto log_p = log_std(call, 1, batch), log_q = log_std(call, 3, batch);
    py::object out = call.result(6, Shape(B));
    if (call) {
      const Vec<T> y{call.memory(out), B};
      compute(B * A, [&] { gaussian::kl<T>(mean_p, log_p, mean_q, log_q, y); });
    }
    return out;
  }
};

// One distribution has a number for its entropy.
struct Entropy {
  static constexpr auto name = "gaussian_entropy", arguments = "log_std, scale_tril, out";

  template <class T>
  static py::object call(Exact<T>& call) {
    if (call.given(1)) {
      call.require(!call.given(0) && !call.given(2));
      const Index A = call.shape(1, 2, 2).length[0];
      const auto L = factor(call, 1, A);
      double entropy = static_cast<double>(A) * (0.5 + gaussian::half_log_2pi);
      for (Index k = 0; k < L.num_rows(); ++k) entropy += std::log(static_cast<double>(L.row(k)[k]));
      return py::float_(static_cast<double>(static_cast<T>(entropy)));
    }
    const Shape shape = call.shape(0, 1, 2);
    if (shape.ndim == 1) {
      call.require(!call.given(2));
      const Rows<const T> row{call.input(0, shape), call ? 1 : 0, shape.length[0]};
      T entropy = 0;
      if (call) compute(shape.size(), [&] { gaussian::entropy<T>(row, {&entropy, 1}); });
      return py::float_(static_cast<double>(entropy));
    }
    const auto rows = call.rows(0, shape);
    py::object out = call.result(2, Shape(shape.length[0]));
    if (call) {
      const Vec<T> y{call.memory(out), rows.num_rows()};
      compute(shape.size(), [&] { gaussian::entropy<T>(rows, y); });
    }
    return out;
  }
};

}  // namespace

void bind_gaussian(py::module_& m) {
  add_kernel<LogProb>(m);
  add_kernel<Score>(m);
  add_kernel<Kl>(m);
  add_kernel<Entropy>(m);
}

}  // namespace pgcore::bindings
