#include "pgcore/ratios.hpp"

#include "families.hpp"
#include "segments.hpp"

namespace pgcore::bindings {
namespace {

struct CumulativeLogRatios {
  static constexpr auto name = "cumulative_log_ratios", arguments = "log_ratios, ends, direction, out";

  template <class T>
  static py::object call(Exact<T>& call) {
    static constexpr std::array directions{"past", "future", "trajectory"};
    TimeArguments<T> along(call, 0);
    const auto log_ratios = along.rows(0);
    const auto ends = along.template optional_rows<bool>(1);
    const auto direction = static_cast<ratios::Direction>(call.choice(2, directions));
    const py::object out = call.result(3, along.shape());
    if (call) {
      compute(along.size(),
              [&] { ratios::cumulative_log_ratios(log_ratios, ends, direction, along.output(out)); });
    }
    return out;
  }
};

struct WeightedRewardToGo {
  static constexpr auto name = "weighted_reward_to_go",
                        arguments = "rewards, log_ratios, gamma, ends, bootstrap_values, out";

  template <class T>
  static py::object call(Exact<T>& call) {
    TimeArguments<T> along(call, 0);
    const auto rewards = along.rows(0), log_ratios = along.rows(1);
    const auto gamma = along.coefficient(2);
    const auto segments = along.segments(3, 4);
    const py::object out = call.result(5, along.shape());
    if (call) {
      compute(along.size(), [&] {
        ratios::weighted_reward_to_go(rewards, log_ratios, segments, gamma, along.output(out));
      });
    }
    return out;
  }
};

struct EffectiveSampleSize {
  static constexpr auto name = "effective_sample_size", arguments = "log_weights, out";

  template <class T>
  static py::object call(Exact<T>& call) {
    TimeArguments<T> along(call, 0);
    const auto log_weights = along.rows(0);
    if (call && along.is_column() && !call.given(1)) {
      T size = 0;
      compute(along.size(), [&] { ratios::effective_sample_size(log_weights, Vec<T>(&size, 1)); });
      return py::float_(static_cast<double>(size));
    }
    call.require(!along.is_column());
    const py::object out = call.result(1, along.row_shape());
    if (call) {
      const Vec<T> sizes{call.memory(out), log_weights.width()};
      compute(along.size(), [&] { ratios::effective_sample_size(log_weights, sizes); });
    }
    return out;
  }
};

}  // namespace

void bind_ratios(py::module_& m) {
  add_kernel<CumulativeLogRatios>(m);
  add_kernel<WeightedRewardToGo>(m);
  add_kernel<EffectiveSampleSize>(m);
}

}  // namespace pgcore::bindings
