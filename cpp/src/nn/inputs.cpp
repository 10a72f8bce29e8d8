// Compiled for vectors of 256 bits (cmake/Variants.cmake).
#include "pgcore/inputs.hpp"

#include "math/compiler.hpp"

namespace pgcore {
namespace {

template <class X, class T>
void standardise(const InputScaling& by, const X* x, Index width, T* out) {
  const double *shift = by.shift.data(), *scale = by.scale.data(), clip = by.clip;
  PGCORE_INDEPENDENT
  for (Index j = 0; j < width; ++j) {
    const double z = (static_cast<double>(x[j]) - shift[j]) * scale[j];
    const double floored = z < -clip ? -clip : z;
    out[j] = static_cast<T>(floored > clip ? clip : floored);
  }
}

template <class X, class T>
void read_rows(const InputScaling* by, const X* x, Index count, Index width, T* out) {
  if (by) {
    for (Index r = 0; r < count; ++r) standardise(*by, x + r * width, width, out + r * width);
  } else {
    PGCORE_INDEPENDENT
    for (Index i = 0; i < count * width; ++i) out[i] = static_cast<T>(x[i]);
  }
}

template <class X, class T>
void read_rows(const InputScaling* by, const X* x, Vec<const std::int64_t> index, Index width, T* out) {
  for (Index r = 0; r < index.size(); ++r) read_rows(by, x + index[r] * width, 1, width, out + r * width);
}

}  // namespace

template <class T>
void Inputs<T>::read(Index first, Rows<T> out) const {
  const Index count = out.num_rows(), width = width_;
  assert(out.width() == width && first + count <= num_rows_);
  if (float_) {
    read_rows(scaling_.get(), float_ + first * width, count, width, out.data());
  } else {
    read_rows(scaling_.get(), double_ + first * width, count, width, out.data());
  }
}

template <class T>
void Inputs<T>::read(Vec<const std::int64_t> index, Rows<T> out) const {
  assert(out.width() == width_ && out.num_rows() == index.size());
  if (float_) {
    read_rows(scaling_.get(), float_, index, width_, out.data());
  } else {
    read_rows(scaling_.get(), double_, index, width_, out.data());
  }
}

template class Inputs<float>;
template class Inputs<double>;

}  // namespace pgcore
