// What a build says about itself.
#include "check.hpp"
#include "pgcore/build.hpp"

using namespace pgcore;

TEST("a build names its level, compiler and Eigen") {
  const Build made = build();
  CHECK(made.level == std::string(PGCORE_LEVEL));
  CHECK(made.flags == std::string(PGCORE_FLAGS));
  CHECK(!made.compiler.empty());
  CHECK(made.eigen.substr(0, 2) == std::string("3."));
  CHECK(!made.eigen_simd.empty());
}
