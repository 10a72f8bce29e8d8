#include "pgcore/categorical.hpp"

#include "distributions/softmax.hpp"
#include "parallel/row_groups.hpp"

namespace pgcore::categorical {

template <class T>
void log_prob(Index num_rows, Index K, const std::int64_t* actions, const T* logits, T* out) {
  const auto softmax_of_block = [=] { return Softmax<T>(K); };
  for_groups(num_rows, K, softmax_of_block, [&](Softmax<T>& softmax, Index first, Index rows) {
    softmax.load(logits + first * K, K, rows);
    softmax.log_prob([&](Index r) { return actions[first + r]; }, out + first);
  });
}

template <class T>
void score(Index num_rows, Index K, const std::int64_t* actions, const T* logits, T* out) {
  const auto softmax_of_block = [=] { return Softmax<T>(K); };
  for_groups(num_rows, K, softmax_of_block, [&](Softmax<T>& softmax, Index first, Index rows) {
    softmax.load(logits + first * K, K, rows);
    softmax.score([&](Index r) { return actions[first + r]; }, out + first * K, K);
  });
}

template <class T>
void kl(Index num_rows, Index K, const T* logits_p, const T* logits_q, T* out) {
  const auto divergence_of_block = [=] { return Divergence<T>(K); };
  for_groups(num_rows, K, divergence_of_block, [&](Divergence<T>& divergence, Index first, Index rows) {
    divergence.load(logits_p + first * K, logits_q + first * K, K, rows);
    for (Index r = 0; r < rows; ++r) out[first + r] = divergence[r];
  });
}

template <class T>
void entropy(Index num_rows, Index K, const T* logits, T* out) {
  const auto softmax_of_block = [=] { return Softmax<T>(K); };
  for_groups(num_rows, K, softmax_of_block, [&](Softmax<T>& softmax, Index first, Index rows) {
    softmax.load(logits + first * K, K, rows);
    softmax.entropies(out + first);
  });
}

#define PGCORE_INSTANTIATE(T)                                              \
  template void log_prob(Index, Index, const std::int64_t*, const T*, T*); \
  template void score(Index, Index, const std::int64_t*, const T*, T*);    \
  template void kl(Index, Index, const T*, const T*, T*);                  \
  template void entropy(Index, Index, const T*, T*);
PGCORE_INSTANTIATE(float)
PGCORE_INSTANTIATE(double)

}  // namespace pgcore::categorical
