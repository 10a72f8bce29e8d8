// Hot paths must not allocate once their scratch is built: Eigen reports its own allocations, operator new
// counts ours.
#include <cstdlib>
#include <Eigen/Core>
#include <limits>
#include <new>

#include "check.hpp"
#include "pgcore/fisher.hpp"
#include "pgcore/parallel.hpp"
#include "pgcore/policy.hpp"
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

int main() {
  parallel::set_num_threads(1);
  Policy<float> policy(17, {64, 64}, Activation::tanh, {"diagonal", {6}, 0, {}});
  ValueFit<float> critic({17, 64, 64, 1}, Activation::tanh);
  const Index rows = 2048, P = policy.num_params();
  const auto theta = testing::normal<float>(P, 1), obs = testing::normal<float>(rows * 17, 2);
  const auto noise = testing::normal<float>(rows * 6, 3), weights = testing::normal<float>(rows, 4);
  auto phi = testing::normal<float>(critic.num_params(), 5);
  std::vector<float> actions(rows * 6), log_probs(rows), gradient(theta.size()), m(phi.size()), v(phi.size());
  std::vector<std::int64_t> order(rows);
  Index step = 0;
  // Standardised inputs in another precision
  const auto wide = testing::normal<double>(rows * 17, 6);
  const Inputs<float> standardised(
      wide.data(), std::make_shared<const InputScaling>(
                       InputScaling{std::vector<double>(17, 1.0), std::vector<double>(17, 2.0), 10.0}));
  SurrogateAscent<float> ascent(policy);
  const auto advantages = testing::normal<double>(rows, 7);
  auto climbing = theta;
  std::vector<float> policy_m(theta.size()), policy_v(theta.size());
  Index policy_step = 0;
  const double infinity = std::numeric_limits<double>::infinity();
  Fisher<float> fisher(policy, theta.data(), rows, obs.data(), {nullptr, nullptr}, 1e9);

  const auto pass = [&] {
    policy.sample(theta.data(), rows, obs.data(), noise.data(), {actions.data(), nullptr}, log_probs.data());
    policy.sample(theta.data(), 1, obs.data(), noise.data(), {actions.data(), nullptr}, nullptr);
    policy.score_product(theta.data(), rows, obs.data(), {actions.data(), nullptr}, weights.data(),
                         gradient.data());
    policy.score_product(theta.data(), rows, standardised, {actions.data(), nullptr}, weights.data(),
                         gradient.data());
    policy.sample(theta.data(), 1, standardised, noise.data(), {actions.data(), nullptr}, nullptr);
    policy.score_sq_norms(theta.data(), rows, obs.data(), {actions.data(), nullptr}, log_probs.data());
    fisher.multiply(theta.data(), gradient.data());
    policy.kl(theta.data(), theta.data(), rows, obs.data(), log_probs.data());
    critic.epoch(phi.data(), m.data(), v.data(), step, obs.data(), weights.data(), rows, order.data(), 64,
                 1e9, {});
    ascent.epoch(climbing.data(), policy_m.data(), policy_v.data(), policy_step, standardised,
                 {actions.data(), nullptr}, advantages.data(), log_probs.data(), rows, order.data(), 64,
                 {0.2, 0.01, 0.1, 0.5, infinity, true, 1e-6}, {});
    critic.epoch(phi.data(), m.data(), v.data(), step, standardised, weights.data(), rows, order.data(), 64,
                 1e9, {});
  };
  pass();  // the pools' vectors may grow the first time
  counting = true;
  Eigen::internal::set_is_malloc_allowed(false);
  pass();
  Eigen::internal::set_is_malloc_allowed(true);
  counting = false;
  CHECK(allocations == 0);
  std::printf("%ld allocations\n", allocations);
  return testing::finish();
}
