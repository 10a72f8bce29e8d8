"""Rules about the code base itself: who imports whom, what is documented, how long files are, one version."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pgcore

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "python" / "pgcore"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The floors: what stands on each, and which units it may import besides itself.
_KERNELS = {"_dispatch", "_arguments", "_rounding", "kernels"}
_DATA = _KERNELS | {"_kinds", "_stacklevel", "data"}
_CURVATURE = _DATA | {"curvature"}
_MODELS = _CURVATURE | {"policies", "optim", "baselines"}
_EXPERIENCE = _MODELS | {"rollout", "envs"}
_FILES = _EXPERIENCE | {"io"}
_TRAINING = _FILES | {"estimators", "presets", "evaluation", "callbacks", "loggers", "training"}
_EVERYTHING = _TRAINING | {"algorithms", "reference", "_build_info"}

MAY_IMPORT: dict[str, set[str]] = {
    "_version": set(),
    "_kinds": set(),  # names of classes
    "_stacklevel": set(),
    "_dispatch": {"_cpu"},  # and, by name, the compiled core of one level
    "_build_info": {"_dispatch"},
    "_arguments": set(),
    "_rounding": {"_arguments"},
    "kernels": {"_dispatch", "_arguments"},
    "reference": set(),  # NumPy alone
    "data": _KERNELS,
    "curvature": _DATA,
    "policies": _CURVATURE,
    "optim": _CURVATURE | {"policies"},
    "baselines": _DATA,
    "rollout": _MODELS,
    "envs": _MODELS,
    "io": _EXPERIENCE,
    "estimators": _MODELS,
    "presets": set(),  # tables of numbers
    "evaluation": _EXPERIENCE,
    "callbacks": _EXPERIENCE,
    "loggers": _FILES,
    "training": _TRAINING,
    "algorithms": _TRAINING,
    "cli": _EVERYTHING | {"plots"},
    "__main__": {"cli"},
    "plots": _EVERYTHING,
    "__init__": _EVERYTHING,
}

# Upward references by name, made only when asked for.
BY_NAME = {("training", "algorithms")}

# Of the outside world: what the floors below rollout may use.
NUMERIC_FLOORS = {
    "_version",
    "_kinds",
    "_stacklevel",
    "_dispatch",
    "_build_info",
    "kernels",
    "reference",
    "_arguments",
    "_rounding",
    "data",
    "curvature",
    "optim",
    "policies",
    "baselines",
}
OUTSIDE = {"numpy", "threadpoolctl"}
LAZILY_GYMNASIUM = {"policies"}  # `for_spaces` looks at spaces, which its caller has imported


# Names that the package itself hands out, and where they are defined.
HOME: dict[str, str] = vars(pgcore)["_HOME"]


def unit_of(path: Path) -> str:
    """The unit that a file belongs to: a sub-package, or a module of the package itself."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and is_type_checking(child):
            for alternative in child.orelse:
                yield alternative
                yield from run_time_nodes(alternative)
        else:
            yield child
            yield from run_time_nodes(child)


def imports_of(source: str, module: str, is_package: bool) -> Iterator[tuple[str, bool]]:
    """Names that a module imports at run time, also inside functions; and whether by `import_module`."""
    for node in run_time_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")
                above = above[: len(above) - node.level + is_package]
                base = ".".join([*above, *([base] if base else [])])
            # `from pgcore import x` imports pgcore.x
            yield from ((f"{base}.{alias.name}", False) for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("import_module", "importlib.import_module", "__import__")
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value), True


def imports_of_file(path: Path) -> Iterator[tuple[str, bool]]:
    return imports_of(path.read_text(encoding="utf-8"), dotted(path), path.name == "__init__.py")


def violations(unit: str, imports: Iterator[tuple[str, bool]]) -> list[str]:
    found = []
    for name, by_name in imports:
        parts = name.split(".")
        if parts[0] == "pgcore":
            target = parts[1] if len(parts) > 1 else "__init__"
            if target in HOME:  # `from pgcore import Batch` is pgcore.data.batch in the end
                target = HOME[target].split(".")[1]
            allowed = {unit, "_version"} | MAY_IMPORT[unit]
            if target not in allowed and not (by_name and (unit, target) in BY_NAME):
                found.append(name)
    return found


# ---- imports ----


