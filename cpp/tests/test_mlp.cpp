// The network's interface over batches: its products against each other, row by row, from several threads.
#include <thread>

#include "check.hpp"
#include "pgcore/mlp.hpp"
#include "pgcore/parallel.hpp"

using namespace pgcore;

namespace {

template <class T>
void test_products(Index B, double tolerance) {
  const testing::Case here("B =", B);
  Mlp<T> net({5, 16, 3}, Activation::tanh);
  const Index P = net.num_params();
  CHECK(P == 5 * 16 + 16 + 16 * 3 + 3);
  CHECK(net.num_inputs() == 5);
  CHECK(net.num_outputs() == 3);
  const auto theta = testing::normal<T>(P, 1), x = testing::normal<T>(B * 5, 2),
             cotangent = testing::normal<T>(B * 3, 3), direction = testing::normal<T>(P, 4);
  std::vector<T> out(cotangent.size()), tangent(cotangent.size()), gradient(theta.size()),
      rows(static_cast<std::size_t>(B * P));
  const Vec<const T> at{theta.data(), P}, along{direction.data(), P};
  const Rows<const T> X{x.data(), B, 5}, C{cotangent.data(), B, 3};
  net.forward(at, X, {out.data(), B, 3});
  net.vjp(at, X, C, {gradient.data(), P});
  net.jvp(at, X, along, {tangent.data(), B, 3});
  net.per_sample_vjp(at, X, C, {rows.data(), B, P});

  // f(θ, x) of every row on its own
  std::vector<T> single(3);
  testing::Worst of_rows;
  for (Index r = 0; r < B; ++r) {
    net.forward(at, {x.data() + r * 5, 1, 5}, {single.data(), 1, 3});
    for (Index j = 0; j < 3; ++j) of_rows.add(single[j], out[r * 3 + j]);
  }
  CHECK(of_rows.within(tolerance));

  std::vector<double> sum(theta.size());
  double left = 0, right = 0;  // ⟨Jᵀc, v⟩ = ⟨c, Jv⟩
  for (std::size_t i = 0; i < rows.size(); ++i) sum[i % sum.size()] += static_cast<double>(rows[i]);
  for (std::size_t i = 0; i < sum.size(); ++i) left += sum[i] * static_cast<double>(direction[i]);
  for (std::size_t i = 0; i < tangent.size(); ++i) {
    right += static_cast<double>(cotangent[i]) * static_cast<double>(tangent[i]);
  }
  CHECK(testing::relative_error(gradient, sum) < tolerance);
  CHECK(std::abs(left - right) < 100 * tolerance * (1 + std::abs(right)));
}

void test_several_callers() {
  Mlp<float> net({5, 16, 3}, Activation::relu);
  const Index B = 700;
  const auto theta = testing::normal<float>(net.num_params(), 1), x = testing::normal<float>(B * 5, 2);
  std::vector<std::vector<float>> results(4, std::vector<float>(static_cast<std::size_t>(B * 3)));
  std::vector<std::thread> callers;
  for (auto& mine : results) {
    callers.emplace_back(
        [&] { net.forward({theta.data(), net.num_params()}, {x.data(), B, 5}, {mine.data(), B, 3}); });
  }
  for (auto& caller : callers) caller.join();
  for (const auto& other : results) CHECK(other == results[0]);
}

}  // namespace

TEST("products with the Jacobian agree with each other and with single rows") {
  parallel::set_num_threads(2);
  for (const Index B : {0, 1, 7, 255, 600}) {
    test_products<double>(B, 1e-12);
    test_products<float>(B, 1e-4);
  }
}
TEST("several threads use one network") {
  test_several_callers();
}
