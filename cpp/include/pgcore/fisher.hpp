// The Fisher matrix of a policy over a batch of observations, as an operator: F v without forming F.
//
//   exact      F = (1/B) Σ_i E_{a∼π(·|o_i)}[s sᵀ] = (1/B) Σ_i J_iᵀ M_i J_i   (Gauss–Newton form: J_i is the
//              Jacobian of the network's outputs, M_i the Fisher matrix of the distribution in its outputs)
//   empirical  F = (1/B) Σ_i s_i s_iᵀ on given actions
//
// A product is a tangent pass, a multiplication in output space and a cotangent pass. Activations are
// computed once per operator and kept, unless they would take more than `max_cache_bytes`: then every product
// computes them again. Any number of threads may call at once.
//
// Either form is (1/B) Σ t tᵀ in the network's parameters, over `num_roots` vectors t = J_iᵀ root for each
// row; in layer l, t is δ (h, 1)ᵀ.
#pragma once

#include <memory>
#include <vector>

#include "pgcore/inputs.hpp"
#include "pgcore/policy.hpp"
#include "pgcore/types.hpp"
#include "pgcore/views.hpp"

namespace pgcore {

template <class T>
class Fisher {
 public:
  // Keeps copies of θ and, for the empirical form, of the scores in output space; the policy must outlive it,
  // and so must `obs` where the activations are not kept. No actions make the exact form. B is at least 1.
  Fisher(const Policy<T>& policy, Vec<const T> theta, const Inputs<T>& obs, Actions<const T> actions,
         double max_cache_bytes);
  ~Fisher();

  Index num_params() const;
  Index num_free() const;
  Index num_rows() const;
  Index num_roots() const;
  // Widths of all layers, inputs first.
  std::vector<Index> layer_sizes() const;
  bool cached() const;

  // out (P,) ← F v.
  void multiply(Vec<const T> v, Vec<T> out) const;
  // out (P,) ← the diagonal of F.
  void diagonal(Vec<T> out) const;
  // out (E, E) ← the block of the parameters that do not belong to the network.
  void free_block(Rows<T> out) const;

  // For every layer: hidden[l] (B, in) ← h, delta[l] (B·num_roots, out) ← δ, roots of a row side by side. For
  // the empirical form free_params (B, E) ← the scores of the free parameters.
  void factors(const std::vector<Rows<T>>& hidden, const std::vector<Rows<T>>& delta,
               Rows<T> free_params) const;
  // For every layer: inputs[l] (in + 1, in + 1) ← mean of (h, 1)(h, 1)ᵀ, outputs[l] (out, out) ← (1/B) Σ δ
  // δᵀ.
  void kronecker_factors(const std::vector<Rows<T>>& inputs, const std::vector<Rows<T>>& outputs) const;

 private:
  struct Passes;
  std::unique_ptr<Passes> passes_;
};

}  // namespace pgcore
