#include "pgcore/surrogate_ascent.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "math/compiler.hpp"
#include "math/memory.hpp"
#include "math/sums.hpp"
#include "math/vecmath.hpp"
#include "nn/network.hpp"
#include "policy/heads.hpp"
#include "policy/policy_passes.hpp"

namespace pgcore {

template <class T>
struct SurrogateAscent<T>::Passes {
  static constexpr Index block_rows = Network<T>::block_rows;

  explicit Passes(const Policy<T>& policy)
      : passes(policy.passes()),
        net(passes.net),
        head(*passes.head),
        num_params(policy.num_params()),
        block(net.make_block()),
        gradient(num_params),
        real(head.discrete ? 0 : block_rows * head.action_width),
        choice(head.discrete ? block_rows * head.action_width : 0),
        d_free(block_rows * head.num_free),
        log_probs(block_rows),
        entropies(block_rows) {}

  Actions<const T> gather(Actions<const T> actions, Vec<const std::int64_t> index) {
    const Index A = head.action_width, rows = index.size();
    for (Index r = 0; r < rows; ++r) {
      if (actions.real) std::copy_n(actions.real + index[r] * A, A, real.data() + r * A);
      if (actions.choice) std::copy_n(actions.choice + index[r] * A, A, choice.data() + r * A);
    }
    if (actions.real) return Rows<const T>{real.data(), rows, A};
    return Rows<const std::int64_t>{choice.data(), rows, A};
  }

  // gradient ← that of the mean objective over the rows that `order` names; their sums are added to the
  // report.
  void minibatch(const T* theta, const SurrogateBatch<T>& batch, Vec<const std::int64_t> order,
                 const SurrogateOptions& options, SurrogateReport& sums) {
    const Index count = order.size();
    const Vec<const double> advantages = batch.advantages;
    const Vec<const T> log_probs_old = batch.log_probs_old;
    double mean = 0, scale = 1;
    if (options.normalize_advantage) standardise(advantages, order, options.rounding, mean, scale);
    std::fill_n(gradient.data(), num_params, T(0));
    const Index O = net.num_outputs(), E = head.num_free;
    const double share = 1 / static_cast<double>(count);
    for (Index first = 0; first < count; first += block_rows) {
      const Index rows = std::min(block_rows, count - first);
      const Vec<const std::int64_t> index = order.part(first, rows);
      net.load(batch.obs, index, *block);
      net.forward(theta, rows, *block);
      const T *outputs = block->hidden.back(), *free_params = theta + net.num_params();
      T *d_outputs = block->delta.back(), *d_free_rows = d_free.data();
      head.evaluate(rows, outputs, free_params, gather(batch.actions, index), log_probs.data(),
                    entropies.data(), d_outputs, d_free_rows);
      double A[block_rows];
      for (Index r = 0; r < rows; ++r) {
        A[r] = (advantages[index[r]] - mean) * scale;
        log_ratios[r] =
            static_cast<double>(log_probs.data()[r]) - static_cast<double>(log_probs_old[index[r]]);
      }
      weigh(rows, A, share, options, sums);
      passes.weigh(rows, O, weights, d_outputs);
      passes.weigh(rows, E, weights, d_free_rows);
      if (options.entropy_coef != 0) {
        head.add_entropy_gradient(rows, outputs, static_cast<T>(share * options.entropy_coef), d_outputs,
                                  d_free.data());
      }
      net.backward(theta, rows, *block);
      net.add_gradient(rows, *block, gradient.data());
      passes.add_free(rows, d_free.data(), gradient.data());
    }
  }

  // weights ← the derivatives of a block's objective by log π, times `share`, from advantages and log ratios.
  void weigh(Index rows, const double* advantages, double share, const SurrogateOptions& options,
             SurrogateReport& sums) {
    const double low = 1 - options.clip_range, high = 1 + options.clip_range, kl_coef = options.kl_coef;
    double gain[block_rows], excess[block_rows];
    Index clipped[block_rows];
    PGCORE_INDEPENDENT
    for (Index r = 0; r < rows; ++r) {
      const double A = advantages[r], log_ratio = log_ratios[r], ratio = vecmath::exp(log_ratio);
      const double floored = ratio < low ? low : ratio, clamped = floored > high ? high : floored;
      const double now = ratio * A, limited = clamped * A;
      excess[r] = vecmath::exp_excess(log_ratio);
      clipped[r] = clamped != ratio;
      // Selected, not multiplied: a ratio may overflow where its term has no weight.
      gain[r] = A == 0 ? 0.0 : limited < now ? limited : now;
      const double slope = A == 0 ? 0.0 : limited < now ? 0.0 : now;
      const double drawn = kl_coef != 0 ? slope - kl_coef * (excess[r] + log_ratio) : slope;
      weights[r] = static_cast<T>(share * drawn);
    }
    const auto sum = [=](const auto* x) {
      return lane_sum(rows, [=](Index r) { return static_cast<double>(x[r]); });
    };
    sums.surrogate += sum(gain);
    sums.clip_fraction += sum(clipped);
    sums.approx_kl += sum(excess);
    sums.entropy += sum(entropies.data());
  }

