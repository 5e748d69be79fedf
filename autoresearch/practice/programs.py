"""A program as its files say it: which names each module binds, imports and defines.

Only what reading makes certain is used; a module that binds names while it runs is marked as such.
"""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_NAMED = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.ExceptHandler,
    ast.MatchAs,
    ast.MatchStar,
)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_BINDING_CALLS = frozenset({"globals", "exec", "locals", "builtins", "__builtins__"})
_PATHS = frozenset({"path", "meta_path", "path_hooks", "modules"})  # of sys


@dataclass(frozen=True)
class Problem:
    """Something that is surely wrong. `what` names no line: it is the same when lines move."""

    path: str
    line: int
    what: str
    right: str = ""  # what would be right, where that can be said
    syntax: bool = False


@dataclass
class Module:
    """One parsed file. `bound` counts the places that bind a name outside of class bodies."""

    path: str
    text: str
    tree: ast.Module
    bound: Counter[str] = field(default_factory=Counter)
    exported: set[str] = field(default_factory=set)  # what its top level may hold
    defined: dict[str, Definition] = field(default_factory=dict)  # directly at its top level
    imported: dict[str, tuple[ast.ImportFrom, str]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)  # local name -> full name of a module
    stored: set[tuple[str, str]] = field(default_factory=set)  # attributes assigned, and of what
    dynamic: bool = False  # names are bound in ways that reading does not follow
    sets: bool = False  # attributes are set by names that are not read here
    moves_path: bool = False  # it may change where modules are found

    @classmethod
    def read(cls, path: str, text: str, tree: ast.Module) -> "Module":
        module = cls(path, text, tree)
        module.defined = {n.name: n for n in tree.body if isinstance(n, Definition)}
        for node, scope in scopes(tree):
            for name in _names_bound(node):
                if scope != "class":
                    module.bound[name] += 1
                if scope == "module" or isinstance(node, ast.Global):
                    module.exported.add(name)
            module._note(node)
        return module

    def _note(self, node: ast.AST) -> None:
        match node:
            case ast.Name(id=name) if name in _BINDING_CALLS:
                self.dynamic = True
            case ast.Name(id="setattr"):
                self.sets = True
            case ast.NamedExpr(target=ast.Name(id=name)):
                self.exported.add(name)
            case ast.Subscript(value=ast.Call(func=ast.Name(id="vars")), ctx=ast.Store()):
                self.dynamic = True
            case ast.Attribute(value=owner, attr=name, ctx=context):
                of = getattr(owner, "id", "")
                self.moves_path |= of == "sys" and name in _PATHS
                if isinstance(context, ast.Store):
                    self.stored.add((of, name))
            case ast.Import() | ast.ImportFrom():
                self._note_import(node)
            case _:
                pass

    def _note_import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            local = alias.asname or alias.name
            if isinstance(node, ast.ImportFrom):
                self.imported[local] = (node, alias.name)
                self.dynamic |= alias.name == "*"
                self.moves_path |= node.module == "sys"
            else:
                root = alias.name.split(".")[0]
                self.aliases[alias.asname or root] = alias.name if alias.asname else root

    @cached_property
    def guards(self) -> dict[ast.AST, set[str]]:
        """Of each node in the body of a `try`: the names of the exceptions that are caught there."""
        found: dict[ast.AST, set[str]] = {}
        for node in ast.walk(self.tree):
            names, body = _caught(node)
            for statement in body:
                for inner in ast.walk(statement):
                    found.setdefault(inner, set()).update(names)
        return found

    def guarded(self, node: ast.AST, *names: str) -> bool:
        """Whether an exception of one of these names, raised at `node`, may be caught."""
        return bool(self.guards.get(node, set()) & {*names, "Exception", "BaseException"})


