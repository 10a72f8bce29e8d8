#include "pgcore/categorical.hpp"

#include "checked_indices.hpp"
#include "exact.hpp"
#include "families.hpp"

namespace pgcore::bindings {
namespace {

struct LogProb {
  static constexpr auto name = "categorical_log_prob", arguments = "actions, logits, out";

  template <class T>
  static py::object call(Exact<T>& call) {
    const Shape batch = call.shape(1, 2, 2);
    const Index B = batch.length[0], K = batch.length[1];
    const auto logits = call.rows(1, batch);
    const auto actions = call.template vec<std::int64_t>(0, B);
    py::object out = call.result(2, Shape(B));
    if (call) {
      const CheckedIndices a("actions", actions.data(), B, K);
      const Vec<T> y{call.memory(out), B};
      compute(B * K, [&] { categorical::log_prob<T>(a.view(), logits, y); });
    }
    return out;
  }
};

struct Score {
  static constexpr auto name = "categorical_score", arguments = "actions, logits, out";

  template <class T>
  static py::object call(Exact<T>& call) {
    const Shape batch = call.shape(1, 2, 2);
    const Index B = batch.length[0], K = batch.length[1];
    const auto logits = call.rows(1, batch);
    const auto actions = call.template vec<std::int64_t>(0, B);
    py::object out = call.result(2, batch);
    if (call) {
      const CheckedIndices a("actions", actions.data(), B, K);
      const Rows<T> y{call.memory(out), B, K};
      compute(B * K, [&] { categorical::score<T>(a.view(), logits, y); });
    }
    return out;
  }
};

struct Kl {
  static constexpr auto name = "categorical_kl", arguments = "logits_p, logits_q, out";

  template <class T>
  static py::object call(Exact<T>& call) {
    const Shape batch = call.shape(0, 2, 2);
    const auto p = call.rows(0, batch), q = call.rows(1, batch);
    py::object out = call.result(2, Shape(batch.length[0]));
    if (call) {
      const Vec<T> y{call.memory(out), p.num_rows()};
      compute(batch.size(), [&] { categorical::kl<T>(p, q, y); });
    }
    return out;
  }
};

struct Entropy {
  static constexpr auto name = "categorical_entropy", arguments = "logits, out";

  template <class T>
  static py::object call(Exact<T>& call) {
    const Shape batch = call.shape(0, 2, 2);
    const auto logits = call.rows(0, batch);
    py::object out = call.result(1, Shape(batch.length[0]));
    if (call) {
      const Vec<T> y{call.memory(out), logits.num_rows()};
      compute(batch.size(), [&] { categorical::entropy<T>(logits, y); });
    }
    return out;
  }
};

}  // namespace

void bind_categorical(py::module_& m) {
  add_kernel<LogProb>(m);
  add_kernel<Score>(m);
  add_kernel<Kl>(m);
  add_kernel<Entropy>(m);
}

}  // namespace pgcore::bindings
