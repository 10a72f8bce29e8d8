// A layer for few rows: against the sums that define it, and in a network against what many rows give.
#include "check.hpp"
#include "nn/activate.hpp"
#include "nn/few_rows.hpp"
#include "nn/network.hpp"

using namespace pgcore;

namespace {

// Few rows are taken another way than many.
template <class T>
void test_few_rows_give_what_many_give(Activation activation, double tolerance) {
  const Network<T> net({17, 40, 13, 3}, activation);
  const testing::Case here("activation", static_cast<int>(activation));
  const Index many = 40;
  const auto theta = testing::normal<T>(net.num_params(), 1), x = testing::normal<T>(many * 17, 2);
  testing::Worst of_hidden, of_slope;
  const auto block = net.make_block(), few_block = net.make_block();
  net.load(testing::rows(x, 17), 0, many, *block);
  net.forward(theta.data(), many, *block);
  for (const Index few : {1, 3, 4, 8, 11, 16, 17}) {
    net.load(testing::rows(x, 17), 0, few, *few_block);
    net.forward(theta.data(), few, *few_block);
    for (std::size_t l = 1; l < 4; ++l) {
      for (Index i = 0; i < few * net.size(static_cast<Index>(l)); ++i) {
        of_hidden.add(few_block->hidden[l][i], block->hidden[l][i]);
        if (needs_slope(activation) && l < 3) of_slope.add(few_block->slope[l][i], block->slope[l][i]);
      }
    }
  }
  CHECK(of_hidden.within(tolerance));
  CHECK(of_slope.within(tolerance));
}

// Widths around those of a vector, and of the outputs taken at once.
template <class T>
void test_layer(Index rows, Index k, Index m, double tolerance) {
  const testing::Case here("rows =", rows, "k =", k, "m =", m);
  const auto h = testing::normal<T>(rows * k, 1), weight = testing::normal<T>(m * k, 2),
             bias = testing::normal<T>(m, 3);
  std::vector<T> z(static_cast<std::size_t>(rows * m));
  few_rows::layer<T>(Activation::identity, rows, k, m, h.data(), weight.data(), bias.data(), z.data(),
                     nullptr);
  testing::Worst worst;
  for (Index r = 0; r < rows; ++r) {
    for (Index j = 0; j < m; ++j) {
      long double sum = static_cast<long double>(bias[j]);
      for (Index i = 0; i < k; ++i) {
        sum += static_cast<long double>(weight[j * k + i]) * static_cast<long double>(h[r * k + i]);
      }
      worst.add(z[r * m + j], sum);
    }
  }
  CHECK(worst.within(tolerance));
}

}  // namespace

TEST("few rows give what many give") {
  for (const Activation activation : {Activation::tanh, Activation::relu, Activation::gelu}) {
    test_few_rows_give_what_many_give<double>(activation, 1e-12);
    test_few_rows_give_what_many_give<float>(activation, 1e-4);
  }
}
TEST("a layer is a product with its weights") {
  for (const Index k : {1, 3, 4, 8, 9, 33, 200}) {
    for (const Index m : {1, 3, 4, 8, 9, 17}) {
      for (const Index rows : {1, 2, 4}) {
        test_layer<double>(rows, k, m, 1e-13);
        test_layer<float>(rows, k, m, 1e-5);
      }
      test_layer<float>(8, k, m, 1e-5);
    }
  }
}
