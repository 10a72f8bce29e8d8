// Hints for compilers beyond the language: which loops vectorise, what is inlined, what is read soon.
#pragma once

// Promises that a loop's iterations are independent, so that it vectorises without run-time alias checks.
#if defined(__GNUC__) && !defined(__clang__)
#define PGCORE_INDEPENDENT _Pragma("GCC ivdep")
#elif defined(__clang__)
#define PGCORE_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define PGCORE_INDEPENDENT
#endif

// Inlines all that a function calls: one call left in a loop stops it from vectorising, and compilers give up
// inlining in large files.
#if defined(__GNUC__)
#define PGCORE_FLATTEN __attribute__((flatten))
#define PGCORE_INLINE __attribute__((always_inline))
#define PGCORE_NOINLINE __attribute__((noinline))
#else
#define PGCORE_FLATTEN
#define PGCORE_INLINE
#define PGCORE_NOINLINE
#endif

namespace pgcore {

// Asks for the cache line of `p`, which is going to be read or written soon. Callers that do nothing else are
// PGCORE_INLINE too: GCC removes calls of functions without effects, and this seems to have none.
PGCORE_INLINE inline void prefetch([[maybe_unused]] const void* p) {
#if defined(__GNUC__)
  __builtin_prefetch(p);
#endif
}

}  // namespace pgcore
