#include "pgcore/categorical.hpp"

#include "softmax.hpp"

namespace pgcore::categorical {

template <class T>
void log_prob(Index num_rows, Index K, const std::int64_t* actions, const T* logits, T* out) {
  const auto softmax_of_block = [=] { return Softmax<T>(K); };
  for_groups(num_rows, K, softmax_of_block, [&](Softmax<T>& softmax, Index first, Index rows) {
    softmax.load(logits + first * K, K, rows);
    for (Index r = 0; r < rows; ++r) out[first + r] = softmax.log_prob(r, actions[first + r]);
  });
}

template <class T>
void score(Index num_rows, Index K, const std::int64_t* actions, const T* logits, T* out) {
  const auto softmax_of_block = [=] { return Softmax<T>(K); };
  for_groups(num_rows, K, softmax_of_block, [&](Softmax<T>& softmax, Index first, Index rows) {
    softmax.load(logits + first * K, K, rows);
    for (Index r = 0; r < rows; ++r) {
      T* row = out + (first + r) * K;
      for (Index k = 0; k < K; ++k) row[k] = -softmax.prob(r, k);
      row[actions[first + r]] += T(1);
    }
  });
}

template <class T>
void kl(Index num_rows, Index K, const T* logits_p, const T* logits_q, T* out) {
  struct Pair {
    Softmax<T> p, q;
  };
  const auto pair_of_block = [=] { return Pair{Softmax<T>(K), Softmax<T>(K)}; };
  for_groups(num_rows, K, pair_of_block, [&](Pair& pair, Index first, Index rows) {
    pair.p.load(logits_p + first * K, K, rows);
    pair.q.load(logits_q + first * K, K, rows);
    for (Index r = 0; r < rows; ++r) out[first + r] = pair.p.kl(pair.q, r);
  });
}

template <class T>
void entropy(Index num_rows, Index K, const T* logits, T* out) {
  const auto softmax_of_block = [=] { return Softmax<T>(K); };
  for_groups(num_rows, K, softmax_of_block, [&](Softmax<T>& softmax, Index first, Index rows) {
    softmax.load(logits + first * K, K, rows);
    for (Index r = 0; r < rows; ++r) out[first + r] = softmax.entropy(r);
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
