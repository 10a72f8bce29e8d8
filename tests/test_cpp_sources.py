"""Rules about the C++ sources: what they include, and that each has a test."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CPP = ROOT / "cpp"
SOURCES = sorted(path for ending in ("*.cpp", "*.hpp") for path in (CPP / "src").rglob(ending))
INTERFACES = sorted((CPP / "include" / "pgcore").glob("*.hpp"))
TESTS = sorted((CPP / "tests").glob("test_*.cpp"))

# Names of the standard library by the header that declares them.
STANDARD = {
    "algorithm": "all_of any_of clamp copy copy_n fill fill_n max max_element min none_of sort unique",
    "array": "array",
    "atomic": "atomic memory_order_relaxed",
    "chrono": "chrono",
    "cmath": "abs copysign erf exp expm1 fabs fma fmax fmin frexp ilogb isfinite isinf isnan ldexp log log1p"
    " nan nearbyint nextafter pow signbit sqrt tanh",
    "condition_variable": "condition_variable",
    "cstddef": "ptrdiff_t size_t",
    "cstdint": "int32_t int64_t uint32_t uint64_t uint8_t",
    "cstdlib": "getenv strtol",
    "cstring": "memcpy",
    "exception": "current_exception exception exception_ptr rethrow_exception",
    "functional": "function",
    "limits": "numeric_limits",
    "memory": "make_shared make_unique shared_ptr unique_ptr",
    "mutex": "lock_guard mutex try_to_lock unique_lock",
    "new": "align_val_t bad_alloc",
    "numeric": "accumulate iota",
    "optional": "nullopt optional",
    "stdexcept": "invalid_argument runtime_error",
    "string": "string to_string",
    "system_error": "system_error",
    "thread": "this_thread thread",
    "type_traits": "conditional_t enable_if_t integral_constant is_const_v is_same_v"
    " is_trivially_destructible_v make_unsigned_t remove_reference_t",
    "utility": "exchange forward integer_sequence make_integer_sequence move pair swap",
    "vector": "vector",
}
HEADER_OF = {name: header for header, names in STANDARD.items() for name in names.split()}

# Macros and our own names, as regular expressions, by the header that declares them.
OURS = {
    "cassert": r"\bassert\(",
    "math/compiler.hpp": r"PGCORE_(INDEPENDENT|FLATTEN|INLINE)\b",
    "math/extended.hpp": r"\bExtended\b",
    "math/matmul.hpp": r"\b(multiply_transposed|add_transposed_product)\b",
    "math/matrix.hpp": r"\b(Const)?(Matrix|Vector)Map\b",
    "math/memory.hpp": r"\b(AlignedBuffer|SmallBuffer|padded)<",
    "math/simd.hpp": r"\bsimd::\w",
    "math/sums.hpp": r"(?<![\w.>])(lane_sum|row_sum|dot|norm)\(",
    "math/triangular.hpp": r"\b(LowerTriangle|solve_lower)\b",
    "math/vecmath.hpp": r"\bvecmath::\w",
    "nn/batch_pass.hpp": r"\bBatchPass<",
    "nn/few_rows.hpp": r"\bfew_rows::\w",
    "nn/network.hpp": r"\bNetwork<",
    "parallel/row_groups.hpp": r"\b(for_groups|group)\b",
    "parallel/scratch_pool.hpp": r"\bScratchPool<",
    "policy/heads.hpp": r"\b(Head<|make_head)\b",
    "pgcore/activation.hpp": r"\bActivation\b",
    "pgcore/adam.hpp": r"\b(AdamOptions|AdamState|adam_step)\b",
    "pgcore/inputs.hpp": r"\b(Inputs|InputScaling)\b",
    "pgcore/parallel.hpp": r"\bparallel::\w",
    "pgcore/policy.hpp": r"\b(Actions|HeadOptions|Policy)<",
    "pgcore/types.hpp": r"\bIndex\b",
    "pgcore/views.hpp": r"\b(Rows|Vec)<",
}


def includes_of(path: Path) -> set[str]:
    return set(re.findall(r'^#include [<"]([^>"]+)[>"]', path.read_text(encoding="utf-8"), re.MULTILINE))


def not_included(path: Path) -> list[str]:
    """Headers of names that a file uses without including them; what its interface includes counts."""
    text = path.read_text(encoding="utf-8")
    code = re.sub(r'#include.*|//.*|"(\\.|[^"\\])*"', "", text)
    included = includes_of(path)
    name = path.relative_to(CPP).as_posix().removeprefix("src/").removeprefix("include/")
    for header in list(included):
        if Path(header).stem == path.stem and header != name:
            for place in (CPP / "include" / header, CPP / "src" / header):
                included |= includes_of(place) if place.is_file() else set()
    needed = {HEADER_OF[word] for word in re.findall(r"\bstd::(\w+)", code) if word in HEADER_OF}
    needed |= {header for header, names in OURS.items() if header != name and re.search(names, code)}
    return sorted(needed - included)


def test_every_file_includes_what_it_names() -> None:
    assert len(SOURCES) > 30
    missing = {str(path.relative_to(CPP)): not_included(path) for path in SOURCES + INTERFACES}
    assert {name: headers for name, headers in missing.items() if headers} == {}


def test_every_name_of_the_standard_library_is_in_the_table() -> None:
    used = {
        word
        for path in SOURCES + INTERFACES
        for word in re.findall(r"\bstd::(\w+)", re.sub(r"//.*", "", path.read_text(encoding="utf-8")))
    }
    assert used - set(HEADER_OF) == set()


def test_every_source_has_a_test_that_includes_it() -> None:
    """CMake builds `test_NAME.cpp` for every source NAME, under every preset."""
    for path in (CPP / "src").rglob("*.cpp"):
        test = CPP / "tests" / f"test_{path.stem}.cpp"
        assert test.is_file(), path
        folder = path.parent.name
        assert includes_of(test) & {f"pgcore/{path.stem}.hpp", f"{folder}/{path.stem}.hpp"}, path


def test_every_cpp_test_has_a_name() -> None:
    assert len(TESTS) > 20
    for path in TESTS:
        text = path.read_text(encoding="utf-8")
        assert re.search(r'^TEST\("\w', text, re.MULTILINE), path
        assert "int main" not in text, path
