// Factors of the Fisher matrix against the rows they are means of, and the block-wise inverse against the
// matrix it inverts.
#include "check.hpp"
#include "pgcore/build.hpp"
#include "pgcore/fisher.hpp"
#include "pgcore/kronecker.hpp"
#include "pgcore/parallel.hpp"

using namespace pgcore;

namespace {

constexpr Index obs_dim = 3, rows = 300;

template <class T>
void check_factors(const HeadOptions<T>& head, double tolerance) {
  Policy<T> policy(obs_dim, {6, 5}, Activation::tanh, head);
  auto theta = testing::normal<T>(policy.num_params(), 1);
  for (T& value : theta) value *= T(0.3);
  const auto obs = testing::normal<T>(rows * obs_dim, 3);
  Fisher<T> fisher(policy, theta.data(), rows, obs.data(), {nullptr, nullptr}, 1e9);
  const auto sizes = fisher.layer_sizes();
  const std::size_t layers = sizes.size() - 1;
  const Index roots = fisher.num_roots();

  std::vector<std::vector<T>> hidden, delta, inputs, outputs;
  std::vector<T*> to_hidden, to_delta, to_inputs, to_outputs;
  const auto make = [](std::vector<std::vector<T>>& all, std::vector<T*>& to, Index size) {
    all.emplace_back(static_cast<std::size_t>(size));
    to.push_back(all.back().data());
  };
  for (std::size_t l = 0; l < layers; ++l) {
    make(hidden, to_hidden, rows * sizes[l]);
    make(delta, to_delta, rows * roots * sizes[l + 1]);
    make(inputs, to_inputs, (sizes[l] + 1) * (sizes[l] + 1));
    make(outputs, to_outputs, sizes[l + 1] * sizes[l + 1]);
  }
  fisher.factors(to_hidden, to_delta, nullptr);
  fisher.kronecker_factors(to_inputs, to_outputs);
  for (std::size_t l = 0; l < layers; ++l) {
    const auto in = static_cast<std::size_t>(sizes[l]), out = static_cast<std::size_t>(sizes[l + 1]);
    std::vector<double> A((in + 1) * (in + 1)), G(out * out);
    for (std::size_t r = 0; r < rows; ++r) {
      const auto h = [&](std::size_t j) {
        return j == in ? 1.0 : static_cast<double>(hidden[l][r * in + j]);
      };
      for (std::size_t i = 0; i <= in; ++i) {
        for (std::size_t j = 0; j <= in; ++j) A[i * (in + 1) + j] += h(i) * h(j) / rows;
      }
    }
    for (std::size_t k = 0; k < delta[l].size(); k += out) {
      const T* d = delta[l].data() + k;
      for (std::size_t i = 0; i < out; ++i) {
        for (std::size_t j = 0; j < out; ++j) {
          G[i * out + j] += static_cast<double>(d[i]) * static_cast<double>(d[j]) / rows;
        }
      }
    }
    CHECK(testing::relative_error(inputs[l], A) < tolerance);
    CHECK(testing::relative_error(outputs[l], G) < tolerance);
  }

  // The block of the free parameters is what products with unit vectors show.
  const Index free_params = fisher.num_free(), P = fisher.num_params();
  std::vector<T> block(static_cast<std::size_t>(free_params * free_params)),
      unit(static_cast<std::size_t>(P)), column(unit.size());
  fisher.free_block(block.data());
  for (Index k = 0; k < free_params; ++k) {
    std::fill(unit.begin(), unit.end(), T(0));
    unit[static_cast<std::size_t>(P - free_params + k)] = 1;
    fisher.multiply(unit.data(), column.data());
    for (Index i = 0; i < free_params; ++i) {
      const double got = static_cast<double>(block[static_cast<std::size_t>(i * free_params + k)]);
      CHECK(std::abs(got - static_cast<double>(column[static_cast<std::size_t>(P - free_params + i)])) <
            tolerance * (1 + std::abs(got)));
    }
  }
}

// With rotations for eigenvectors: block by block (G ⊗ A + λI)(the product) is what was multiplied.
void check_inverse() {
  const double c = std::cos(0.3), s = std::sin(0.3), e = std::cos(1.1), f = std::sin(1.1), damping = 0.1;
  const double of_inputs[] = {c, -s, s, c}, of_outputs[] = {e, -f, f, e}, a[] = {2.0, 0.5}, g[] = {3.0, 0.0};
  double inverse[4], rest[] = {2.0};
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 2; ++j) inverse[2 * i + j] = 1 / (g[i] * a[j] + damping);
  }
  KroneckerInverse<double> kronecker;
  kronecker.add_layer(2, 1, of_inputs, of_outputs, inverse);
  kronecker.set_rest(1, rest);
  CHECK(kronecker.size() == 5);
  const double r[] = {1.0, -2.0, 0.5, 3.0, 4.0};  // (2, 1) weights, 2 biases, the rest
  double z[5];
  kronecker.multiply(r, z);
  CHECK(z[4] == 8.0);
  const auto matrix = [](const double* q, const double* values, int i, int j) {
    return q[2 * i] * values[0] * q[2 * j] + q[2 * i + 1] * values[1] * q[2 * j + 1];
  };
  const double Z[] = {z[0], z[2], z[1], z[3]}, R[] = {r[0], r[2], r[1], r[3]};  // rows: output; columns: w, b
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 2; ++j) {
      double sum = damping * Z[2 * i + j];
      for (int k = 0; k < 2; ++k) {
        for (int l = 0; l < 2; ++l) {
          sum += matrix(of_outputs, g, i, k) * matrix(of_inputs, a, l, j) * Z[2 * k + l];
        }
      }
      CHECK(std::abs(sum - R[2 * i + j]) < 1e-12);
    }
  }
}

}  // namespace

int main() {
  parallel::set_num_threads(2);
  CHECK(!build().level.empty() && build().eigen.rfind("3.", 0) == 0);
  check_factors<double>({"diagonal", {2}, 0, {}}, 1e-12);
  check_factors<double>({"full", {2}, 0, {}}, 1e-12);
  check_factors<double>({"categorical", {4}, 0, {}}, 1e-12);
  check_factors<float>({"diagonal", {2}, 0, {}}, 1e-5);
  check_factors<float>({"state", {2}, 0, {}}, 1e-5);
  check_inverse();
  return testing::finish();
}
