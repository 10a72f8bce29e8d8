"""What Python sources import, and which private names of other modules they use, inherited ones too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

# Methods that a named tuple documents, under names that cannot collide with its fields'.
_NAMED_TUPLE = {"_asdict", "_field_defaults", "_fields", "_make", "_replace"}


class Import(NamedTuple):
    name: str
    """Dotted, with the name that is taken from the module: ``from a.b import c`` imports ``a.b.c``."""
    line: int
    by_name: bool = False
    """Whether by `importlib.import_module`."""


# ---- imports ----


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def nodes_of(tree: ast.AST, *, type_checking: bool) -> Iterator[ast.AST]:
    """All nodes that run, or all of those for the type checker alone."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and is_type_checking(child):
            for statement in child.body if type_checking else child.orelse:
                if type_checking:
                    yield from ast.walk(statement)
                else:
                    yield statement
                    yield from nodes_of(statement, type_checking=False)
        else:
            if not type_checking:
                yield child
            yield from nodes_of(child, type_checking=type_checking)


def absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    """The module that a ``from … import`` takes names from, without leading dots."""
    base = node.module or ""
    if not node.level:
        return base
    above = module.split(".")
    above = above[: len(above) - node.level + is_package]
    return ".".join([*above, *([base] if base else [])])


def imports_of(
    source: str, module: str, *, is_package: bool = False, type_checking: bool = False
) -> Iterator[Import]:
    """What a module imports, also inside functions: at run time, or for annotations alone."""
    for node in nodes_of(ast.parse(source), type_checking=type_checking):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node, module, is_package)
            yield from (Import(f"{base}.{alias.name}", node.lineno) for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("import_module", "importlib.import_module", "__import__")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield Import(str(node.args[0].value), node.lineno, by_name=True)


def circles(edges: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """The groups of two or more nodes that reach each other."""

    def reached_from(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = set(edges.get(waiting.pop(), ())) - seen
            seen |= new
            waiting += new
        return seen

    reached = {node: reached_from(node) for node in edges}
    groups = {tuple(sorted(b for b in reached if b in reached[a] and a in reached[b])) for a in reached}
    return sorted(group for group in groups if len(group) > 1)


# ---- private names ----


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def own_names(tree: ast.AST) -> set[str]:
    """Names that a module defines: variables, functions, classes, attributes that its code sets."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("self", "cls")
        ):
            names.add(node.attr)
    return names


def is_own(node: ast.expr) -> bool:
    """``self``, ``cls``, ``super()``, ``type(self)``: an object of the class that is being defined."""
    return ast.unparse(node) in ("self", "cls", "super()", "type(self)")


def private_uses(source: str, module: str, *, is_package: bool = False) -> list[tuple[int, str]]:
    """Line and text of each use of another module's private names, for annotations too.

    A private module may be imported by the package that it is in, and by what is below that package.
    """
    tree = ast.parse(source)
    found = []
    own = own_names(tree)

    def private_in(dotted: str) -> bool:
        """Whether a module's path has a private part that this module is outside of."""
        parts = dotted.split(".")
        return any(
            is_private(part) and not f"{module}.".startswith(".".join([*parts[:i], ""]))
            for i, part in enumerate(parts)
        )

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, f"import {alias.name}") for alias in node.names if private_in(alias.name)]
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node, module, is_package)
            for alias in node.names:
                # `from package import _module` takes a module, of which its own package may make use
                module_of_package = f"{module}.".startswith(f"{base}.")
                if private_in(base) or (is_private(alias.name) and not module_of_package):
                    found.append((node.lineno, f"from {base} import {alias.name}"))
        elif isinstance(node, ast.Attribute):
            if (
                is_private(node.attr)
                and node.attr not in own
                and node.attr not in _NAMED_TUPLE
                and not is_own(node.value)
            ):
                found.append((node.lineno, ast.unparse(node)))
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("getattr", "setattr", "hasattr", "delattr")
            and len(node.args) > 1
            and isinstance(node.args[1], ast.Constant)
            and is_private(str(node.args[1].value))
            and node.args[1].value not in own
            and not is_own(node.args[0])
        ):
            found.append((node.lineno, ast.unparse(node)))
    return sorted(found)


# ---- inherited private names ----


class _Class(NamedTuple):
    bases: list[tuple[str, str]]
    """Module and name of each base whose source is known."""
    private: set[str]
    """Private names that its body defines or sets on ``self``."""
    uses: list[tuple[int, str]]
    """Private names of ``self``, ``cls`` and ``super()`` that it defines, sets or reads."""


