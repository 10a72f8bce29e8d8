"""The stub of the compiled core says what the module has: every name, argument and type, both ways.

The module's side is what pybind11 writes into docstrings: one signature for each overload.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, WrapperDescriptorType
from typing import Any, NamedTuple

import pytest

import pgcore
from pgcore import _dispatch

STUB = (Path(pgcore.__file__).parent / "_core.pyi").read_text(encoding="utf-8")
PROTOCOLS = {"Core", "Classes"}  # of the module and of its submodules
MOST_ARGUMENTS = 8

Types = frozenset[str]


class Signature(NamedTuple):
    """Arguments after ``self`` by name, and the result, each with the types that it may have."""

    arguments: dict[str, Types]
    result: Types


# ---- the stub ----

ALIASES = {
    "FloatArray": "array:FLOAT",
    "Float64Array": "array:float64",
    "IntArray": "array:int64",
    "BoolArray": "array:bool",
}
SAYS_NOTHING = frozenset({"object"})  # what the module takes as a Python object, and looks at itself
STRUCTURE = {"Sequence", "Callable", "list", "tuple", "type", "_core"}


def stub_types(annotation: ast.expr | None, floats: set[str]) -> Types:
    """The types that an annotation names; `FloatArray` is an array of any of `floats`."""
    assert annotation is not None
    names = set(re.findall(r"\w+", ast.unparse(annotation))) - STRUCTURE
    types = {ALIASES.get(name, name) for name in names}
    if "array:FLOAT" in types:
        types = (types - {"array:FLOAT"}) | {f"array:{dtype}" for dtype in floats}
    return frozenset(types)


def stub_class(node: ast.ClassDef, floats: set[str]) -> dict[str, Signature]:
    members = {}
    for item in node.body:
        if isinstance(item, ast.FunctionDef):
            arguments = {arg.arg: stub_types(arg.annotation, floats) for arg in item.args.args[1:]}
            members[item.name] = Signature(arguments, stub_types(item.returns, floats))
    return members


def stub_attributes(node: ast.ClassDef) -> set[str]:
    """Of a protocol: the classes (and submodules) that it declares."""
    return {ast.unparse(item.target) for item in node.body if isinstance(item, ast.AnnAssign)}


# ---- the module ----


SCALARS = {name: name for name in ("int", "float", "str", "bool", "None")}
SCALARS |= {"SupportsInt": "int", "SupportsFloat": "float", "Optional": "None"}


def split(text: str) -> list[str]:
    """Split at commas outside brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[(") - (character in "])")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def module_types(text: str) -> Types:
    """The types that pybind11 names, in the stub's words."""
    text = text.partition(" = ")[0]  # without the default
    arrays = re.findall(r"numpy\.(float32|float64|bool|int64)\b", text)
    if not arrays and re.search(r"\bobject\b|numpy\.ndarray", text):
        return SAYS_NOTHING
    classes = re.findall(r"pgcore\._core_\w+(?:\.float\d\d)?\.(\w+)", text)
    rest = re.findall(r"\w+", re.sub(r"(numpy|pgcore)\.[\w.]+", "", text))
    scalars = {SCALARS[word] for word in rest if word in SCALARS}
    return frozenset({*(f"array:{dtype}" for dtype in arrays), *classes, *scalars})


def overloads(function: Any) -> list[Signature]:
    """What pybind11's docstring says of a function, method or property; kernels tell only names."""
    if text := getattr(function, "__text_signature__", None):
        names = [name for name in split(text[1:-1]) if name not in ("$self", "/")]
        return [Signature(dict.fromkeys(names, SAYS_NOTHING), SAYS_NOTHING)]
    found = re.findall(r"^(?:\d+\. )?\w*(\(.*\)) -> (.*)$", function.__doc__ or "", re.MULTILINE)
    signatures = []
    for arguments, result in found:
        pairs = [part.partition(": ")[::2] for part in split(arguments[1:-1])]
        signatures.append(
            Signature(
                {name: module_types(kind) for name, kind in pairs if name not in ("self", "arg0")},
                module_types(result),
            )
        )
    assert signatures, f"no signature in {function.__doc__!r}"
    return signatures


def together(signatures: list[Signature]) -> Signature:
    """One signature for all overloads, which must have the same arguments."""
    names = {tuple(signature.arguments) for signature in signatures}
    assert len(names) == 1, names
    (order,) = names
    return Signature(
        {name: frozenset().union(*(s.arguments[name] for s in signatures)) for name in order},
        frozenset().union(*(signature.result for signature in signatures)),
    )


def members(kind: type) -> dict[str, Any]:
    """What it defines: pybind11 gives a class without constructor the `__init__` of a slot."""
    names = [name for name in vars(kind) if name[0] != "_" or name in ("__init__", "__call__")]
    found = {name: getattr(kind, name) for name in names}
    return {name: member for name, member in found.items() if not isinstance(member, WrapperDescriptorType)}


def signature_of(member: Any) -> Signature:
    return together(overloads(member.fget if isinstance(member, property) else member))


def names_of(module: ModuleType) -> set[str]:
    return {name for name in dir(module) if not name.startswith("__")}


