"""Rules about the C++ sources: what they include, and that each has a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CPP = Path(__file__).resolve().parents[1] / "cpp"

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


def sources_of(cpp: Path) -> list[Path]:
    """All sources, and the interfaces."""
    inside = [path for ending in ("*.cpp", "*.hpp") for path in (cpp / "src").rglob(ending)]
    return sorted(inside) + sorted((cpp / "include" / "pgcore").glob("*.hpp"))


def cpp_tests(cpp: Path) -> list[Path]:
    return sorted((cpp / "tests").glob("test_*.cpp"))


def includes_of(path: Path) -> set[str]:
    return set(re.findall(r'^#include [<"]([^>"]+)[>"]', path.read_text(encoding="utf-8"), re.MULTILINE))


# The rules: each gives what breaks it below a folder laid out like `cpp`.


def not_included(cpp: Path) -> dict[str, list[str]]:
    """Headers of names that a file uses without including them; what its interface includes counts."""
    missing = {}
    for path in sources_of(cpp):
        code = re.sub(r'#include.*|//.*|"(\\.|[^"\\])*"', "", path.read_text(encoding="utf-8"))
        included = includes_of(path)
        name = path.relative_to(cpp).as_posix().removeprefix("src/").removeprefix("include/")
        for header in list(included):
            if Path(header).stem == path.stem and header != name:
                for place in (cpp / "include" / header, cpp / "src" / header):
                    included |= includes_of(place) if place.is_file() else set()
        needed = {HEADER_OF[word] for word in re.findall(r"\bstd::(\w+)", code) if word in HEADER_OF}
        needed |= {header for header, names in OURS.items() if header != name and re.search(names, code)}
        if needed - included:
            missing[name] = sorted(needed - included)
    return missing


def unknown_names(cpp: Path) -> set[str]:
    """Names of the standard library that the table above lacks."""
    texts = (re.sub(r"//.*", "", path.read_text(encoding="utf-8")) for path in sources_of(cpp))
    return {word for text in texts for word in re.findall(r"\bstd::(\w+)", text)} - set(HEADER_OF)


def without_test(cpp: Path) -> list[str]:
    """Sources that no ``test_NAME.cpp`` tests, which CMake builds for every source NAME."""
    untested = []
    for path in (cpp / "src").rglob("*.cpp"):
        test = cpp / "tests" / f"test_{path.stem}.cpp"
        headers = {f"pgcore/{path.stem}.hpp", f"{path.parent.name}/{path.stem}.hpp"}
        if not test.is_file() or not includes_of(test) & headers:
            untested.append(path.stem)
    return untested


def without_name(cpp: Path) -> list[str]:
    """Tests of which none has a name, or that bring their own ``main``."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in cpp_tests(cpp)}
    return [
        name
        for name, text in texts.items()
        if not re.search(r'^TEST\("\w', text, re.MULTILINE) or "int main" in text
    ]


def test_every_file_includes_what_it_names() -> None:
    assert len(sources_of(CPP)) > 50
    assert not_included(CPP) == {}


def test_every_name_of_the_standard_library_is_in_the_table() -> None:
    assert unknown_names(CPP) == set()


def test_every_source_has_a_test_that_includes_it() -> None:
    assert without_test(CPP) == []


def test_every_cpp_test_has_a_name() -> None:
    assert len(cpp_tests(CPP)) > 20
    assert without_name(CPP) == []


# Each rule once where it is kept, and where it is broken.


def laid_out(cpp: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = cpp / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return cpp


KEPT = {
    "include/pgcore/sum.hpp": "#include <vector>\ndouble sum(const std::vector<double>& x);\n",
    "src/math/sum.cpp": '#include "pgcore/sum.hpp"\n// std::move is not used\nstd::vector<double> none;\n',
    "tests/test_sum.cpp": '#include "pgcore/sum.hpp"\n\nTEST("sums add") {}\n',
}


def broken(cpp: Path) -> dict[str, object]:
    rules = (not_included, unknown_names, without_test, without_name)
    return {rule.__name__: faults for rule in rules if (faults := rule(cpp))}


def test_the_rules_pass_what_keeps_them(tmp_path: Path) -> None:
    assert broken(laid_out(tmp_path, KEPT)) == {}


@pytest.mark.parametrize(
    ("files", "faults"),
    [
        ({"src/math/sum.cpp": "std::vector<double> none;\n"}, {"not_included": {"math/sum.cpp": ["vector"]}}),
        (
            {"src/math/sum.hpp": "inline Index count() { return std::size_t{0}; }\n"},
            {"not_included": {"math/sum.hpp": ["cstddef", "pgcore/types.hpp"]}},
        ),
        (
            {"include/pgcore/sum.hpp": "double sum(const std::vector<double>& x);\n"},
            {"not_included": {"math/sum.cpp": ["vector"], "pgcore/sum.hpp": ["vector"]}},
        ),
        ({"src/math/sum.hpp": "std::deque<int> numbers;\n"}, {"unknown_names": {"deque"}}),
        ({"src/math/other.cpp": ""}, {"without_test": ["other"]}),
        ({"tests/test_sum.cpp": 'TEST("sums add") {}\n'}, {"without_test": ["sum"]}),
        ({"tests/test_more.cpp": '  TEST("not at the margin") {}\n'}, {"without_name": ["test_more"]}),
        ({"tests/test_more.cpp": 'TEST("") {}\n'}, {"without_name": ["test_more"]}),
        ({"tests/test_more.cpp": 'TEST("it runs") {}\nint main() {}\n'}, {"without_name": ["test_more"]}),
    ],
)
def test_the_rules_name_what_breaks_them(
    tmp_path: Path, files: dict[str, str], faults: dict[str, object]
) -> None:
    assert broken(laid_out(tmp_path, {**KEPT, **files})) == faults
