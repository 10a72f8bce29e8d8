// Hot paths must not allocate once their scratch is built: Eigen reports its own allocations, operator new
// counts ours.
#include <cstdlib>
#include <Eigen/Core>
#include <limits>
#include <new>

#include "actions.hpp"
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
#include "pgcore/views.hpp"

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
using testing::vec;

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
        inputs(testing::rows(std::as_const(raw), width),
               std::make_shared<const InputScaling>(
                   InputScaling{std::vector<double>(static_cast<std::size_t>(width), 1.0),
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
  std::vector<float> out(rows), vector(theta.size());
  testing::ActionBuffer<float> buffer(policy.discrete(), rows, A);
  const Actions<float> sampled = buffer.to();
  const Actions<const float> actions = buffer.of();
  const Inputs<float> plain(testing::rows(obs, 17));
  const Rows<const float> z{noise.data(), rows, A};
  const Index starts[] = {0, 10, 400};
  std::vector<float> episodes(2 * vector.size()), scores(20 * vector.size());
  Fisher<float> exact(policy, vec(theta), plain, {}, 1e9);
  Fisher<float> empirical(policy, vec(theta), plain, actions, 1e9);
  CHECK(allocations_of([&] {
          policy.sample(vec(theta), plain, z, sampled, vec(out));
          policy.sample(vec(theta), standardised.inputs.part(0, 1), z.part(0, 1), sampled.part(0, 1));
          policy.mode(vec(theta), plain, sampled);
        }) == 0);
  CHECK(allocations_of([&] {
          policy.log_prob(vec(theta), standardised.inputs, actions, vec(out));
          policy.entropy(vec(theta), plain, vec(out));
          policy.kl(vec(theta), vec(theta), plain, vec(out));
        }) == 0);
  CHECK(allocations_of([&] {
          policy.score_product(vec(theta), standardised.inputs, actions, vec(weights), vec(vector));
          policy.score_sq_norms(vec(theta), plain, actions, vec(out));
          policy.scores(vec(theta), plain.part(0, 20), actions.part(0, 20), testing::rows(scores, P));
          policy.episode_scores(vec(theta), plain, actions, vec(weights), {starts, 3},
                                testing::rows(episodes, P));
          policy.entropy_gradient(vec(theta), plain, vec(vector));
        }) == 0);
  CHECK(allocations_of([&] {
          exact.multiply(vec(theta), vec(vector));
          empirical.multiply(vec(theta), vec(vector));
        }) == 0);
  SurrogateAscent<float> ascent(policy);
  const auto advantages = testing::normal<double>(rows, 7);
  std::vector<float> m(theta.size()), v(theta.size());
  std::vector<std::int64_t> order(rows);
  Index step = 0;
  CHECK(allocations_of([&] {
          ascent.epoch({vec(theta), vec(m), vec(v), step},
                       {standardised.inputs, actions, vec(advantages), vec(out)}, vec(order),
                       {64, 0.2, 0.01, 0.1, 0.5, std::numeric_limits<double>::infinity(), true, 1e-6}, {});
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
  const AdamState<float> state{vec(phi), vec(m), vec(v), step};
  const Inputs<float> plain(testing::rows(obs, 17));
  CHECK(allocations_of([&] {
          critic.predict(vec(phi), standardised.inputs, vec(out));
          critic.epoch(state, plain, vec(targets), vec(order), {64, 1e9, {}});
          critic.epoch(state, standardised.inputs, vec(targets), vec(order), {64, 1e9, {}});
        }) == 0);
}

TEST("a network's passes do not allocate") {
  for (const Activation activation : {Activation::tanh, Activation::relu, Activation::gelu}) {
    Mlp<float> net({17, 64, 64, 6}, activation);
    const auto theta = testing::normal<float>(net.num_params(), 1), x = testing::normal<float>(rows * 17, 2),
               cotangent = testing::normal<float>(rows * 6, 3);
    std::vector<float> out(cotangent.size()), gradient(theta.size()), each(10 * theta.size());
    const Index P = net.num_params();
    const Vec<const float> at{theta.data(), P};
    const Rows<const float> X{x.data(), rows, 17};
    CHECK(allocations_of([&] {
            net.forward(at, X, {out.data(), rows, 6});
            net.forward(at, {x.data(), 1, 17}, {out.data(), 1, 6});
            net.vjp(at, X, {cotangent.data(), rows, 6}, {gradient.data(), P});
            net.jvp(at, X, at, {out.data(), rows, 6});
            net.per_sample_vjp(at, {x.data(), 10, 17}, {cotangent.data(), 10, 6}, {each.data(), 10, P});
          }) == 0);
  }
}

TEST("kernels do not allocate") {
  const Index A = 8;
  const auto x = testing::normal<float>(rows * A, 1), y = testing::normal<float>(rows * A, 2);
  std::vector<float> out(x.size()), other(x.size()), L(static_cast<std::size_t>(A * A)), wide(x.size() * A);
  for (Index i = 0; i < A; ++i) L[static_cast<std::size_t>(i * A + i)] = 1;
  const Rows<const float> X{x.data(), rows, A}, Y{y.data(), rows, A}, factor{L.data(), A, A};
  const Rows<float> to{out.data(), rows, A}, to_other{other.data(), rows, A};
  const Vec<float> each{out.data(), rows};
  const gaussian::LogStd<float> shared{{x.data(), 1, A}, true}, of_rows{X, false};
  const std::vector<std::int64_t> choices(rows, 1);
  CHECK(allocations_of([&] {
          for (const auto& log_std : {shared, of_rows}) {
            gaussian::log_prob(X, Y, log_std, each);
            gaussian::score(X, Y, log_std, to, to_other);
            gaussian::kl(X, log_std, Y, log_std, each);
          }
          gaussian::entropy(X, each);
          gaussian::log_prob_tril(X, Y, factor, each);
          gaussian::score_tril(X, Y, factor, to, Rows<float>{wide.data(), rows, A * A});
          gaussian::kl_tril(X, factor, Y, factor, each);
        }) == 0);
  const Vec<const std::int64_t> actions{choices.data(), rows};
  CHECK(allocations_of([&] {
          categorical::log_prob(actions, X, each);
          categorical::score(actions, X, to);
          categorical::kl(X, Y, each);
          categorical::entropy(X, each);
        }) == 0);
  const scan::Segments<float> none{};
  CHECK(allocations_of([&] {
          for (const Index columns : {Index{1}, A}) {
            const Rows<const float> r{x.data(), rows, columns}, values{y.data(), rows, columns};
            const Rows<float> first{out.data(), rows, columns}, second{other.data(), rows, columns};
            const scan::Coefficient<float> gamma{0.99, {}}, lam{0.95, {}};
            scan::affine_scan(r, {0, values}, none, scan::Order::forward, first);
            scan::reward_to_go(r, none, gamma, first);
            scan::n_step_return(r, values, none, gamma, 5, first);
            scan::gae(r, values, {}, none, gamma, lam, first, second);
            scan::vtrace(r, values, r, {}, none, {gamma, lam, 1.0, 1.0, 1.0}, first, second);
            ratios::weighted_reward_to_go(r, values, none, gamma, first);
            ratios::cumulative_log_ratios(r, {}, ratios::Direction::trajectory, first);
            ratios::effective_sample_size(r, Vec<float>{out.data(), columns});
          }
        }) == 0);
  std::vector<float> theta = x, m(x.size()), v(x.size());
  const Index n = rows * A;
  CHECK(allocations_of([&] {
          adam_step<float>({theta.data(), n}, {y.data(), n}, {m.data(), n}, {v.data(), n}, 1, AdamOptions{});
        }) == 0);
}
