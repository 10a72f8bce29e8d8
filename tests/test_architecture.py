"""Rules about the code base itself: who imports whom, what is private, what is documented, one version.

A rule over files is one test, which lists what breaks it.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import gymnasium
import pytest

import pgcore
from support.source_rules import (
    Import,
    asserts_nothing,
    circles,
    imports_of,
    inherited_private_uses,
    private_uses,
)

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "python" / "pgcore"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The layers: which units each may import besides itself.
_KERNELS = {"_core", "_dispatch", "_arguments", "_rounding", "kernels"}  # _core is a stub, for annotations
_DATA = _KERNELS | {"_kinds", "_stacklevel", "data"}
_CURVATURE = _DATA | {"curvature"}
_MODELS = _CURVATURE | {"policies", "optim", "values", "baselines"}
_EXPERIENCE = _MODELS | {"rollout", "envs"}
_FILES = _EXPERIENCE | {"io"}
_TRAINING = _FILES | {"estimators", "presets", "evaluation", "callbacks", "loggers", "training"}
_EVERYTHING = _TRAINING | {"algorithms", "loading", "reference", "_build_info"}

MAY_IMPORT: dict[str, set[str]] = {
    "_version": set(),
    "_kinds": set(),  # names of classes
    "_stacklevel": set(),
    "_dispatch": {"_cpu", "_core", "_arguments"},  # and, by name, the compiled core of one level
    "_build_info": {"_dispatch"},
    "_arguments": set(),
    "_rounding": {"_arguments"},
    "kernels": {"_core", "_dispatch", "_arguments"},
    "reference": set(),  # NumPy alone
    "data": _KERNELS,
    "curvature": _DATA,
    "optim": _CURVATURE,
    "policies": _CURVATURE | {"optim"},
    "values": _KERNELS | {"_kinds"},
    "baselines": _DATA | {"values"},
    "rollout": _MODELS,
    "envs": _MODELS | {"rollout"},
    "io": _EXPERIENCE,
    "estimators": _MODELS,
    "presets": set(),  # tables of numbers
    "evaluation": _EXPERIENCE,
    "callbacks": _EXPERIENCE,
    "loggers": _FILES | {"callbacks"},
    "training": _TRAINING,
    "algorithms": _TRAINING,
    "loading": _TRAINING | {"algorithms"},
    "lab": _EVERYTHING,
    "runs": _EVERYTHING,
    "benchmarks": _EVERYTHING,
    "plots": _EVERYTHING | {"lab", "runs", "benchmarks"},
    "cli": _EVERYTHING | {"lab", "runs", "benchmarks", "plots"},
    "__main__": {"cli"},
    "__init__": _EVERYTHING,
}

# Upward references by name, made only when asked for.
BY_NAME: set[tuple[str, str]] = set()

# Upward references of annotations alone, under `if TYPE_CHECKING`.
ANNOTATIONS_UPWARDS: set[tuple[str, str]] = {
    ("_dispatch", "_arguments"),
    ("baselines", "policies"),
    ("curvature", "policies"),
    ("optim", "policies"),
    ("values", "policies"),
}

# Private names of other libraries, which offer nothing else.
PRIVATE_ELSEWHERE = {
    ("pgcore._stacklevel", "sys._getframe"),  # documented; `inspect` is slower by far
    ("pgcore.rollout.async_vector", "env._state"),
    ("pgcore.rollout.calls", "base._env_obs"),
}

# Private names of other libraries' classes that ours inherit. tests/rollout/test_gymnasium_internals.py says
# what these, `_env_obs` and `_state` must mean.
INHERITED_ELSEWHERE = {
    "AsyncVectorEnv: _poll_pipe_envs, of gymnasium.vector.async_vector_env.AsyncVectorEnv",
    "AsyncVectorEnv: _raise_if_errors, of gymnasium.vector.async_vector_env.AsyncVectorEnv",
}

# Of the outside world: what the layers below rollout may use.
NUMERIC_LAYERS = {
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
    "values",
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


def imports_of_file(path: Path, *, type_checking: bool = False) -> Iterator[Import]:
    source = path.read_text(encoding="utf-8")
    is_package = path.name == "__init__.py"
    return imports_of(source, dotted(path), is_package=is_package, type_checking=type_checking)


def target_of(name: str) -> str | None:
    """The unit that an imported name belongs to; None outside the package."""
    parts = name.split(".")
    if parts[0] != "pgcore":
        return None
    target = parts[1] if len(parts) > 1 else "__init__"
    return HOME[target].split(".")[1] if target in HOME else target  # `pgcore.Batch` is pgcore.data.batch


def upwards(unit: str, imports: Iterable[Import]) -> list[Import]:
    """The imports of a unit that its layer does not allow."""
    allowed = {None, unit, "_version"} | MAY_IMPORT[unit]
    return [
        found
        for found in imports
        if (target := target_of(found.name)) not in allowed
        and not (found.by_name and (unit, target) in BY_NAME)
    ]


def at(path: Path, line: int, what: str) -> str:
    return f"{path.relative_to(ROOT)}:{line}: {what}"


# ---- imports ----


def test_every_unit_has_a_layer() -> None:
    assert len(MODULES) > 30
    assert {unit_of(path) for path in MODULES} <= set(MAY_IMPORT)


def test_no_import_runs_upwards() -> None:
    bad = [
        at(path, found.line, found.name)
        for path in MODULES
        for found in upwards(unit_of(path), imports_of_file(path))
    ]
    assert bad == []


def test_annotations_refer_upwards_only_where_it_is_listed() -> None:
    bad = [
        at(path, found.line, found.name)
        for path in MODULES
        for found in upwards(unit_of(path), imports_of_file(path, type_checking=True))
        if (unit_of(path), target_of(found.name)) not in ANNOTATIONS_UPWARDS
        and target_of(found.name) != "_core"  # the stub of the compiled core, below all
    ]
    assert bad == []


def test_no_circle_of_packages() -> None:
    edges: dict[str, set[str]] = {}
    for path in MODULES:
        unit = unit_of(path)
        targets = {
            target
            for found in imports_of_file(path)
            if (target := target_of(found.name)) is not None
            and not (found.by_name and (unit, target) in BY_NAME)
        }
        edges.setdefault(unit, set()).update(targets - {unit})
    assert circles(edges) == []


def test_no_module_uses_private_names_of_another() -> None:
    bad = [
        at(path, line, what)
        for path in MODULES
        for line, what in private_uses(
            path.read_text(encoding="utf-8"), dotted(path), is_package=path.name == "__init__.py"
        )
        if (dotted(path), what) not in PRIVATE_ELSEWHERE
    ]
    assert bad == []


def test_no_class_uses_private_names_of_a_base_class_of_another_module() -> None:
    own = {dotted(path): path.read_text(encoding="utf-8") for path in MODULES}
    library = Path(gymnasium.__file__).parent
    theirs = {
        ".".join(path.relative_to(library.parent).with_suffix("").parts).removesuffix(".__init__"): (
            path.read_text(encoding="utf-8")
        )
        for path in (library / "__init__.py", library / "core.py", *(library / "vector").rglob("*.py"))
    }
    found = inherited_private_uses({**own, **theirs}, own)
    bad = [f"{module}:{line}: {what}" for module, line, what in found if what not in INHERITED_ELSEWHERE]
    assert bad == []
    assert {what for _, _, what in found} == INHERITED_ELSEWHERE


def test_the_numeric_layers_need_numpy_alone() -> None:
    bad = []
    for path in MODULES:
        unit = unit_of(path)
        allowed = {"pgcore"} | OUTSIDE | set(sys.stdlib_module_names)
        if unit in LAZILY_GYMNASIUM:
            allowed = allowed | {"gymnasium"}
        if unit in NUMERIC_LAYERS:
            bad += [
                at(path, found.line, found.name)
                for found in imports_of_file(path)
                if found.name.split(".")[0] not in allowed
            ]
    assert bad == []


@pytest.mark.parametrize(
    ("unit", "source", "bad"),
    [
        ("kernels", "from pgcore.policies import Policy", ["pgcore.policies.Policy"]),
        ("kernels", "def f():\n    import pgcore.data.batch", ["pgcore.data.batch"]),
        ("kernels", "from pgcore import rollout", ["pgcore.rollout"]),
        ("kernels", "from pgcore import Batch", ["pgcore.Batch"]),
        ("rollout", "from pgcore import Batch", []),
        ("kernels", "from ..training.config import Config", ["pgcore.training.config.Config"]),
        ("kernels", "from .scan import gae\nfrom pgcore._dispatch import load", []),
        ("kernels", "if TYPE_CHECKING:\n    from pgcore.data.batch import Batch", []),
        (
            "kernels",
            "if TYPE_CHECKING:\n    pass\nelse:\n    import pgcore.data.batch",
            ["pgcore.data.batch"],
        ),
        ("baselines", "from pgcore.policies import Policy", ["pgcore.policies.Policy"]),
        ("reference", "from pgcore.kernels import gae", ["pgcore.kernels.gae"]),
        (
            "training",
            "import importlib\nimportlib.import_module('pgcore.algorithms')",
            ["pgcore.algorithms"],
        ),
        ("training", "import pgcore.algorithms", ["pgcore.algorithms"]),
        ("rollout", "import importlib\nimportlib.import_module('pgcore.training')", ["pgcore.training"]),
    ],
)
def test_the_import_rule_sees(unit: str, source: str, bad: list[str]) -> None:
    assert [found.name for found in upwards(unit, imports_of(source, f"pgcore.{unit}.example"))] == bad


@pytest.mark.parametrize(
    ("source", "bad"),
    [
        ("if TYPE_CHECKING:\n    from pgcore.data.batch import Batch", ["pgcore.data.batch.Batch"]),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import pgcore.data.batch", []),
        ("def f():\n    if typing.TYPE_CHECKING:\n        import pgcore.envs", ["pgcore.envs"]),
        ("from pgcore.data.batch import Batch", []),  # the other rule sees it
    ],
)
def test_the_rule_of_annotations_sees(source: str, bad: list[str]) -> None:
    imports = imports_of(source, "pgcore.kernels.example", type_checking=True)
    assert [found.name for found in upwards("kernels", imports)] == bad


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}}, []),
        ({"a": {"b"}, "b": {"a"}}, [("a", "b")]),
        ({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}}, [("a", "b", "c"), ("d", "e")]),
    ],
)
def test_the_rule_of_circles_sees(edges: dict[str, set[str]], expected: list[tuple[str, ...]]) -> None:
    assert circles(edges) == expected


@pytest.mark.parametrize(
    ("source", "bad"),
    [
        ("from pgcore.baselines.base import _name", ["from pgcore.baselines.base import _name"]),
        ("from pgcore.optim.surrogate import _name", ["from pgcore.optim.surrogate import _name"]),
        ("from .surrogate import _name", ["from pgcore.optim.surrogate import _name"]),
        ("import pgcore.kernels._private", ["import pgcore.kernels._private"]),
        ("from pgcore.kernels import _private", ["from pgcore.kernels import _private"]),
        ("from pgcore.kernels._private import name", ["from pgcore.kernels._private import name"]),
        ("from pgcore._arguments import name", []),  # its own package's
        ("from pgcore import _arguments", []),
        ("from pgcore.optim._private import name", []),
        ("from . import _private", []),
        ("from numpy._core import name", ["from numpy._core import name"]),
        ("from __future__ import annotations", []),
        ("if TYPE_CHECKING:\n    from pgcore.envs._shared import X", ["from pgcore.envs._shared import X"]),
        ("def f(policy):\n    return policy._params", ["policy._params"]),
        ("def f(policy):\n    policy._params = 1", ["policy._params"]),
        ("def f(model):\n    model.policy._core.call()", ["model.policy._core"]),
        ("def f(policy):\n    return getattr(policy, '_core')", ["getattr(policy, '_core')"]),
        ("def f(policy):\n    return hasattr(policy, '_core')", ["hasattr(policy, '_core')"]),
        ("class A:\n    def f(self, other):\n        self._x = 1\n        return other._x", []),  # its own
        ("class A:\n    _x: int = 1\ndef f(a):\n    return a._x", []),
        ("class A(B):\n    def f(self):\n        return self._x + super()._y", []),
        ("def f(pair):\n    return pair._replace(a=1), pair.__dict__", []),
    ],
)
def test_the_rule_of_private_names_sees(source: str, bad: list[str]) -> None:
    assert [what for _, what in private_uses(source, "pgcore.optim.example")] == bad


BASE = """
class Base:
    _x = 1
    def _method(self):
        self._set = 1
    def public(self):
        ...