def test_every_unit_has_a_floor() -> None:
    assert len(MODULES) > 30
    assert {unit_of(path) for path in MODULES} <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_no_import_runs_upwards(path: Path) -> None:
    assert violations(unit_of(path), imports_of_file(path)) == []


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_the_numeric_floors_need_numpy_alone(path: Path) -> None:
    unit = unit_of(path)
    if unit not in NUMERIC_FLOORS:
        return
    outside = {name.split(".")[0] for name, _ in imports_of_file(path)} - {"pgcore"}
    standard = set(sys.stdlib_module_names)
    allowed = OUTSIDE | ({"gymnasium"} if unit in LAZILY_GYMNASIUM else set())
    assert outside - standard <= allowed


@pytest.mark.parametrize(
    ("unit", "source", "bad"),
    [
        ("kernels", "from pgcore.policies import Policy", ["pgcore.policies.Policy"]),
        ("kernels", "def f():\n    import pgcore.data.batch", ["pgcore.data.batch"]),
        ("kernels", "from pgcore import rollout", ["pgcore.rollout"]),
        ("kernels", "from pgcore import Batch", ["pgcore.Batch"]),
        ("rollout", "from pgcore import Batch", []),
        ("kernels", "from ..training.config import Config", ["pgcore.training.config.Config"]),
        ("kernels", "from .scan import gae\nfrom pgcore._dispatch import core", []),
        ("kernels", "if TYPE_CHECKING:\n    from pgcore.data.batch import Batch", []),
        (
            "kernels",
            "if TYPE_CHECKING:\n    pass\nelse:\n    import pgcore.data.batch",
            ["pgcore.data.batch"],
        ),
        ("baselines", "from pgcore.policies import Policy", ["pgcore.policies.Policy"]),
        ("reference", "from pgcore.kernels import gae", ["pgcore.kernels.gae"]),
        ("training", "import importlib\nimportlib.import_module('pgcore.algorithms')", []),
        ("training", "import pgcore.algorithms", ["pgcore.algorithms"]),
        ("rollout", "import importlib\nimportlib.import_module('pgcore.training')", ["pgcore.training"]),
    ],
)
def test_the_import_rule_sees(unit: str, source: str, bad: list[str]) -> None:
    assert violations(unit, imports_of(source, f"pgcore.{unit}.example", is_package=False)) == bad


# ---- what is in the files ----


