// Vectors of numbers, and the bits of single ones: what kernels use where a plain loop is too slow.
//
// Vectors are the compiler's own where it has them (GCC and Clang), else arrays; either way an operation on a
// vector is the operation on each lane, with the same bits.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "math/compiler.hpp"
#include "pgcore/types.hpp"

#if defined(__GNUC__) && defined(__SSE4_1__)
#include <immintrin.h>
#endif

namespace pgcore::simd {

// ---- bits ----

// Integers as wide as T, so that a loop over both vectorises.
template <class T>
using Int = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
template <class T>
using Bits = std::make_unsigned_t<Int<T>>;

template <class To, class From>
PGCORE_INLINE inline To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}

// All bits set where `condition` holds, else none.
template <class T>
PGCORE_INLINE inline Int<T> mask(bool condition) {
  return -static_cast<Int<T>>(condition);
}

// x where the mask is set, y elsewhere. Selecting by bits is what compilers always turn into vector code; two
// conditionals on the same flag become a branch.
template <class T>
PGCORE_INLINE inline T select(Int<T> mask, T x, T y) {
  return bit_cast<T>(static_cast<Int<T>>((bit_cast<Int<T>>(x) & mask) | (bit_cast<Int<T>>(y) & ~mask)));
}
template <class T>
PGCORE_INLINE inline T select_or_zero(Int<T> mask, T x) {
  return bit_cast<T>(static_cast<Int<T>>(bit_cast<Int<T>>(x) & mask));
}

// ---- vectors ----

// Bytes of the level's widest register.
#if defined(__AVX512F__)
inline constexpr int register_bytes = 64;
#elif defined(__AVX__)
inline constexpr int register_bytes = 32;
#else
inline constexpr int register_bytes = 16;
#endif

template <class T>
constexpr int lanes_in(int bytes) {
  return bytes / static_cast<int>(sizeof(T));
}

#if defined(__GNUC__)

template <class T, int N>
struct VectorOf {
  typedef T Type __attribute__((vector_size(N * sizeof(T))));
};

#else

template <class T, int N>
struct VectorOf {
  struct Type {
    T lane[N];
    T operator[](int k) const { return lane[k]; }
    T& operator[](int k) { return lane[k]; }
    template <class F>
    static Type of(F&& f) {
      Type v;
      for (int k = 0; k < N; ++k) v.lane[k] = f(k);
      return v;
    }
    friend Type operator+(const Type& a, const Type& b) {
      return of([&](int k) { return a[k] + b[k]; });
    }
    friend Type operator-(const Type& a, const Type& b) {
      return of([&](int k) { return a[k] - b[k]; });
    }
    friend Type operator*(const Type& a, const Type& b) {
      return of([&](int k) { return a[k] * b[k]; });
    }
    friend Type operator+(const Type& a, T b) {
      return of([&](int k) { return a[k] + b; });
    }
    friend Type operator-(const Type& a, T b) {
      return of([&](int k) { return a[k] - b; });
    }
    friend Type operator*(const Type& a, T b) {
      return of([&](int k) { return a[k] * b; });
    }
    friend Type operator*(T a, const Type& b) { return b * a; }
    template <class B>
    Type& operator+=(const B& b) {
      return *this = *this + b;
    }
    template <class B>
    Type& operator*=(const B& b) {
      return *this = *this * b;
    }
  };
};

#endif

// N numbers. Functions take vectors by reference: by value, those wider than a register have no one ABI.
template <class T, int N>
using Vector = typename VectorOf<T, N>::Type;

template <class T, class V>
PGCORE_INLINE inline void load(const T* from, V& to) {
  std::memcpy(&to, from, sizeof to);
}
template <class T, class V>
PGCORE_INLINE inline void store(const V& from, T* to) {
  std::memcpy(to, &from, sizeof from);
}
// x in all lanes.
template <class V, class T>
PGCORE_INLINE inline V all_lanes(T x) {
  return x - V{};  // unlike x + 0, which is not x for −0, compilers leave this out
}

// sum ← sum + x·v, rounded once where the level has such an instruction: compilers may not take it for `+`
// and
// `*`, since contraction is off.
template <class V>
PGCORE_INLINE inline void add_product(const V& x, const V& v, V& sum) {
#if defined(__GNUC__) && defined(__FMA__)
  constexpr bool single = sizeof(v[0]) == 4;
#if defined(__AVX512F__)
  if constexpr (sizeof(V) == 64 && single) {
    sum = reinterpret_cast<V>(_mm512_fmadd_ps(reinterpret_cast<__m512>(x), reinterpret_cast<__m512>(v),
                                              reinterpret_cast<__m512>(sum)));
    return;
  } else if constexpr (sizeof(V) == 64) {
    sum = reinterpret_cast<V>(_mm512_fmadd_pd(reinterpret_cast<__m512d>(x), reinterpret_cast<__m512d>(v),
                                              reinterpret_cast<__m512d>(sum)));
    return;
  }
#endif
  if constexpr (sizeof(V) == 32 && single) {
    sum = reinterpret_cast<V>(_mm256_fmadd_ps(reinterpret_cast<__m256>(x), reinterpret_cast<__m256>(v),
                                              reinterpret_cast<__m256>(sum)));
    return;
  } else if constexpr (sizeof(V) == 32) {
    sum = reinterpret_cast<V>(_mm256_fmadd_pd(reinterpret_cast<__m256d>(x), reinterpret_cast<__m256d>(v),
                                              reinterpret_cast<__m256d>(sum)));
    return;
  }
#endif
  sum += x * v;
}