"""


@pytest.mark.parametrize(
    ("source", "bad"),
    [
        ("from pgcore.base import Base\nclass A(Base):\n    _x = 2", ["_x"]),
        ("from pgcore.base import Base\nclass A(Base):\n    _x: int = 2", ["_x"]),
        ("from pgcore.base import Base\nclass A(Base):\n    def _method(self):\n        ...", ["_method"]),
        (
            "from pgcore.base import Base\nclass A(Base):\n    def f(self):\n        return self._set",
            ["_set"],
        ),
        ("from pgcore.base import Base\nclass A(Base):\n    def f(self):\n        self._set = 2", ["_set"]),
        (
            "from pgcore.base import Base\nclass A(Base):\n    def f(self):\n        super()._method()",
            ["_method"],
        ),
        ("from .base import Base as B\nclass A(B[int]):\n    _x = 2", ["_x"]),
        ("import pgcore.base as base\nAlias = base.Base\nclass A(Alias):\n    _x = 2", ["_x"]),
        ("from pgcore.base import Base\nC: TypeAlias = Base[int]\nclass A(C):\n    _x = 2", ["_x"]),
        ("from pgcore import Base\nclass A(Base):\n    _x = 2", ["_x"]),  # re-exported
        ("from pgcore.base import Base\nclass A(Base):\n    ...\nclass B(A):\n    _x = 2", ["_x"]),
        ("from pgcore.base import Base\nclass A(Base):\n    _y = 2\n    def public(self):\n        ...", []),
        ("class Base:\n    _x = 1\nclass A(Base):\n    _x = 2", []),  # of the same module
        ("from elsewhere import Base\nclass A(Base):\n    _x = 2", []),  # its source is not known
    ],
)
def test_the_rule_of_inherited_private_names_sees(source: str, bad: list[str]) -> None:
    sources = {"pgcore": "from pgcore.base import Base", "pgcore.base": BASE, "pgcore.example": source}
    found = inherited_private_uses(sources, ["pgcore.example", "pgcore.base"])
    assert [what.split(": ")[1] for _, _, what in found] == [f"{name}, of pgcore.base.Base" for name in bad]


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
    texts = [found.name for found in imports_of_file(path)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            texts.append(node.value)
        elif isinstance(node, ast.Name):
            texts.append(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            texts.extend(alias.name for alias in node.names)
    return {word for text in texts for word in re.findall(r"[a-z]+", text.lower())}


def test_no_deep_learning_framework_is_named_in_code() -> None:
    frameworks = {"torch", "tensorflow", "jax", "autograd", "numba"}
    bad = [
        f"{dotted(path)}: {word}"
        for path in MODULES
        if unit_of(path) != "benchmarks"  # which compares with them, where they are installed
        for word in sorted(code_words(path) & frameworks)
    ]
    assert bad == []


def sources() -> list[Path]:
    files = [path for ending in ("*.hpp", "*.cpp") for path in (ROOT / "cpp").rglob(ending)]
    assert len(files) > 20
    return MODULES + sorted(files)


Documented: TypeAlias = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public_definitions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, Documented]]:
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


def test_everything_public_is_documented() -> None:
    bad = []
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not ast.get_docstring(tree):
            bad.append(at(path, 1, "the module"))
        # Other than that, a module that is private may be brief.
        if any(part.startswith("_") and part != "__init__.py" for part in path.relative_to(PACKAGE).parts):
            continue
        bad += [
            at(path, node.lineno, name)
            for name, node in public_definitions(tree.body, dotted(path))
            if not ast.get_docstring(node)
        ]
    assert bad == []


def test_every_module_postpones_annotations() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in MODULES if path.name != "__main__.py"}
    bad = [
        str(path.relative_to(ROOT))
        for path, text in texts.items()
        if len(text.splitlines()) > 10 and "from __future__ import annotations" not in text
    ]
    assert bad == []


def test_nothing_is_left_to_do() -> None:
    bad = [
        at(path, number, line.strip())
        for path in sources()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line)
    ]
    assert bad == []


# ---- names ----


def public_packages() -> list[str]:
    names = {"pgcore"} | {dotted(path) for path in PACKAGE.glob("*/__init__.py")}
    return sorted(names)


def test_all_names_resolve() -> None:
    bad = []
    for package in public_packages():
        module = importlib.import_module(package)
        bad += [f"{package}.{name}" for name in module.__all__ if getattr(module, name, None) is None]
        bad += [f"{package}.{name} twice" for name, count in Counter(module.__all__).items() if count > 1]
    assert bad == []


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
    listed = captured(r"set\(PGCORE_CORE_SOURCES\s+([^)]*)\)", text_of("cmake/Variants.cmake"))
    source = ROOT / "cpp" / "src"
    assert set(listed.split()) == {
        path.relative_to(source).with_suffix("").as_posix() for path in source.rglob("*.cpp")
    }


INTERFACES = sorted((ROOT / "cpp" / "include" / "pgcore").glob("*.hpp"))
BINDINGS = sorted(path for path in (ROOT / "cpp" / "bindings").iterdir() if path.suffix in (".hpp", ".cpp"))


def test_what_is_compiled_once_for_all_levels_holds_no_arithmetic() -> None:
    """Bindings, and the interfaces they include, are compiled without a level's flags."""
    bad = []
    for path in INTERFACES + BINDINGS:
        text = path.read_text(encoding="utf-8")
        names = {f"pgcore/{interface.name}" for interface in INTERFACES}
        if path in BINDINGS:
            names |= {binding.name for binding in BINDINGS if binding.suffix == ".hpp"}
        bad += [
            f"{path.relative_to(ROOT)}: {name}"
            for name in sorted(set(re.findall(r'#include "(.*)"', text)) - names)
            + [word for word in ("Eigen", "PGCORE_INDEPENDENT") if word in text]
        ]
    assert bad == []


