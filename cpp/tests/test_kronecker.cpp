// The block-wise inverse against the matrix it inverts.
#include "check.hpp"
#include "pgcore/kronecker.hpp"

using namespace pgcore;

namespace {

// With rotations for eigenvectors: block by block (G ⊗ A + λI)(the product) is what was multiplied.
void check_inverse() {
  const double c = std::cos(0.3), s = std::sin(0.3), e = std::cos(1.1), f = std::sin(1.1), damping = 0.1;
  const double of_inputs[] = {c, -s, s, c}, of_outputs[] = {e, -f, f, e}, a[] = {2.0, 0.5}, g[] = {3.0, 0.0};
  double inverse[4], rest[] = {2.0};
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 2; ++j) inverse[2 * i + j] = 1 / (g[i] * a[j] + damping);
  }
  KroneckerInverse<double> kronecker;
  kronecker.add_layer({of_inputs, 2, 2}, {of_outputs, 2, 2}, {inverse, 2, 2});
  kronecker.set_rest({rest, 1, 1});
  CHECK(kronecker.size() == 5);
  const double r[] = {1.0, -2.0, 0.5, 3.0, 4.0};  // (2, 1) weights, 2 biases, the rest
  double z[5];
  kronecker.multiply({r, 5}, {z, 5});
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

TEST("the block-wise inverse gives back what its matrix multiplied") {
  check_inverse();
}
