"""Calls of a program's own functions and classes that cannot work: too many arguments, unknown names.

Only definitions that are certain count: bound once, not decorated by what may change them, of a class
whose constructor is known. Anything else is left for the run to tell.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from autoresearch.practice.parameters import (
    Function,
    Parameters,
    dataclass_parameters,
    function_parameters,
    last_name,
    members_of,
    method_parameters,
)
from autoresearch.practice.programs import Module, Problem, Program, scopes

# Classes of libraries that leave the arguments to the __init__ of whoever inherits from them.
_PLAIN_BASES = frozenset(
    {"object", "ABC", "Module", "Dataset", "IterableDataset", "BaseEstimator", "ClassifierMixin",
     "RegressorMixin", "TransformerMixin", "Exception", "ValueError", "RuntimeError"}
)  # fmt: skip


@dataclass(frozen=True)
class _Callee:
    name: str
    parameters: Parameters
    where: str


def check_calls(program: Program) -> Iterator[Problem]:
    """What is surely wrong with the arguments of calls of the program's own definitions."""
    finder = _Finder(program)
    for module in program.modules.values():
        for call, callee in finder.calls(module):
            what = callee.parameters.problem(call)
            if what and not module.guarded(call, "TypeError"):
                right = f"it is {callee.name}{callee.parameters} in {callee.where}"
                near = [k.arg for k in call.keywords if k.arg and f"{k.arg!r}" in what]
                known = (*callee.parameters.places, *callee.parameters.named)
                like = get_close_matches(near[0], known, 1) if near and "has no" in what else []
                right += f"; did you mean {like[0]!r}?" if like else ""
                yield Problem(module.path, call.lineno, f"{callee.name}() {what}", right)


class _Finder:
    """Which definition a call means, where that is certain."""

    def __init__(self, program: Program) -> None:
        self.program = program
        classes = [
            node
            for module in program.modules.values()
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ClassDef)
        ]
        self.counts = Counter(name for each in classes for name in members_of(each))
        self.sets = any(module.sets for module in program.modules.values())

    def calls(self, module: Module) -> Iterator[tuple[ast.Call, _Callee]]:
        for node, scope in scopes(module.tree):
            if isinstance(node, ast.Call) and scope != "class":
                found = self._meant(module, node.func)
                callee = self._callee(*found) if found else None
                if callee:
                    yield node, callee
            elif isinstance(node, ast.ClassDef):
                yield from self._own_methods(module, node)

    def _meant(self, module: Module, called: ast.expr) -> tuple[Module, str] | None:
        """The module and the name there that an expression stands for."""
        if module.dynamic:
            return None
        match called:
            case ast.Name(id=name) if module.bound[name] == 1:
                if name in module.defined:
                    return module, name
                if name not in module.imported:
                    return None
                statement, original = module.imported[name]
                source = _source(self.program, module, statement)
                return (source, original) if source else None
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if module.bound[name] == 1:
                source = self.program.module(module.aliases.get(name, "?"))
                return (source, attribute) if source else None
            case _:
                return None

    def _callee(self, module: Module, name: str) -> _Callee | None:
        node = module.defined.get(name)
        if node is None or module.bound[name] != 1 or module.dynamic:
            return None
        if name in self.program.patched:
            return None
        parameters = (
            self._constructor(module, node, 0)
            if isinstance(node, ast.ClassDef)
            else function_parameters(node)
        )
        where = f"{module.path}, line {node.lineno}"
        return _Callee(name, parameters, where) if parameters else None

    def _constructor(self, module: Module, node: ast.ClassDef, depth: int) -> Parameters | None:
        if node.keywords or depth > 8:  # a metaclass may do anything
            return None
        if node.decorator_list:
            plain = not node.bases and len(node.decorator_list) == 1
            return dataclass_parameters(node) if plain else None
        members = members_of(node)
        if members["__new__"] or members["__init__"] > 1:
            return None
        known = [self._base(module, base, depth) for base in node.bases]
        if any(base is None for base in known):
            return None
        own = [each for each in node.body if isinstance(each, Function) and each.name == "__init__"]
        if own:
            return function_parameters(own[0], skip=1)
        if not node.bases:
            return Parameters()
        return known[0] if len(known) == 1 and isinstance(known[0], Parameters) else None

    def _base(self, module: Module, base: ast.expr, depth: int) -> Parameters | str | None:
        """Of an own class its parameters, of a known one of a library its name."""
        found = self._meant(module, base)
        if found:
            home, name = found
            node = home.defined.get(name)
            certain = isinstance(node, ast.ClassDef) and home.bound[name] == 1 and not home.dynamic
            return self._constructor(home, node, depth + 1) if certain else None  # type: ignore[arg-type]
        last = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
        foreign = module.bound[last] == (last in module.imported)
        return last if last in _PLAIN_BASES and foreign else None

    def _own_methods(
        self, module: Module, node: ast.ClassDef
    ) -> Iterator[tuple[ast.Call, _Callee]]:
        """Calls of self.method() where no other class and no assignment has that name."""
        if self.sets or any(last_name(each) != "dataclass" for each in node.decorator_list):
            return
        methods = {each.name: each for each in node.body if isinstance(each, Function)}
        certain = {
            name: parameters
            for name, each in methods.items()
            if self.counts[name] == 1
            and name not in self.program.stored
            and (parameters := method_parameters(each))
        }
        for method in methods.values():
            first = method.args.args[0].arg if method.args.args else ""
            if method.decorator_list or not first or _rebinds(method, first):
                continue
            for call in ast.walk(method):
                match call:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attribute)):
                        if name == first and attribute in certain:
                            where = f"{module.path}, line {methods[attribute].lineno}"
                            full = f"{node.name}.{attribute}"
                            yield call, _Callee(full, certain[attribute], where)


def _source(program: Program, module: Module, statement: ast.ImportFrom) -> Module | None:
    if statement.level:
        return program.relative(module.path, statement)[0]
    return program.module(statement.module or "?")


def _rebinds(method: Function, first: str) -> bool:
    """Whether something inside gives the method's first parameter's name to something else."""
    inner = [n for n in ast.walk(method) if n is not method.args.args[0]]
    return any(
        (isinstance(n, ast.arg) and n.arg == first)
        or (isinstance(n, ast.Name) and n.id == first and not isinstance(n.ctx, ast.Load))
        for n in inner
    )