def test_every_kernel_family_has_a_reference_and_tests() -> None:
    families = {path.stem for path in (PACKAGE / "kernels").glob("[a-z]*.py")} - {"coercion"}
    assert {path.stem for path in (PACKAGE / "reference").glob("[a-z]*.py")} == families
    assert families <= {
        path.stem.removeprefix("test_") for path in (ROOT / "tests" / "kernels").glob("test_*.py")
    }


# ---- the tests themselves ----


def test_every_test_asserts_something() -> None:
    sources = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for path in sorted((ROOT / "tests").rglob("*.py"))
    }
    assert [f"{path}:{line}: {name}" for path, line, name in asserts_nothing(sources)] == []


@pytest.mark.parametrize(
    ("body", "nothing"),
    [
        ("f(1)", True),
        ("assert f(1)", False),
        ("with pytest.raises(ValueError):\n        f(1)", False),
        ("assert_close(f(1), 2)", False),
        ("check(f(1))", False),
        ("indirect(f(1))", False),
        ("print(f(1))", True),
    ],
)
def test_the_rule_of_assertions_sees(body: str, nothing: bool) -> None:
    helpers = "def check(x):\n    assert x\ndef indirect(x):\n    return check(x)\ndef f(x):\n    return x"
    found = asserts_nothing({"helpers": helpers, "tests": f"def test_f():\n    {body}"})
    assert found == ([("tests", 1, "test_f")] if nothing else [])
