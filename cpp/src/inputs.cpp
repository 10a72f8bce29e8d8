// Compiled for vectors of 256 bits (cmake/Variants.cmake).
#include "pgcore/inputs.hpp"

#include "memory.hpp"

namespace pgcore {

template <class T>
void InputScaling<T>::apply(const T* x, T* out) const {
  const T *by = shift.data(), *times = scale.data();
  const Index width = static_cast<Index>(shift.size());
  PGCORE_INDEPENDENT
  for (Index j = 0; j < width; ++j) {
    const T z = (x[j] - by[j]) * times[j];
    const T floored = z < -clip ? -clip : z;
    out[j] = floored > clip ? clip : floored;
  }
}

template struct InputScaling<float>;
template struct InputScaling<double>;

}  // namespace pgcore
