#include "policy/heads.hpp"

#include <stdexcept>

#include "pgcore/types.hpp"
#include "policy/categorical_head.hpp"
#include "policy/gaussian_heads.hpp"

namespace pgcore {

template <class T>
std::unique_ptr<Head<T>> make_head(const HeadOptions<T>& options) {
  if (options.kind == "categorical") return std::make_unique<CategoricalHead<T>>(options.sizes);
  const Index A = options.sizes.at(0);
  if (options.kind == "diagonal") return std::make_unique<DiagonalGaussianHead<T>>(A);
  if (options.kind == "state") return std::make_unique<StateGaussianHead<T>>(A, options.init_log_std);
  if (options.kind == "full") return std::make_unique<FullGaussianHead<T>>(A);
  if (options.kind == "fixed" && static_cast<Index>(options.fixed_tril.size()) == A * A) {
    return std::make_unique<FullGaussianHead<T>>(A, options.fixed_tril);
  }
  throw std::invalid_argument("head: expected 'categorical', 'diagonal', 'state', 'full' or 'fixed', got '" +
                              options.kind + "'");
}

template std::unique_ptr<Head<float>> make_head(const HeadOptions<float>&);
template std::unique_ptr<Head<double>> make_head(const HeadOptions<double>&);

}  // namespace pgcore
