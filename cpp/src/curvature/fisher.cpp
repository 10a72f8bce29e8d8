#include "pgcore/fisher.hpp"

#include <algorithm>
#include <cassert>
#include <cstddef>

#include "curvature/fisher_passes.hpp"
#include "math/matmul.hpp"
#include "math/matrix.hpp"
#include "math/memory.hpp"

namespace pgcore {

template <class T>
Fisher<T>::Fisher(const Policy<T>& policy, Vec<const T> theta, const Inputs<T>& obs, Actions<const T> actions,
                  double max_cache_bytes)
    : passes_(std::make_unique<Passes>(policy, theta, obs, actions, max_cache_bytes)) {}
template <class T>
Fisher<T>::~Fisher() = default;

template <class T>
Index Fisher<T>::num_params() const {
  return passes_->num_params;
}
template <class T>
Index Fisher<T>::num_free() const {
  return passes_->num_free();
}
template <class T>
Index Fisher<T>::num_rows() const {
  return passes_->B;
}
template <class T>
Index Fisher<T>::num_roots() const {
  return passes_->num_roots();
}
template <class T>
std::vector<Index> Fisher<T>::layer_sizes() const {
  std::vector<Index> sizes;
  for (Index l = 0; l <= passes_->net.num_layers(); ++l) sizes.push_back(passes_->net.size(l));
  return sizes;
}
template <class T>
bool Fisher<T>::cached() const {
  return !passes_->cache.empty();
}

template <class T>
void Fisher<T>::multiply(Vec<const T> v, Vec<T> out) const {
  const auto& p = *passes_;
  assert(v.size() == p.num_params && out.size() == p.num_params);
  const Index N = p.net.num_params();
  p.sum_rows(4, out.data(), [&](Index first, Index rows, auto& block, T* sum) {
    p.net.tangent(p.theta.data(), v.data(), rows, block);
    p.multiply_outputs(first, rows, v.data() + N, block, sum + N);
    p.net.backward(p.theta.data(), rows, block);
    p.net.add_gradient(rows, block, sum);
  });
  if (!p.empirical) p.head.fisher_free(p.free_params(), v.data() + N, out.data() + N);
}

template <class T>
void Fisher<T>::diagonal(Vec<T> out) const {
  const auto& p = *passes_;
  assert(out.size() == p.num_params);
  const Index N = p.net.num_params(), E = p.num_free();
  p.sum_rows(2.0 * static_cast<double>(p.num_roots()), out.data(),
             [&](Index first, Index rows, auto& block, T* sum) {
               for (Index k = 0; k < p.num_roots(); ++k) {
                 p.load_root(first, rows, k, block);
                 p.net.add_gradient_squares(rows, block, sum);
               }
             });
  for (Index i = 0; i < N; ++i) out[i] /= static_cast<T>(p.B);
  std::vector<T> block(static_cast<std::size_t>(E * E));
  free_block({block.data(), E, E});
  for (Index k = 0; k < E; ++k) out[N + k] = block[static_cast<std::size_t>(k * E + k)];
}

template <class T>
void Fisher<T>::free_block(Rows<T> out) const {
  const auto& p = *passes_;
  const Index E = p.num_free();
  if (!p.empirical) {  // symmetric: rows are columns
    std::vector<T> unit(static_cast<std::size_t>(E), T(0));
    for (Index k = 0; k < E; ++k) {
      unit[static_cast<std::size_t>(k)] = T(1);
      p.head.fisher_free(p.free_params(), unit.data(), out.row(k));
      unit[static_cast<std::size_t>(k)] = T(0);
    }
    return;
  }
  std::fill_n(out.data(), E * E, T(0));
  for (Index first = 0; first < p.B; first += Passes::block_rows) {
    const Index rows = std::min(Passes::block_rows, p.B - first);
    const T* e = p.free_scores(first, rows);
    add_transposed_product(E, rows, E, e, e, out.data());
  }
  for (Index i = 0; i < E * E; ++i) out.data()[i] /= static_cast<T>(p.B);
}

template <class T>
void Fisher<T>::factors(const std::vector<Rows<T>>& hidden, const std::vector<Rows<T>>& delta,
                        Rows<T> free_params) const {
  const auto& p = *passes_;
  const Index K = p.num_roots(), E = p.num_free();
  assert(hidden.size() == delta.size() && static_cast<Index>(hidden.size()) == p.net.num_layers() &&
         (!p.empirical || free_params.has_shape(p.B, E)));
  p.for_rows(2.0 * static_cast<double>(K), [&](Index first, Index rows, auto& block) {
    for (std::size_t l = 0; l < hidden.size(); ++l) {
      const Index width = p.net.size(static_cast<Index>(l));
      assert(hidden[l].has_shape(p.B, width));
      std::copy_n(block.hidden[l], rows * width, hidden[l].row(first));
    }
    for (Index k = 0; k < K; ++k) {
      p.load_root(first, rows, k, block);
      for (std::size_t l = 0; l < delta.size(); ++l) {
        const Index width = p.net.size(static_cast<Index>(l) + 1);
        assert(delta[l].has_shape(p.B * K, width));
        for (Index r = 0; r < rows; ++r) {
          std::copy_n(block.delta[l + 1] + r * width, width, delta[l].row((first + r) * K + k));
        }
      }
    }
    if (p.empirical) std::copy_n(p.free_scores(first, rows), rows * E, free_params.row(first));
  });
}

template <class T>
void Fisher<T>::kronecker_factors(const std::vector<Rows<T>>& inputs,
                                  const std::vector<Rows<T>>& outputs) const {
  const auto& p = *passes_;
  assert(inputs.size() == outputs.size() && static_cast<Index>(inputs.size()) == p.net.num_layers());
  for (std::size_t l = 0; l < inputs.size(); ++l) {
    const Index in = p.net.size(static_cast<Index>(l)) + 1, out = p.net.size(static_cast<Index>(l) + 1);
    assert(inputs[l].has_shape(in, in) && outputs[l].has_shape(out, out));
    std::fill_n(inputs[l].data(), in * in, T(0));
    std::fill_n(outputs[l].data(), out * out, T(0));
  }
  AlignedBuffer<T> with_one;
  p.in_order([&](Index first, Index rows, auto& block) {
    for (std::size_t l = 0; l < inputs.size(); ++l) {
      const Index width = p.net.size(static_cast<Index>(l)) + 1;
      with_one.resize(rows * width);
      MatrixMap<T> h(with_one.data(), rows, width);
      h.leftCols(width - 1) = ConstMatrixMap<T>(block.hidden[l], rows, width - 1);
      h.col(width - 1).setOnes();
      add_transposed_product(width, rows, width, with_one.data(), with_one.data(), inputs[l].data());
    }
    for (Index k = 0; k < p.num_roots(); ++k) {
      p.load_root(first, rows, k, block);
      for (std::size_t l = 0; l < outputs.size(); ++l) {
        const Index width = p.net.size(static_cast<Index>(l) + 1);
        add_transposed_product(width, rows, width, block.delta[l + 1], block.delta[l + 1], outputs[l].data());
      }
    }
  });
  const T mean = T(1) / static_cast<T>(p.B);
  for (std::size_t l = 0; l < inputs.size(); ++l) {
    for (const Rows<T>& matrix : {inputs[l], outputs[l]}) {
      VectorMap<T>(matrix.data(), matrix.num_rows() * matrix.width()) *= mean;
    }
  }
}

template class Fisher<float>;
template class Fisher<double>;

}  // namespace pgcore
