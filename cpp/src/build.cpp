#include "pgcore/build.hpp"

#include <Eigen/Core>

namespace pgcore {

Build build() {
#if defined(__clang__)
  const std::string compiler = std::string("clang ") + __clang_version__;
#elif defined(__GNUC__)
  const std::string compiler = std::string("gcc ") + __VERSION__;
#elif defined(_MSC_VER)
  const std::string compiler = "msvc " + std::to_string(_MSC_VER);
#endif
  const std::string eigen = std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) +
                            "." + std::to_string(EIGEN_MINOR_VERSION);
  return {PGCORE_LEVEL, PGCORE_FLAGS, compiler, eigen, Eigen::SimdInstructionSetsInUse()};
}

}  // namespace pgcore