  // (A − mean)·scale has mean 0 and deviation 1, that with count − 1; a row alone stays as it is. Advantages
  // that rounding alone may have set apart become 0.
  static void standardise(Vec<const double> advantages, Vec<const std::int64_t> order, double rounding,
                          double& mean, double& scale) {
    const Index count = order.size();
    if (count < 2) return;
    // Relative to the first: differences of nearly equal numbers are exact, and those of equal ones 0.
    const double first = advantages[order[0]];
    const auto difference = [=](Index i) { return advantages[order[i]] - first; };
    double size = 0, largest = 0;
    for (Index i = 0; i < count; ++i) {
      size = std::max(size, std::abs(advantages[order[i]]));
      largest = std::max(largest, std::abs(difference(i)));
    }
    const double shift = lane_sum(count, difference) / static_cast<double>(count);
    mean = first + shift;
    scale = 0;
    if (largest == 0) return;
    // Divided first: the squares of very large and very small numbers leave the range.
    const double squares = lane_sum(count, [=](Index i) {
      const double part = (difference(i) - shift) / largest;
      return part * part;
    });
    const double deviation = largest * std::sqrt(squares / static_cast<double>(count - 1));
    if (!(deviation <= rounding * size)) scale = 1 / (deviation + 1e-8);
  }

  const typename Policy<T>::Passes& passes;
  const Network<T>& net;
  const Head<T>& head;
  const Index num_params;
  const std::unique_ptr<typename Network<T>::Block> block;
  AlignedBuffer<T> gradient, real;
  AlignedBuffer<std::int64_t> choice;
  AlignedBuffer<T> d_free, log_probs, entropies;
  double log_ratios[block_rows];
  T weights[block_rows];
};

template <class T>
SurrogateAscent<T>::SurrogateAscent(const Policy<T>& policy) : passes_(std::make_unique<Passes>(policy)) {}
template <class T>
SurrogateAscent<T>::~SurrogateAscent() = default;

template <class T>
SurrogateReport SurrogateAscent<T>::epoch(const AdamState<T>& state, const SurrogateBatch<T>& batch,
                                          Vec<const std::int64_t> order, const SurrogateOptions& options,
                                          const AdamOptions& adam) {
  auto& p = *passes_;
  const Index P = p.num_params, count = order.size();
  assert(p.passes.fits(state.theta, batch.obs, batch.actions) &&
         batch.advantages.size() == batch.obs.num_rows() &&
         batch.log_probs_old.size() == batch.obs.num_rows());
  T* gradient = p.gradient.data();
  SurrogateReport total;
  double rows_done = 0;
  for (Index begin = 0; begin < count; begin += options.batch_size) {
    const Index rows = std::min(options.batch_size, count - begin);
    SurrogateReport sums;
    p.minibatch(state.theta.data(), batch, order.part(begin, rows), options, sums);
    if (sums.approx_kl > options.max_kl * static_cast<double>(rows)) {
      total.stopped = true;
      break;
    }
    const double length = norm(gradient, P);
    if (!std::isfinite(length)) {
      total.finite = false;
      break;
    }
    const T scale = static_cast<T>(length > options.max_grad_norm ? -options.max_grad_norm / length : -1.0);
    for (Index i = 0; i < P; ++i) gradient[i] *= scale;  // Adam goes downhill
    adam_step<T>(state.theta, {gradient, P}, state.m, state.v, ++state.step, adam);
    ++total.minibatches;
    rows_done += static_cast<double>(rows);
    total.surrogate += sums.surrogate;
    total.entropy += sums.entropy;
    total.approx_kl += sums.approx_kl;
    total.clip_fraction += sums.clip_fraction;
    total.gradient_norm += length * static_cast<double>(rows);
  }
  for (double* sum :
       {&total.surrogate, &total.entropy, &total.approx_kl, &total.clip_fraction, &total.gradient_norm}) {
    *sum = rows_done > 0 ? *sum / rows_done : std::nan("");
  }
  return total;
}

template class SurrogateAscent<float>;
template class SurrogateAscent<double>;

}  // namespace pgcore
