// Hot paths must not allocate once their scratch is built: Eigen reports its own allocations, operator new
// counts ours.
#include <cstdlib>
#include <Eigen/Core>
#include <limits>
#include <new>

#include "check.hpp"
#include "pgcore/adam.hpp"
#include "pgcore/categorical.hpp"
#include "pgcore/fisher.hpp"
#include "pgcore/gaussian.hpp"
#include "pgcore/mlp.hpp"
#include "pgcore/parallel.hpp"
#include "pgcore/policy.hpp"
#include "pgcore/ratios.hpp"
#include "pgcore/scan.hpp"
#include "pgcore/surrogate_ascent.hpp"
#include "pgcore/value_fit.hpp"

namespace {
bool counting = false;
long allocations = 0;

void* counted(std::size_t size, std::size_t alignment) {
  allocations += counting;
  void* p = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (!p) throw std::bad_alloc();
  return p;
}
}  // namespace

void* operator new(std::size_t size) {
  return counted(size, 16);
}
void* operator new(std::size_t size, std::align_val_t a) {
  return counted(size, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
  std::free(p);
}

using namespace pgcore;

namespace {

constexpr Index rows = 2048;

// Of the second run: the pools build what they lend, and their vectors grow, the first time.
template <class F>
long allocations_of(F&& pass) {
  parallel::set_num_threads(1);
  pass();
  allocations = 0;
  counting = true;
  Eigen::internal::set_is_malloc_allowed(false);
  pass();
  Eigen::internal::set_is_malloc_allowed(true);
  counting = false;
  return allocations;
}

// Standardised inputs in another precision than the network's.
struct Observations {
  explicit Observations(Index width)
      : raw(testing::normal<double>(rows * width, 6)),
        inputs(raw.data(), std::make_shared<const InputScaling>(InputScaling{
                               std::vector<double>(static_cast<std::size_t>(width), 1.0),
                               std::vector<double>(static_cast<std::size_t>(width), 2.0), 10.0})) {}
  std::vector<double> raw;
  Inputs<float> inputs;
};

void check_policy(const HeadOptions<float>& head) {
  const testing::Case here(head.kind);
  Policy<float> policy(17, {64, 64}, Activation::tanh, head);
  const Index P = policy.num_params(), A = policy.action_width();
  auto theta = testing::normal<float>(P, 1);
  for (float& value : theta) value *= 0.1f;
  const auto obs = testing::normal<float>(rows * 17, 2), noise = testing::normal<float>(rows * A, 3),
             weights = testing::normal<float>(rows, 4);
  const Observations standardised(17);
  std::vector<float> real(noise.size()), out(rows), vector(theta.size());
  std::vector<std::int64_t> choice(noise.size(), 0);
  const ActionsOut<float> sampled{policy.discrete() ? nullptr : real.data(),
                                  policy.discrete() ? choice.data() : nullptr};
  const Actions<float> actions{sampled.real, sampled.choice};
  const Index starts[] = {0, 10, 400};
  std::vector<float> episodes(2 * vector.size()), scores(20 * vector.size());
  Fisher<float> exact(policy, theta.data(), rows, obs.data(), {nullptr, nullptr}, 1e9);
  Fisher<float> empirical(policy, theta.data(), rows, obs.data(), actions, 1e9);
  CHECK(allocations_of([&] {
          policy.sample(theta.data(), rows, obs.data(), noise.data(), sampled, out.data());
          policy.sample(theta.data(), 1, standardised.inputs, noise.data(), sampled, nullptr);
          policy.mode(theta.data(), rows, obs.data(), sampled);
        }) == 0);
  CHECK(allocations_of([&] {
          policy.log_prob(theta.data(), rows, standardised.inputs, actions, out.data());
          policy.entropy(theta.data(), rows, obs.data(), out.data());
          policy.kl(theta.data(), theta.data(), rows, obs.data(), out.data());
        }) == 0);
  CHECK(
      allocations_of([&] {
        policy.score_product(theta.data(), rows, standardised.inputs, actions, weights.data(), vector.data());
        policy.score_sq_norms(theta.data(), rows, obs.data(), actions, out.data());
        policy.scores(theta.data(), 20, obs.data(), actions, scores.data());
        policy.episode_scores(theta.data(), obs.data(), actions, weights.data(), 2, starts, episodes.data());
        policy.entropy_gradient(theta.data(), rows, obs.data(), vector.data());
      }) == 0);
  CHECK(allocations_of([&] {
          exact.multiply(theta.data(), vector.data());
          empirical.multiply(theta.data(), vector.data());
        }) == 0);
  SurrogateAscent<float> ascent(policy);
  const auto advantages = testing::normal<double>(rows, 7);
  std::vector<float> m(theta.size()), v(theta.size());
  std::vector<std::int64_t> order(rows);
  Index step = 0;
  CHECK(allocations_of([&] {
          ascent.epoch(theta.data(), m.data(), v.data(), step, standardised.inputs, actions,
                       advantages.data(), out.data(), rows, order.data(), 64,
                       {0.2, 0.01, 0.1, 0.5, std::numeric_limits<double>::infinity(), true, 1e-6}, {});
        }) == 0);
}

}  // namespace

TEST("a policy's passes do not allocate") {
  check_policy({"diagonal", {6}, 0, {}});
  check_policy({"state", {6}, 0, {}});
  check_policy({"full", {3}, 0, {}});
  check_policy({"fixed", {2}, 0, {1, 0, 0.5, 2}});
  check_policy({"categorical", {4}, 0, {}});
  check_policy({"categorical", {2, 3, 1}, 0, {}});
}

TEST("a critic's passes do not allocate") {
  ValueFit<float> critic({17, 64, 64, 1}, Activation::tanh);
  auto phi = testing::normal<float>(critic.num_params(), 5);
  const auto obs = testing::normal<float>(rows * 17, 2), targets = testing::normal<float>(rows, 4);
  const Observations standardised(17);
  std::vector<float> m(phi.size()), v(phi.size()), out(rows);
  std::vector<std::int64_t> order(rows);
  Index step = 0;
  CHECK(allocations_of([&] {
          critic.predict(phi.data(), rows, standardised.inputs, out.data());
          critic.epoch(phi.data(), m.data(), v.data(), step, obs.data(), targets.data(), rows, order.data(),
                       64, 1e9, {});
          critic.epoch(phi.data(), m.data(), v.data(), step, standardised.inputs, targets.data(), rows,
                       order.data(), 64, 1e9, {});
        }) == 0);
}

TEST("a network's passes do not allocate") {
  for (const Activation activation : {Activation::tanh, Activation::relu, Activation::gelu}) {
    Mlp<float> net({17, 64, 64, 6}, activation);
    const auto theta = testing::normal<float>(net.num_params(), 1), x = testing::normal<float>(rows * 17, 2),
               cotangent = testing::normal<float>(rows * 6, 3);
    std::vector<float> out(cotangent.size()), gradient(theta.size()), each(10 * theta.size());
    CHECK(allocations_of([&] {
            net.forward(theta.data(), rows, x.data(), out.data());
            net.forward(theta.data(), 1, x.data(), out.data());
            net.vjp(theta.data(), rows, x.data(), cotangent.data(), gradient.data());
            net.jvp(theta.data(), rows, x.data(), theta.data(), out.data());
            net.per_sample_vjp(theta.data(), 10, x.data(), cotangent.data(), each.data());
          }) == 0);
  }
}

TEST("kernels do not allocate") {
  const Index A = 8;
  const auto x = testing::normal<float>(rows * A, 1), y = testing::normal<float>(rows * A, 2);
  std::vector<float> out(x.size()), other(x.size()), L(static_cast<std::size_t>(A * A)), wide(x.size() * A);
  for (Index i = 0; i < A; ++i) L[static_cast<std::size_t>(i * A + i)] = 1;
  const gaussian::LogStd<float> shared{x.data(), true}, of_rows{x.data(), false};
  const std::vector<std::int64_t> choices(rows, 1);
  CHECK(allocations_of([&] {
          for (const auto& log_std : {shared, of_rows}) {
            gaussian::log_prob(rows, A, x.data(), y.data(), log_std, out.data());
            gaussian::score(rows, A, x.data(), y.data(), log_std, out.data(), other.data());
            gaussian::kl(rows, A, x.data(), log_std, y.data(), log_std, out.data());
          }
          gaussian::entropy(rows, A, x.data(), out.data());
          gaussian::log_prob_tril(rows, A, x.data(), y.data(), L.data(), out.data());
          gaussian::score_tril(rows, A, x.data(), y.data(), L.data(), out.data(), wide.data());
          gaussian::kl_tril(rows, A, x.data(), L.data(), y.data(), L.data(), out.data());
        }) == 0);
  CHECK(allocations_of([&] {
          categorical::log_prob(rows, A, choices.data(), x.data(), out.data());
          categorical::score(rows, A, choices.data(), x.data(), out.data());
          categorical::kl(rows, A, x.data(), y.data(), out.data());
          categorical::entropy(rows, A, x.data(), out.data());
        }) == 0);
  const scan::Segments<float> none{nullptr, nullptr, nullptr};
  CHECK(allocations_of([&] {
          for (const Index columns : {Index{1}, A}) {
            scan::reward_to_go<float>(rows, columns, x.data(), none, 0.99, out.data());
            scan::gae<float>(rows, columns, x.data(), y.data(), none, 0.99, 0.95, out.data(), other.data());
            scan::vtrace<float>(rows, columns, x.data(), y.data(), x.data(), none, 0.99, 1.0, 1.0, out.data(),
                                other.data());
            ratios::weighted_reward_to_go<float>(rows, columns, x.data(), y.data(), none, 0.99, out.data());
            ratios::cumulative_log_ratios<float>(rows, columns, x.data(), nullptr,
                                                 ratios::Direction::trajectory, out.data());
            ratios::effective_sample_size<float>(rows, columns, x.data(), out.data());
          }
        }) == 0);
  std::vector<float> theta = x, m(x.size()), v(x.size());
  CHECK(allocations_of(
            [&] { adam_step(rows * A, theta.data(), y.data(), m.data(), v.data(), 1, AdamOptions{}); }) == 0);
}
