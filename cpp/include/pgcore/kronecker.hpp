// The inverse of a block-diagonal matrix whose blocks are Kronecker products plus a multiple of the identity,
// one for each layer of a network: a preconditioner (Martens & Grosse 2015).
#pragma once

#include <vector>

#include "pgcore/types.hpp"
#include "pgcore/views.hpp"

namespace pgcore {

template <class T>
class KroneckerInverse {
 public:
  // A block for the weight (out, in) and bias of the layer that comes next: (G ⊗ A + λI)⁻¹ with the columns
  // of `inputs` (in + 1, in + 1) the eigenvectors of A, those of `outputs` (out, out) of G, and inverse (out,
  // in + 1) the 1/(g_i a_j + λ). Everything is copied.
  void add_layer(Rows<const T> inputs, Rows<const T> outputs, Rows<const T> inverse);
  // What follows the layers: a dense inverse (n, n).
  void set_rest(Rows<const T> inverse);

  Index size() const;
  // z ← block by block · r.
  void multiply(Vec<const T> r, Vec<T> z) const;

 private:
  struct Layer {
    Index out, in;
    std::vector<T> inputs, inputs_transposed, outputs, outputs_transposed, inverse;
  };
  std::vector<Layer> layers_;
  Index num_rest_ = 0;
  std::vector<T> rest_;
};

}  // namespace pgcore
