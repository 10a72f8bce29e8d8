// The categorical distribution over 0 … K − 1, given by logits: log-probability, score, divergence, entropy.
#pragma once

#include <cstdint>

#include "pgcore/types.hpp"

namespace pgcore::categorical {

// logits_a − log Σ_k exp(logits_k).
template <class T>
void log_prob(Index num_rows, Index K, const std::int64_t* actions, const T* logits, T* out);

// onehot(a) − softmax(logits).
template <class T>
void score(Index num_rows, Index K, const std::int64_t* actions, const T* logits, T* out);

// Σ p (log p − log q).
template <class T>
void kl(Index num_rows, Index K, const T* logits_p, const T* logits_q, T* out);

// −Σ p log p.
template <class T>
void entropy(Index num_rows, Index K, const T* logits, T* out);

}  // namespace pgcore::categorical