def code_words(path: Path) -> set[str]:
    """Lower-case words of names and texts, docstrings and comments left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    texts = [name for name, _ in imports_of_file(path)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            texts.append(node.value)
        elif isinstance(node, ast.Name):
            texts.append(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            texts.extend(alias.name for alias in node.names)
    return {word for text in texts for word in re.findall(r"[a-z]+", text.lower())}


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_no_deep_learning_framework_is_named_in_code(path: Path) -> None:
    assert not code_words(path) & {"torch", "tensorflow", "jax", "autograd", "numba"}


def sources() -> list[Path]:
    files = [path for ending in ("*.hpp", "*.cpp") for path in (ROOT / "cpp").rglob(ending)]
    assert len(files) > 20
    return MODULES + sorted(files)


def public_definitions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.AST]]:
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name[0] != "_":
            overload = any(
                ast.unparse(decorator).endswith(("overload", ".setter")) for decorator in node.decorator_list
            )
            if not overload:
                yield f"{prefix}.{node.name}", node
            protocol = isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases)
            if isinstance(node, ast.ClassDef) and not protocol:  # a protocol's members say it by their types
                yield from public_definitions(node.body, f"{prefix}.{node.name}")


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_everything_public_is_documented(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the module"
    # Other than that, a module that is private may be brief.
    if not any(part.startswith("_") and part != "__init__.py" for part in path.relative_to(PACKAGE).parts):
        bare = [
            name for name, node in public_definitions(tree.body, dotted(path)) if not ast.get_docstring(node)
        ]  # type: ignore[arg-type]
        assert bare == []


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_every_module_postpones_annotations(path: Path) -> None:
    if path.name != "__main__.py" and len(path.read_text(encoding="utf-8").splitlines()) > 10:
        assert "from __future__ import annotations" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_left_to_do(path: Path) -> None:
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", path.read_text(encoding="utf-8"))


# ---- names ----


def public_packages() -> list[str]:
    names = {"pgcore"} | {dotted(path) for path in PACKAGE.glob("*/__init__.py")}
    return sorted(names)


@pytest.mark.parametrize("name", public_packages())
def test_all_names_resolve(name: str) -> None:
    module = importlib.import_module(name)
    names = module.__all__
    assert len(names) == len(set(names))
    for attribute in names:
        assert getattr(module, attribute) is not None


def test_unknown_names_raise() -> None:
    with pytest.raises(AttributeError) as caught:
        pgcore.reinforce  # noqa: B018
    assert str(caught.value) == "module 'pgcore' has no attribute 'reinforce'"


# ---- one version, one set of requirements ----


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def captured(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    assert match, f"{pattern} not found"
    return match[1]


def test_the_version_stands_in_one_place() -> None:
    pyproject = text_of("pyproject.toml")
    assert 'dynamic = ["version"]' in pyproject
    assert not re.search(r"^version\s*=", pyproject, re.MULTILINE)
    source = captured(r'^metadata\.version\.input = "(.*)"', pyproject)
    assert captured(r'^__version__ = "(.*)"', text_of(source)) == pgcore.__version__
    assert importlib.metadata.version("pgcore-rl") == pgcore.__version__
    project = captured(r"^project\(([^)]*)\)", text_of("CMakeLists.txt"))
    assert "VERSION" not in project
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc|\.dev)\d+)?", pgcore.__version__)


def test_cmake_and_pyproject_want_the_same_cmake() -> None:
    wanted = captured(r"^cmake_minimum_required\(VERSION ([\d.]+)\)", text_of("CMakeLists.txt"))
    assert captured(r'^cmake\.version = ">=([\d.]+)"', text_of("pyproject.toml")) == wanted
    preset = json.loads(text_of("CMakePresets.json"))["cmakeMinimumRequired"]
    assert tuple(map(int, wanted.split("."))) <= (preset["major"], preset["minor"])


def test_the_oldest_python_is_the_same_everywhere() -> None:
    pyproject = text_of("pyproject.toml")
    oldest = captured(r'^requires-python = ">=3\.(\d+)"', pyproject)
    assert captured(r'^target-version = "py3(\d+)"', pyproject) == oldest
    assert captured(r'^build = "cp3(\d+)-\*', pyproject) == oldest
    assert captured(r'"Programming Language :: Python :: 3\.(\d+)"', pyproject) == oldest


def test_every_binding_is_built_and_listed() -> None:
    """A family is one header, one binding file, one line in CMake's list and one in `module.cpp`."""
    bindings = {path.stem for path in (ROOT / "cpp" / "bindings").glob("*.cpp")} - {"module", "cpu"}
    listed = captured(r"add_library\(bindings OBJECT ([^)]*)\)", text_of("cpp/bindings/CMakeLists.txt"))
    assert {name.removesuffix(".cpp") for name in listed.split()} == bindings | {"module"}
    module = text_of("cpp/bindings/module.cpp")
    assert set(re.findall(r"bind_(\w+)\(m\)", module)) == bindings
    for name in bindings:
        assert (ROOT / "cpp" / "include" / "pgcore" / f"{name}.hpp").is_file()


def test_every_core_source_is_built() -> None:
    listed = captured(r"set\(PGCORE_CORE_SOURCES ([^)]*)\)", text_of("cmake/Variants.cmake"))
    assert set(listed.split()) == {path.stem for path in (ROOT / "cpp" / "src").glob("*.cpp")}


INTERFACES = sorted((ROOT / "cpp" / "include" / "pgcore").glob("*.hpp"))
BINDINGS = sorted(path for path in (ROOT / "cpp" / "bindings").iterdir() if path.suffix in (".hpp", ".cpp"))


@pytest.mark.parametrize("path", INTERFACES + BINDINGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_compiled_once_for_all_levels_holds_no_arithmetic(path: Path) -> None:
    """Bindings, and the interfaces they include, are compiled without a level's flags."""
    text = path.read_text(encoding="utf-8")
    ours = set(re.findall(r'#include "(.*)"', text))
    names = {f"pgcore/{interface.name}" for interface in INTERFACES}
    if path in BINDINGS:
        names |= {binding.name for binding in BINDINGS if binding.suffix == ".hpp"}
    assert ours <= names
    assert "Eigen" not in text
    assert "PGCORE_INDEPENDENT" not in text


def test_every_kernel_family_has_a_reference_and_tests() -> None:
    families = {path.stem for path in (PACKAGE / "kernels").glob("[a-z]*.py")}
    assert {path.stem for path in (PACKAGE / "reference").glob("[a-z]*.py")} == families
    assert families <= {
        path.stem.removeprefix("test_") for path in (ROOT / "tests" / "kernels").glob("test_*.py")
    }
