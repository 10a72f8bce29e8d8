#include "pgcore/categorical.hpp"

#include <algorithm>
#include <cassert>

#include "distributions/softmax.hpp"
#include "parallel/row_groups.hpp"
#include "pgcore/types.hpp"
#include "pgcore/views.hpp"

namespace pgcore::categorical {
namespace {

// Where there is one choice, its log-probability, score and entropy are 0, or NaN if the logit is not finite.
template <class T>
void no_choice(Index num_rows, const T* logits, T* out) {
  for (Index r = 0; r < num_rows; ++r) out[r] = logits[r] - logits[r];
}

template <class T>
bool all_finite(Index count, const T* x) {
  T sum = 0;
  for (Index k = 0; k < count; ++k) sum += x[k] * T(0);  // NaN for NaN and infinity
  return sum == 0;
}

}  // namespace

template <class T>
void log_prob(Vec<const std::int64_t> actions, Rows<const T> logits, Vec<T> out) {
  const Index num_rows = logits.num_rows(), K = logits.width();
  assert(actions.size() == num_rows && out.size() == num_rows);
  if (K == 1) return no_choice(num_rows, logits.data(), out.data());
  const auto softmax_of_block = [=] { return Softmax<T>(K); };
  for_groups(num_rows, K, softmax_of_block, [&](Softmax<T>& softmax, Index first, Index rows) {
    softmax.load(logits.row(first), K, rows);
    softmax.log_prob([&](Index r) { return actions[first + r]; }, out.data() + first);
  });
}

template <class T>
void score(Vec<const std::int64_t> actions, Rows<const T> logits, Rows<T> out) {
  const Index num_rows = logits.num_rows(), K = logits.width();
  assert(actions.size() == num_rows && out.has_shape(num_rows, K));
  if (K == 1) return no_choice(num_rows, logits.data(), out.data());
  const auto softmax_of_block = [=] { return Softmax<T>(K); };
  for_groups(num_rows, K, softmax_of_block, [&](Softmax<T>& softmax, Index first, Index rows) {
    softmax.load(logits.row(first), K, rows);
    softmax.score([&](Index r) { return actions[first + r]; }, out.row(first), K);
  });
}

template <class T>
void kl(Rows<const T> logits_p, Rows<const T> logits_q, Vec<T> out) {
  const Index num_rows = logits_p.num_rows(), K = logits_p.width();
  assert(logits_q.has_shape(num_rows, K) && out.size() == num_rows);
  if (K == 1 && all_finite(num_rows, logits_p.data()) && all_finite(num_rows, logits_q.data())) {
    std::fill_n(out.data(), num_rows, T(0));
    return;
  }
  const auto divergence_of_block = [=] { return Divergence<T>(K); };
  for_groups(num_rows, K, divergence_of_block, [&](Divergence<T>& divergence, Index first, Index rows) {
    divergence.load(logits_p.row(first), logits_q.row(first), K, rows);
    for (Index r = 0; r < rows; ++r) out[first + r] = divergence[r];
  });
}

template <class T>
void entropy(Rows<const T> logits, Vec<T> out) {
  const Index num_rows = logits.num_rows(), K = logits.width();
  assert(out.size() == num_rows);
  if (K == 1) return no_choice(num_rows, logits.data(), out.data());
  const auto softmax_of_block = [=] { return Softmax<T>(K); };
  for_groups(num_rows, K, softmax_of_block, [&](Softmax<T>& softmax, Index first, Index rows) {
    softmax.load(logits.row(first), K, rows);
    softmax.entropies(out.data() + first);
  });
}

#define PGCORE_INSTANTIATE(T)                                             \
  template void log_prob(Vec<const std::int64_t>, Rows<const T>, Vec<T>); \
  template void score(Vec<const std::int64_t>, Rows<const T>, Rows<T>);   \
  template void kl(Rows<const T>, Rows<const T>, Vec<T>);                 \
  template void entropy(Rows<const T>, Vec<T>);
PGCORE_INSTANTIATE(float)
PGCORE_INSTANTIATE(double)

}  // namespace pgcore::categorical
