// The categorical distribution over 0 … K − 1, given by logits (B, K): log-probability, score, divergence,
// entropy of every row.
#pragma once

#include <cstdint>

#include "pgcore/views.hpp"

namespace pgcore::categorical {

// logits_a − log Σ_k exp(logits_k).
template <class T>
void log_prob(Vec<const std::int64_t> actions, Rows<const T> logits, Vec<T> out);

// onehot(a) − softmax(logits).
template <class T>
void score(Vec<const std::int64_t> actions, Rows<const T> logits, Rows<T> out);

// Σ p (log p − log q).
template <class T>
void kl(Rows<const T> logits_p, Rows<const T> logits_q, Vec<T> out);

// −Σ p log p.
template <class T>
void entropy(Rows<const T> logits, Vec<T> out);

}  // namespace pgcore::categorical
