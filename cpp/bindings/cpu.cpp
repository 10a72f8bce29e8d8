// Reads which psABI levels (x86-64-v2, -v3, -v4) the processor and the operating system support.
// Plain cpuid, so that every compiler checks exactly the flags that -march=x86-64-v* turns on.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <string>
#include <vector>

#if defined(__x86_64__) || defined(_M_X64)
#define PGCORE_X86_64 1
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace {

#if defined(PGCORE_X86_64)
struct Registers {
  std::uint32_t a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(std::uint32_t leaf) {
  Registers r;
#if defined(_MSC_VER)
  int x[4];
  __cpuid(x, static_cast<int>(leaf & 0x80000000u));
  if (static_cast<std::uint32_t>(x[0]) < leaf) return r;
  __cpuidex(x, static_cast<int>(leaf), 0);
  r = {static_cast<std::uint32_t>(x[0]), static_cast<std::uint32_t>(x[1]), static_cast<std::uint32_t>(x[2]),
       static_cast<std::uint32_t>(x[3])};
#else
  __get_cpuid_count(leaf, 0, &r.a, &r.b, &r.c, &r.d);
#endif
  return r;
}

// The register state that the operating system saves on a switch (XCR0).
std::uint64_t saved_state(const Registers& features) {
  if (!(features.c >> 27 & 1)) return 0;  // OSXSAVE
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  std::uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return std::uint64_t{high} << 32 | low;
#endif
}

bool all(std::uint32_t word, std::initializer_list<int> bits) {
  for (const int bit : bits) {
    if (!(word >> bit & 1)) return false;
  }
  return true;
}

std::vector<std::string> levels() {
  const Registers basic = cpuid(1), extended = cpuid(7), amd = cpuid(0x80000001u);
  const std::uint64_t state = saved_state(basic);
  std::vector<std::string> found;
  // SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT; LAHF
  if (!all(basic.c, {0, 9, 13, 19, 20, 23}) || !all(amd.c, {0})) return found;
  found.emplace_back("v2");
  // FMA, MOVBE, AVX, F16C; BMI1, AVX2, BMI2; LZCNT; XMM and YMM saved
  if (!all(basic.c, {12, 22, 28, 29}) || !all(extended.b, {3, 5, 8}) || !all(amd.c, {5}) ||
      (state & 0x6) != 0x6) {
    return found;
  }
  found.emplace_back("v3");
  // AVX512F, DQ, CD, BW, VL; opmask and ZMM saved
  if (!all(extended.b, {16, 17, 28, 30, 31}) || (state & 0xe6) != 0xe6) return found;
  found.emplace_back("v4");
  return found;
}
#else
std::vector<std::string> levels() {
  return {};
}
#endif

}  // namespace

PYBIND11_MODULE(_cpu, m) {
  m.doc() = "Reads the processor; must run on any of them.";
  m.def("levels", &levels, "Supported x86-64 psABI levels, lowest first; empty elsewhere.");
}