def inherited_private_uses(sources: Mapping[str, str], modules: Iterable[str]) -> list[tuple[str, int, str]]:
    """Module, line and text of each use, in a class of ``modules``, of a base class's private name.

    To read ``self._x`` is a use, and to set or define it again, where a base class of another module defines
    it. ``sources`` are the texts by dotted name (``a.b`` for ``a/b/__init__.py``), those of other libraries
    too where their classes count.
    """
    tables = {module: _table(module, ast.parse(source), sources) for module, source in sources.items()}
    classes = {
        (module, name): _class(node, module, tables)
        for module, table in tables.items()
        for name, node in table.items()
        if isinstance(node, ast.ClassDef)
    }

    def ancestors(key: tuple[str, str]) -> Iterator[tuple[str, str]]:
        for base in classes[key].bases if key in classes else ():
            yield base
            yield from ancestors(base)

    found = set()
    wanted = set(modules)
    for key, one in classes.items():
        if key[0] not in wanted:
            continue
        for base in ancestors(key):
            if base[0] != key[0] and base in classes:
                text = f"{key[1]}: {{}}, of {base[0]}.{base[1]}"
                found |= {
                    (key[0], line, text.format(name))
                    for line, name in one.uses
                    if name in classes[base].private
                }
    return sorted(found)


def _table(module: str, tree: ast.Module, sources: Mapping[str, str]) -> dict[str, ast.ClassDef | str]:
    """A module's names: its classes, and for what it imports or renames the dotted name."""
    is_package = any(other.startswith(f"{module}.") for other in sources)
    table: dict[str, ast.ClassDef | str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            table.setdefault(node.name, node)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                table[name] = alias.name if alias.asname else name
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node, module, is_package)
            table.update({alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names})
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            value = node.value.value if isinstance(node.value, ast.Subscript) else node.value
            if isinstance(target, ast.Name) and isinstance(value, ast.Name | ast.Attribute):
                table.setdefault(target.id, f"{module}.{ast.unparse(value)}")
    return table


def _resolved(
    dotted: str, tables: Mapping[str, Mapping[str, ast.ClassDef | str]], depth: int = 9
) -> tuple[str, str] | None:
    """Module and name of the class that a dotted name means, through imports; None if it is not known."""
    parts = dotted.split(".")
    for i in range(len(parts) - 1, 0, -1):
        module, rest = ".".join(parts[:i]), parts[i:]
        if module in tables and depth:
            target = tables[module].get(rest[0])
            if isinstance(target, ast.ClassDef):
                return module, rest[0]
            if target is not None:
                return _resolved(".".join([target, *rest[1:]]), tables, depth - 1)
    return None


def _class(node: ast.ClassDef, module: str, tables: Mapping[str, Mapping[str, ast.ClassDef | str]]) -> _Class:
    private: set[str] = set()
    uses = []
    for statement in node.body:
        names: list[str] = []
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [statement.name]
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        for name in filter(is_private, names):
            private.add(name)
            uses.append((statement.lineno, name))
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and is_private(part.attr) and is_own(part.value):
            uses.append((part.lineno, part.attr))
            if isinstance(part.ctx, ast.Store):
                private.add(part.attr)
    names_of_bases = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
    bases = [_resolved(f"{module}.{ast.unparse(base)}", tables) for base in names_of_bases]
    return _Class([base for base in bases if base is not None], private, uses)


# ---- tests ----


def asserts_nothing(sources: Mapping[str, str]) -> list[tuple[str, int, str]]:
    """File, line and name of the tests that neither assert nor call a function of the tests that does."""
    functions = [
        (name, node)
        for name, source in sources.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    ]
    calls = {node: set(_called(node)) for _, node in functions}
    checking = {
        node.name
        for _, node in functions
        if any(
            isinstance(part, ast.Assert)
            or (isinstance(part, ast.Raise) and "AssertionError" in ast.unparse(part))
            for part in ast.walk(node)
        )
        or any(re.search("assert|raises|warns", name) for name in calls[node])
    }
    while more := {node.name for _, node in functions if calls[node] & checking} - checking:
        checking |= more
    return [
        (name, node.lineno, node.name)
        for name, node in functions
        if node.name.startswith("test_") and node.name not in checking
    ]


def _called(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute | ast.Name):
            yield part.func.attr if isinstance(part.func, ast.Attribute) else part.func.id
