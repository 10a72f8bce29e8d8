// A multilayer perceptron over batches: values, and products with its Jacobian.
//
// Parameters are one flat vector: weight (out, in) row-major, then bias, layer by layer. With h_0 = x,
//   z_l = W_l h_{l−1} + b_l,  h_l = φ(z_l),  and the last layer linear.
// Any number of threads may call at once.
#pragma once

#include <memory>
#include <vector>

#include "pgcore/activation.hpp"
#include "pgcore/types.hpp"
#include "pgcore/views.hpp"

namespace pgcore {

template <class T>
class Mlp {
 public:
  Mlp(std::vector<Index> sizes, Activation activation);
  ~Mlp();

  Index num_params() const;
  Index num_inputs() const;
  Index num_outputs() const;

  // out (B, O) ← f(θ, x).
  void forward(Vec<const T> theta, Rows<const T> x, Rows<T> out) const;
  // out (P,) ← Σ_i J_iᵀ c_i, with cotangents (B, O).
  void vjp(Vec<const T> theta, Rows<const T> x, Rows<const T> cotangent, Vec<T> out) const;
  // out (B, O) ← J_i v, with a direction v (P,).
  void jvp(Vec<const T> theta, Rows<const T> x, Vec<const T> direction, Rows<T> out) const;
  // out (B, P) ← J_iᵀ c_i.
  void per_sample_vjp(Vec<const T> theta, Rows<const T> x, Rows<const T> cotangent, Rows<T> out) const;

 private:
  struct Passes;
  std::unique_ptr<Passes> passes_;
};

}  // namespace pgcore