# ---- both ----


def differences(stub: str) -> Iterator[str]:
    classes = {node.name: node for node in ast.parse(stub).body if isinstance(node, ast.ClassDef)}
    module = _dispatch.compiled
    functions = stub_class(classes["Core"], {"float32", "float64"})
    attributes = stub_attributes(classes["Core"])
    yield from _sets("module", attributes | set(functions), names_of(module))
    for name in sorted(set(functions) & names_of(module)):
        yield from _signatures(name, functions[name], signature_of(getattr(module, name)))
    of_one_dtype = stub_attributes(classes["Classes"])
    for dtype in ("float32", "float64"):
        submodule = getattr(module, dtype)
        yield from _sets(dtype, of_one_dtype, names_of(submodule))
        for name in sorted(of_one_dtype & names_of(submodule)):
            yield from _class(f"{dtype}.{name}", classes.get(name), getattr(submodule, name), {dtype})
    general = attributes - {"float32", "float64"}
    for name in sorted(general & names_of(module)):
        yield from _class(name, classes.get(name), getattr(module, name), {"float32", "float64"})
    yield from _sets("stub", set(classes) - PROTOCOLS, general | of_one_dtype)


def _sets(where: str, stub: set[str], module: set[str]) -> Iterator[str]:
    yield from (f"{where}: {name} is in the stub alone" for name in sorted(stub - module))
    yield from (f"{where}: {name} is not in the stub" for name in sorted(module - stub))


def _class(where: str, stub: ast.ClassDef | None, kind: type, floats: set[str]) -> Iterator[str]:
    if stub is None:
        return  # missed by the set of classes
    declared, there = stub_class(stub, floats), members(kind)
    yield from _sets(where, set(declared), set(there))
    properties = {
        item.name for item in stub.body if isinstance(item, ast.FunctionDef) and item.decorator_list
    }
    for name in sorted(set(declared) & set(there)):
        if isinstance(there[name], property) != (name in properties):
            yield f"{where}.{name}: a property on one side alone"
        else:
            yield from _signatures(f"{where}.{name}", declared[name], signature_of(there[name]))


def _signatures(where: str, stub: Signature, module: Signature) -> Iterator[str]:
    if list(stub.arguments) != list(module.arguments):
        yield f"{where}: arguments {list(stub.arguments)} in the stub, {list(module.arguments)} in the module"
        return
    pairs = [(name, stub.arguments[name], module.arguments[name]) for name in stub.arguments]
    for name, declared, there in [*pairs, ("->", stub.result, module.result)]:
        if there != SAYS_NOTHING and declared != there:
            yield f"{where}: {name} is {sorted(declared)} in the stub, {sorted(there)} in the module"


def test_the_stub_is_that_of_the_module() -> None:
    assert list(differences(STUB)) == []


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("learning_rate: float, beta1", "rate: float, beta1", "AdamOptions.__init__: arguments"),
        ("clip_range: float,\n", "", "SurrogateOptions.__init__: arguments"),
        ("noise: FloatArray", "noise: IntArray", "float32.RealActor.__init__: noise is ['array:int64']"),
        ("weights: FloatArray | None", "weights: FloatArray", "float64.Policy.episode_scores: weights is"),
        ("def approx_kl", "def kl", "SurrogateReport: approx_kl is not in the stub"),
        (
            "log_ratios: object, ends: object, direction",
            "log_ratios: object, direction",
            "cumulative_log_ratios: arg",
        ),
        ("def get_num_threads", "def num_threads", "module: num_threads is in the stub alone"),
        ("    MLP: type[_core.MLP]\n", "", "float64: MLP is not in the stub"),
        ("class KroneckerInverse", "class Kronecker", "stub: KroneckerInverse is not in the stub"),
        ("-> SurrogateReport", "-> Build", "float32.SurrogateAscent.epoch: -> is ['Build']"),
        ("t: int) -> None", "t: float) -> None", "float32.RealActor.__call__: t is ['float']"),
        ("    @property\n    def cached", "    def cached", "float32.Fisher.cached: a property on one side"),
        ("beta1: float, beta2: float", "beta2: float, beta1: float", "AdamOptions.__init__: arguments"),
    ],
)
def test_a_difference_is_seen(old: str, new: str, difference: str) -> None:
    assert old in STUB
    found = list(differences(STUB.replace(old, new)))
    assert any(text.startswith(difference) for text in found), found


def functions_of(module: ModuleType | type) -> Iterator[Any]:
    for name in names_of(module) if isinstance(module, ModuleType) else members(module):
        member = getattr(module, name)
        if isinstance(member, ModuleType | type):
            yield from functions_of(member)
        elif not isinstance(member, property):
            yield member


def test_no_compiled_call_takes_many_arguments() -> None:
    functions = list(functions_of(_dispatch.compiled))
    assert len(functions) > 80
    counts = {f.__name__: len(s.arguments) for f in functions for s in overloads(f)}
    assert {name: count for name, count in counts.items() if count > MOST_ARGUMENTS} == {}
    assert max(counts.values()) == MOST_ARGUMENTS  # the rule reads them
