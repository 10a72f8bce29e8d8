// How this core was compiled.
#pragma once

#include <string>

namespace pgcore {

struct Build {
  std::string level, flags, compiler, eigen, eigen_simd;
};
Build build();

}  // namespace pgcore