// f(0), f(1), … f(N − 1) with constants, so that arrays of vectors that f uses stay in registers.
template <int N, class F, int... K>
PGCORE_INLINE inline void unrolled(F&& f, std::integer_sequence<int, K...>) {
  (f(std::integral_constant<int, K>{}), ...);
}
template <int N, class F>
PGCORE_INLINE inline void unrolled(F&& f) {
  unrolled<N>(f, std::make_integer_sequence<int, N>{});
}

// The bits of v that are set in `mask` too.
template <class T, class V>
PGCORE_INLINE inline V masked(const V& mask, const V& v) {
#if defined(__GNUC__)
  using Ints = Vector<Int<T>, lanes_in<T>(sizeof(V))>;
  return reinterpret_cast<V>(reinterpret_cast<Ints>(mask) & reinterpret_cast<Ints>(v));
#else
  return V::of([&](int k) { return select_or_zero(bit_cast<Int<T>>(mask[k]), v[k]); });
#endif
}

// The lanes of v whose byte is 0; else 0. By intrinsics where there are some: GCC converts vectors of bytes
// one by one, which took longer than all else in a loop.
template <class T, class V>
PGCORE_INLINE inline V where_zero(const std::uint8_t* bytes, const V& v) {
#if defined(__GNUC__)
  using Ints = Vector<Int<T>, lanes_in<T>(sizeof(V))>;
#if defined(__SSE4_1__)
  __m128i b = _mm_setzero_si128();
  std::memcpy(&b, bytes, sizeof(V) / sizeof(T));
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  if constexpr (sizeof(V) == 64) {
    const __mmask16 zero = _mm_testn_epi8_mask(b, b);
    if constexpr (sizeof(T) == 4)
      return reinterpret_cast<V>(_mm512_maskz_mov_ps(zero, reinterpret_cast<__m512>(v)));
    return reinterpret_cast<V>(
        _mm512_maskz_mov_pd(static_cast<__mmask8>(zero), reinterpret_cast<__m512d>(v)));
  }
#endif
#if defined(__AVX2__)
  if constexpr (sizeof(V) == 32) {
    const __m256i wide = sizeof(T) == 4 ? _mm256_cvtepu8_epi32(b) : _mm256_cvtepu8_epi64(b);
    return masked<T>(reinterpret_cast<V>(reinterpret_cast<Ints>(wide) == 0), v);
  }
#endif
  if constexpr (sizeof(V) == 16) {
    const __m128i wide = sizeof(T) == 4 ? _mm_cvtepu8_epi32(b) : _mm_cvtepu8_epi64(b);
    return masked<T>(reinterpret_cast<V>(reinterpret_cast<Ints>(wide) == 0), v);
  }
#endif
  Ints zero;
  for (int k = 0; k < lanes_in<T>(sizeof(V)); ++k) zero[k] = mask<T>(bytes[k] == 0);
  return masked<T>(reinterpret_cast<V>(zero), v);
#else
  return V::of([&](int k) { return bytes[k] == 0 ? v[k] : T(0); });
#endif
}

// Every number in the other type.
template <class To, class From>
PGCORE_INLINE inline To converted(const From& from) {
#if defined(__GNUC__)
  return __builtin_convertvector(from, To);
#else
  return To::of([&](int k) { return static_cast<std::remove_reference_t<decltype(To{}[0])>>(from[k]); });
#endif
}

// The same numbers in double.
template <int N, class T>
PGCORE_INLINE inline Vector<double, N> load_as_double(const T* from) {
#if defined(__GNUC__)
  Vector<T, N> x;
  load(from, x);
  return __builtin_convertvector(x, Vector<double, N>);
#else
  return Vector<double, N>::of([&](int k) { return static_cast<double>(from[k]); });
#endif
}

// ---- choices between lanes ----