def _caught(node: ast.AST) -> tuple[set[str], list[ast.stmt]]:
    if isinstance(node, ast.Try | ast.TryStar):
        kinds = [handler.type for handler in node.handlers]
        names = {_last(each) for kind in kinds for each in getattr(kind, "elts", [kind])}
        return names, node.body
    if isinstance(node, ast.With):  # contextlib.suppress(ImportError), and its like
        calls = [item.context_expr for item in node.items]
        return {_last(a) for call in calls for a in getattr(call, "args", [])}, node.body
    if isinstance(node, ast.If):  # `if TYPE_CHECKING:` does not run
        return ({"Exception"} if _last(node.test) == "TYPE_CHECKING" else set()), node.body
    return set(), []


def _last(node: ast.AST | None) -> str:
    """The last part of a name; a bare `except:` catches everything, and so may what is no name."""
    return getattr(node, "attr", getattr(node, "id", "Exception"))


def scopes(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Every node with the kind of scope that it binds names in."""
    waiting: list[tuple[ast.AST, str]] = [(tree, "module")]
    while waiting:
        node, scope = waiting.pop()
        yield node, scope
        inner = scope
        if isinstance(node, _FUNCTIONS + _COMPREHENSIONS):
            inner = "function"
        elif isinstance(node, ast.ClassDef):
            inner = "class"
        waiting += [(child, inner) for child in ast.iter_child_nodes(node)]


def _names_bound(node: ast.AST) -> list[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
            return [name]
        case ast.Import(names=aliases):
            return [alias.asname or alias.name.split(".")[0] for alias in aliases]
        case ast.ImportFrom(names=aliases):
            return [alias.asname or alias.name for alias in aliases]
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            return list(names)
        case ast.MatchMapping(rest=str(name)):
            return [name]
        case _ if isinstance(node, _NAMED) and node.name:
            return [node.name]
        case _:
            return []


@dataclass(frozen=True)
class Program:
    """The modules that parse, beside the paths of all files, and the folder that it is started in."""

    modules: Mapping[str, Module]
    files: frozenset[str]
    start: str = ""  # where the started file lies: modules are looked for there first
    imported_before: frozenset[str] = frozenset()  # modules that the code imported already

    @cached_property
    def moves_path(self) -> bool:
        return any(module.moves_path for module in self.modules.values())

    @cached_property
    def stored(self) -> set[str]:
        """Every attribute that is assigned anywhere."""
        return {name for module in self.modules.values() for _, name in module.stored}

    @cached_property
    def patched(self) -> set[str]:
        """Names of modules that other modules assign."""
        every = self.modules.values()
        return {name for each in every for owner, name in each.stored if owner in each.aliases}

    @cached_property
    def _places(self) -> set[str]:
        """Every file without its suffixes, every folder, and what each of them ends in."""
        places: set[str] = set()
        for file in self.files:
            path = PurePosixPath(file)
            own = [path.with_name(path.name.split(".")[0] or path.name), *path.parents][:-1]
            for place in own:
                parts = place.parts
                places |= {"/".join(parts[first:]) for first in range(len(parts))}
        return places

    def holds(self, dotted: str) -> bool:
        """Whether some file or folder, wherever it lies, could be this module."""
        return dotted.replace(".", "/") in self._places

    def module(self, dotted: str) -> Module | None:
        """The own module that is surely meant by this absolute name."""
        return self._at(PurePosixPath(self.start, *dotted.split(".")))

    def relative(self, importer: str, statement: ast.ImportFrom) -> tuple[Module | None, bool]:
        """The module that a relative import means, and whether anything is there."""
        folder = PurePosixPath(importer)
        for _ in range(statement.level):
            folder = folder.parent
        place = folder.joinpath(*(statement.module or "").split("."))
        there = str(place) == "." or str(place) in self._places
        return self._at(place), there

    def _at(self, place: PurePosixPath) -> Module | None:
        inside = self.modules.get(str(place / "__init__.py"))
        return inside or self.modules.get(f"{place}.py")
