// Reading raw inputs: standardised in double, then cast, from float and double alike.
#include <algorithm>
#include <cmath>
#include <limits>

#include "check.hpp"
#include "pgcore/inputs.hpp"
#include "pgcore/policy.hpp"

using namespace pgcore;

namespace {

constexpr Index rows = 7;

std::shared_ptr<const InputScaling> far_scaling(Index width, double offset, double clip) {
  InputScaling made{{}, {}, clip};
  for (Index j = 0; j < width; ++j) {
    made.shift.push_back(offset + 0.25 * static_cast<double>(j));
    made.scale.push_back(1.0 + 0.5 * static_cast<double>(j % 3));
  }
  return std::make_shared<const InputScaling>(std::move(made));
}

// All rows at once, and one after another; with and without statistics.
template <class T, class X>
void check_reading(Index width, double offset) {
  const auto noise = testing::normal<double>(rows * width, 1);
  std::vector<X> x;
  for (const double z : noise) x.push_back(static_cast<X>(offset + z));
  for (const double clip : {0.5, 10.0, std::numeric_limits<double>::infinity()}) {
    for (const auto& scaling : {std::shared_ptr<const InputScaling>(), far_scaling(width, offset, clip)}) {
      std::vector<T> expected, all(x.size()), single(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        const std::size_t j = i % static_cast<std::size_t>(width);
        double z = static_cast<double>(x[i]);
        if (scaling) z = std::clamp((z - scaling->shift[j]) * scaling->scale[j], -clip, clip);
        expected.push_back(static_cast<T>(z));
      }
      const Inputs<T> inputs(testing::rows(x, width), scaling);
      inputs.read(0, testing::rows(all, width));
      CHECK(all == expected);
      for (Index r = 0; r < rows; ++r) inputs.part(r, 1).read(0, testing::rows(single, width).part(r, 1));
      CHECK(single == expected);
      const std::vector<std::int64_t> index{6, 0, 3, 3, 1, 5, 2};
      std::vector<T> chosen(x.size());
      inputs.read(testing::vec(index), testing::rows(chosen, width));
      for (std::size_t i = 0; i < chosen.size(); ++i) {
        const auto j = static_cast<std::size_t>(width);
        CHECK(chosen[i] == expected[static_cast<std::size_t>(index[i / j]) * j + i % j]);
      }
    }
  }
}

void check_not_a_number() {
  const double nan = std::nan("");
  const std::vector<double> x{nan, 1.0, -std::numeric_limits<double>::infinity()};
  std::vector<float> out(3);
  Inputs<float>(testing::rows(x, 3), far_scaling(3, 0.0, 2.0)).read(0, testing::rows(out, 3));
  CHECK(std::isnan(out[0]));
  CHECK(out[1] == 1.125f);
  CHECK(out[2] == -2.0f);
}

// Time stamps: the policy in float sees what is left of them in double.
void check_policy() {
  constexpr Index B = 300, D = 5;
  Policy<float> policy(D, {6}, Activation::tanh, {"categorical", {3}, 0, {}});
  const auto theta = testing::normal<float>(policy.num_params(), 2);
  const auto noise = testing::normal<double>(B * D, 3);
  std::vector<double> times;
  for (const double z : noise) times.push_back(1.7e9 + z);
  const Rows<const double> stamps{times.data(), B, D};
  const auto scaling = far_scaling(D, 1.7e9, 10.0);
  std::vector<float> near(times.size());
  Inputs<float>(stamps, scaling).read(0, testing::rows(near, D));
  std::vector<std::int64_t> choices(B);
  for (Index i = 0; i < B; ++i) choices[static_cast<std::size_t>(i)] = i % 3;
  std::vector<float> expected(B), got(B);
  const Rows<const std::int64_t> actions{choices.data(), B, 1};
  policy.log_prob(testing::vec(theta), Rows<const float>{near.data(), B, D}, actions, testing::vec(expected));
  policy.log_prob(testing::vec(theta), Inputs<float>(stamps, scaling), actions, testing::vec(got));
  CHECK(got == expected);
  std::sort(got.begin(), got.end());
  CHECK(std::unique(got.begin(), got.end()) - got.begin() > 250);
}

}  // namespace

TEST("inputs are standardised in double and then cast") {
  for (const Index width : {1, 3, 4, 8, 17}) {
    check_reading<float, float>(width, 300.0);
    check_reading<float, double>(width, 1.7e9);
    check_reading<double, float>(width, 300.0);
    check_reading<double, double>(width, -1.7e9);
  }
}
TEST("not-a-number and infinite inputs") {
  check_not_a_number();
}
TEST("a policy in float sees what is left of time stamps in double") {
  check_policy();
}
