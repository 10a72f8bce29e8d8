// Vocabulary shared by every family.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pgcore {

using Index = std::ptrdiff_t;

}  // namespace pgcore
