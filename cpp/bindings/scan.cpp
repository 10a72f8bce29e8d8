#include "pgcore/scan.hpp"

#include "families.hpp"
#include "segments.hpp"

namespace pgcore::bindings {
namespace {

struct AffineScan {
  static constexpr auto name = "affine_scan", arguments = "x, c, ends, bootstrap_values, direction, out";

  template <class T>
  static py::object call(Exact<T>& call) {
    static constexpr std::array directions{"backward", "forward"};
    TimeArguments<T> along(call, 0);
    const auto x = along.rows(0);
    const auto c = along.coefficient(1);
    const auto segments = along.segments(2, 3);
    const auto order = static_cast<scan::Order>(call.choice(4, directions));
    call.require(order == scan::Order::backward || !call.given(3));
    const py::object out = call.result(5, along.shape());
    if (call) compute(along.size(), [&] { scan::affine_scan(x, c, segments, order, along.output(out)); });
    return out;
  }
};

struct RewardToGo {
  static constexpr auto name = "reward_to_go", arguments = "rewards, gamma, ends, bootstrap_values, out";

  template <class T>
  static py::object call(Exact<T>& call) {
    TimeArguments<T> along(call, 0);
    const auto rewards = along.rows(0);
    const auto gamma = along.coefficient(1);
    const auto segments = along.segments(2, 3);
    const py::object out = call.result(4, along.shape());
    if (call) compute(along.size(), [&] { scan::reward_to_go(rewards, segments, gamma, along.output(out)); });
    return out;
  }
};

struct NStepReturn {
  static constexpr auto name = "n_step_return",
                        arguments = "rewards, values, gamma, n, ends, bootstrap_values, out";

  template <class T>
  static py::object call(Exact<T>& call) {
    TimeArguments<T> along(call, 0);
    const auto rewards = along.rows(0), values = along.rows(1);
    const auto gamma = along.coefficient(2);
    const Index n = call.integer(3, 1);
    const auto segments = along.segments(4, 5);
    const py::object out = call.result(6, along.shape());
    if (call) {
      compute(along.size(),
              [&] { scan::n_step_return(rewards, values, segments, gamma, n, along.output(out)); });
    }
    return out;
  }
};

struct Gae {
  static constexpr auto name = "gae",
                        arguments = "rewards, values, gamma, lam, ends, bootstrap_values, next_values, out";

  template <class T>
  static py::object call(Exact<T>& call) {
    TimeArguments<T> along(call, 0);
    const auto rewards = along.rows(0), values = along.rows(1);
    const auto gamma = along.coefficient(2), lam = along.coefficient(3);
    const auto segments = along.segments(4, 5);
    const auto next_values = along.optional_rows(6);
    call.require(!call.given(5) || !call.given(6));
    const py::object out = call.results(7, along.shape(), along.shape());
    if (call) {
      compute(along.size(), [&] {
        scan::gae(rewards, values, next_values, segments, gamma, lam, along.output(out, 0),
                  along.output(out, 1));
      });
    }
    return out;
  }
};

// The limits of V-trace's ratios come as one tuple, so that eight arguments are enough.
struct Vtrace {
  static constexpr auto name = "vtrace",
                        arguments =
                            "rewards, values, log_ratios, coefficients, ends, bootstrap_values, "
                            "next_values, out";

  template <class T>
  static py::object call(Exact<T>& call) {
    TimeArguments<T> along(call, 0);
    const auto rewards = along.rows(0), values = along.rows(1), log_ratios = along.rows(2);
    call.unfold(3, 5);
    constexpr int k = Exact<T>::unfolded;
    const scan::VtraceOptions<T> options{along.coefficient(k), along.coefficient(k + 1), call.limit(k + 2),
                                         call.limit(k + 3), call.limit(k + 4)};
    const auto segments = along.segments(4, 5);
    const auto next_values = along.optional_rows(6);
    call.require(!call.given(5) || !call.given(6));
    const py::object out = call.results(7, along.shape(), along.shape());
    if (call) {
      compute(along.size(), [&] {
        scan::vtrace(rewards, values, log_ratios, next_values, segments, options, along.output(out, 0),
                     along.output(out, 1));
      });
    }
    return out;
  }
};

}  // namespace

void bind_scan(py::module_& m) {
  add_kernel<AffineScan>(m);
  add_kernel<RewardToGo>(m);
  add_kernel<NStepReturn>(m);
  add_kernel<Gae>(m);
  add_kernel<Vtrace>(m);
}

}  // namespace pgcore::bindings
