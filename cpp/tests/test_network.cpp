// Derivatives of the network against central differences, and against each other.
#include "check.hpp"
#include "nn/batch_pass.hpp"
#include "nn/network.hpp"
#include "pgcore/activation.hpp"
#include "pgcore/parallel.hpp"

using namespace pgcore;

namespace {

void test_derivatives(const std::vector<Index>& sizes, Activation activation, Index rows) {
  const testing::Case here("layers", sizes.size(), "activation", static_cast<int>(activation),
                           "rows =", rows);
  const Network<double> net(sizes, activation);
  const Index P = net.num_params(), O = net.num_outputs();
  const auto theta = testing::normal<double>(P, 1), direction = testing::normal<double>(P, 2);
  const auto x = testing::normal<double>(rows * net.num_inputs(), 3),
             cotangent = testing::normal<double>(rows * O, 4);
  const auto block = net.make_block();
  const auto outputs_at = [&](double step) {
    std::vector<double> moved = theta;
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += step * direction[i];
    net.load(testing::rows(x, net.num_inputs()), 0, rows, *block);
    net.forward(moved.data(), rows, *block);
    return std::vector<double>(block->hidden.back(), block->hidden.back() + rows * O);
  };
  const double h = 1e-6;
  const auto above = outputs_at(h), below = outputs_at(-h);
  std::vector<double> difference(above.size());
  for (std::size_t i = 0; i < above.size(); ++i) difference[i] = (above[i] - below[i]) / (2 * h);

  outputs_at(0);
  net.tangent(theta.data(), direction.data(), rows, *block);
  const std::vector<double> tangent(block->delta.back(), block->delta.back() + rows * O);
  CHECK(testing::relative_error(tangent, difference) < 1e-7);

  outputs_at(0);
  std::copy(cotangent.begin(), cotangent.end(), block->delta.back());
  net.backward(theta.data(), rows, *block);
  std::vector<double> gradient(static_cast<std::size_t>(P), 0.0), row(gradient), sum(gradient);
  net.add_gradient(rows, *block, gradient.data());
  double left = 0, right = 0;  // ⟨gradient, direction⟩ = ⟨cotangent, tangent⟩
  for (std::size_t i = 0; i < gradient.size(); ++i) left += gradient[i] * direction[i];
  for (std::size_t i = 0; i < tangent.size(); ++i) right += cotangent[i] * tangent[i];
  CHECK(std::abs(left - right) < 1e-10 * (1 + std::abs(right)));
  for (Index r = 0; r < rows; ++r) {
    net.row_gradient(r, *block, row.data());
    double square = 0;
    for (std::size_t i = 0; i < row.size(); ++i) {
      sum[i] += row[i];
      square += row[i] * row[i];
    }
    CHECK(std::abs(net.row_square_norm(r, *block) - square) < 1e-10 * (1 + square));
  }
  CHECK(testing::relative_error(sum, gradient) < 1e-12);
}

void test_threads_do_not_change_bits() {
  const Network<float> net({17, 64, 64, 6}, Activation::tanh);
  BatchPass<float> pass(net, net.num_params());
  const Index rows = 5000;
  const auto theta = testing::normal<float>(net.num_params(), 1), x = testing::normal<float>(rows * 17, 2);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 3}) {
    parallel::set_num_threads(threads);
    std::vector<float> gradient(static_cast<std::size_t>(net.num_params()));
    pass.sum_rows(rows, net.flops(1), gradient.data(),
                  [&](Index first, Index count, auto& block, float* sum) {
                    net.load(testing::rows(x, 17), first, count, block);
                    net.forward(theta.data(), count, block);
                    std::fill_n(block.delta.back(), count * 6, 1.0f);
                    net.backward(theta.data(), count, block);
                    net.add_gradient(count, block, sum);
                  });
    results.push_back(gradient);
  }
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

}  // namespace

TEST("products with the Jacobian are derivatives of the outputs") {
  for (const Activation activation : {Activation::tanh, Activation::gelu, Activation::identity}) {
    for (const Index rows : {1, 2, 37}) {
      test_derivatives({3, 5}, activation, rows);
      test_derivatives({3, 7, 2}, activation, rows);
      test_derivatives({5, 8, 1, 9, 3}, activation, rows);
    }
  }
}
TEST("sums over a batch have the same bits for any number of threads") {
  test_threads_do_not_change_bits();
}
