#include "math/matmul.hpp"

#include "math/matrix.hpp"

namespace pgcore {

template <class T>
void multiply(Index n, Index k, Index m, const T* A, const T* B, T* C) {
  MatrixMap<T>(C, n, m).noalias() = ConstMatrixMap<T>(A, n, k) * ConstMatrixMap<T>(B, k, m);
}

template <class T>
void multiply_transposed(Index n, Index k, Index m, const T* A, const T* B, T* C, bool add) {
  MatrixMap<T> out(C, n, m);
  if (!add) out.setZero();
  out.noalias() += ConstMatrixMap<T>(A, n, k) * ConstMatrixMap<T>(B, m, k).transpose();
}

template <class T>
void add_transposed_product(Index n, Index k, Index m, const T* A, const T* B, T* C) {
  MatrixMap<T>(C, n, m).noalias() += ConstMatrixMap<T>(A, k, n).transpose() * ConstMatrixMap<T>(B, k, m);
}

#define PGCORE_INSTANTIATE(T)                                                           \
  template void multiply(Index, Index, Index, const T*, const T*, T*);                  \
  template void multiply_transposed(Index, Index, Index, const T*, const T*, T*, bool); \
  template void add_transposed_product(Index, Index, Index, const T*, const T*, T*);
PGCORE_INSTANTIATE(float)
PGCORE_INSTANTIATE(double)

}  // namespace pgcore
