// What a pass reads: rows of raw inputs, and how they are standardised on the way in.
#pragma once

#include <cassert>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "pgcore/types.hpp"
#include "pgcore/views.hpp"

namespace pgcore {

// x ↦ clamp((x − shift)·scale, ±clip), in double: of inputs far from 0 a smaller type holds no difference to
// the mean. Nothing changes it once it is made, so that passes of several threads may share it.
struct InputScaling {
  std::vector<double> shift, scale;
  double clip;
};

// Inputs, float or double whatever a pass computes in. A pass holds its own reference to the scaling, so that
// replacing it does not affect passes that other threads are running.
template <class T>
class Inputs {
 public:
  using Scaling = std::shared_ptr<const InputScaling>;

  Inputs(Rows<const float> rows, Scaling standardised_by = nullptr)
      : Inputs(rows.data(), nullptr, rows.num_rows(), rows.width(), std::move(standardised_by)) {}
  Inputs(Rows<const double> rows, Scaling standardised_by = nullptr)
      : Inputs(nullptr, rows.data(), rows.num_rows(), rows.width(), std::move(standardised_by)) {}

  Index num_rows() const { return num_rows_; }
  Index width() const { return width_; }
  Inputs part(Index first, Index count) const {
    assert(0 <= first && 0 <= count && first + count <= num_rows_);
    const Index skipped = first * width_;
    return {float_ ? float_ + skipped : nullptr, double_ ? double_ + skipped : nullptr, count, width_,
            scaling_};
  }
  // Component j of row i as it came.
  double raw(Index i, Index j) const {
    const Index k = i * width_ + j;
    return float_ ? static_cast<double>(float_[k]) : double_[k];
  }

  // out ← as many rows from `first` on: standardised, then cast.
  void read(Index first, Rows<T> out) const;
  // The same for the rows that `index` names.
  void read(Vec<const std::int64_t> index, Rows<T> out) const;

 private:
  Inputs(const float* of_float, const double* of_double, Index num_rows, Index width, Scaling scaling)
      : float_(of_float),
        double_(of_double),
        num_rows_(num_rows),
        width_(width),
        scaling_(std::move(scaling)) {
    assert(!scaling_ || (static_cast<Index>(scaling_->shift.size()) == width &&
                         static_cast<Index>(scaling_->scale.size()) == width));
  }

  const float* float_;  // one of the two is null, both where there are no rows
  const double* double_;
  Index num_rows_, width_;
  Scaling scaling_;  // null: inputs as they are
};

}  // namespace pgcore