// y where x > y fails, so that a NaN in x counts for nothing.
template <class V>
PGCORE_INLINE inline V larger(const V& x, const V& y) {
#if defined(__GNUC__)
  return x > y ? x : y;
#else
  return V::of([&](int k) { return x[k] > y[k] ? x[k] : y[k]; });
#endif
}
// x where it is below `bound`, else 0.
template <class T, class V>
PGCORE_INLINE inline V if_below(T bound, const V& x) {
#if defined(__GNUC__)
  return x < bound ? x : V{};
#else
  return V::of([&](int k) { return x[k] < bound ? x[k] : T(0); });
#endif
}
// 0 where x and y are equal, also where both are infinite, else x − y.
template <class V>
PGCORE_INLINE inline V difference(const V& x, const V& y) {
#if defined(__GNUC__)
  return x == y ? V{} : x - y;
#else
  return V::of([&](int k) { return x[k] == y[k] ? x[k] * 0 : x[k] - y[k]; });
#endif
}
// Lanes first … last − 1 of x, and those of `other` in place of the others.
template <class T, class V, int... K>
PGCORE_INLINE inline V only_lanes(Index first, Index last, const V& x, const V& other,
                                  std::integer_sequence<int, K...>) {
#if defined(__GNUC__)
  using Lanes = typename VectorOf<Int<T>, sizeof...(K)>::Type;
  const Lanes lane{K...};
  return (lane >= static_cast<Int<T>>(first)) & (lane < static_cast<Int<T>>(last)) ? x : other;
#else
  return V{{(first <= K && K < last ? x[K] : other[K])...}};
#endif
}
template <class T, class V>
PGCORE_INLINE inline V only_lanes(Index first, Index last, const V& x, const V& other) {
  return only_lanes<T>(first, last, x, other, std::make_integer_sequence<int, lanes_in<T>(sizeof(V))>{});
}

// What lane k of `v` has gathered once only `Left` lanes are left: the second half is added to the first,
// again and again.
template <class T, int Lanes, int Left, class V>
PGCORE_INLINE inline T gathered(const V& v, int k) {
  if constexpr (Left == Lanes) {
    return v[k];
  } else {
    return gathered<T, Lanes, 2 * Left>(v, k) + gathered<T, Lanes, 2 * Left>(v, k + Left);
  }
}

// Σ over the lanes of a vector or an array of T. By subscripts, not through memory, which is slower for short
// sums.
template <class T, class V>
PGCORE_INLINE inline T sum_of_lanes(const V& v) {
  constexpr int lanes = lanes_in<T>(sizeof(V));
  static_assert((lanes & (lanes - 1)) == 0);
  return gathered<T, lanes, 1>(v, 0);
}

// Every other lane of x and then y, from lane `First` on.
template <int First, class V, int... K>
PGCORE_INLINE inline V every_other(const V& x, const V& y, std::integer_sequence<int, K...>) {
#if defined(__GNUC__)
  return __builtin_shufflevector(x, y, (2 * K + First)...);
#else
  constexpr int lanes = sizeof...(K);
  return V{{(2 * K < lanes ? x[2 * K + First] : y[2 * K + First - lanes])...}};
#endif
}

// Lane n of `to` ← the sum of the lanes of v[n], for as many vectors as they have lanes; v is changed.
template <int N, class V, int Left = N>
PGCORE_INLINE inline void sums_of_lanes(V (&v)[N], V& to) {
  if constexpr (Left == 1) {
    to = v[0];
  } else {
    constexpr auto all = std::make_integer_sequence<int, N>{};
    unrolled<Left / 2>([&](auto n) {
      v[n] = every_other<0>(v[2 * n], v[2 * n + 1], all) + every_other<1>(v[2 * n], v[2 * n + 1], all);
    });
    sums_of_lanes<N, V, Left / 2>(v, to);
  }
}

// to ← lanes D, D + 1, … of v, then D lanes of `beyond`.
template <int D, int N, class V, int... K>
PGCORE_INLINE inline void shift(const V& v, const V& beyond, V& to, std::integer_sequence<int, K...>) {
#if defined(__GNUC__)
  to = __builtin_shufflevector(v, beyond, (K + D)...);
#else
  to = V{{(K + D < N ? v[K + D] : beyond[K + D - N])...}};
#endif
}
template <int D, int N, class V>
PGCORE_INLINE inline void shift(const V& v, const V& beyond, V& to) {
  shift<D, N>(v, beyond, to, std::make_integer_sequence<int, N>{});
}

// Lane k of `to` ← lane From::lane(k) of v.
template <class From, class V, int... K>
PGCORE_INLINE inline void permute(const V& v, V& to, std::integer_sequence<int, K...>) {
#if defined(__GNUC__)
  to = __builtin_shufflevector(v, v, From::lane(K)...);
#else
  to = V{{v[From::lane(K)]...}};
#endif
}
template <class From, int N, class V>
PGCORE_INLINE inline void permute(const V& v, V& to) {
  permute<From>(v, to, std::make_integer_sequence<int, N>{});
}

// to[j·to_row + i] ← from[i·from_row + j] for i, j in 0 … 3.
template <class T>
PGCORE_INLINE inline void transpose_four(const T* from, Index from_row, T* to, Index to_row) {
#if defined(__GNUC__)
  Vector<T, 4> a, b, c, d;
  load(from, a);
  load(from + from_row, b);
  load(from + 2 * from_row, c);
  load(from + 3 * from_row, d);
  const Vector<T, 4> ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
                     ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7),
                     cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
                     cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  store<T>(__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5), to);
  store<T>(__builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7), to + to_row);
  store<T>(__builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5), to + 2 * to_row);
  store<T>(__builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7), to + 3 * to_row);
#else
  for (Index i = 0; i < 4; ++i) {
    for (Index j = 0; j < 4; ++j) to[j * to_row + i] = from[i * from_row + j];
  }
#endif
}

}  // namespace pgcore::simd
