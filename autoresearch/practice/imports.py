"""Imports that cannot work: modules that are not there, and names that a module of the program lacks."""

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches

from autoresearch.practice.programs import Module, Problem, Program

Installed = Callable[[], frozenset[str]]  # top-level modules; empty where that is not known
_OBSCURE = frozenset({"runpy", "nturl2path", "this", "antigravity"})  # hardly ever what was meant
_IMPORT = re.compile(r"^\s*(?:import|from)\s.*", re.MULTILINE)


def words_of_imports(texts: Iterable[str]) -> set[str]:
    """Every word in lines that import something."""
    return {
        word
        for text in texts
        for line in _IMPORT.findall(text)
        for word in re.findall(r"\w+", line)
    }


def check_imports(program: Program, installed: Installed) -> Iterator[Problem]:
    """What is surely wrong with imports. `installed` is asked only where a module is neither of the program
    nor imported before."""
    for module in program.modules.values():
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            if not module.guarded(node, "ImportError", "ModuleNotFoundError"):
                yield from _check(program, module, node, installed)


def _check(
    program: Program, module: Module, node: ast.Import | ast.ImportFrom, installed: Installed
) -> Iterator[Problem]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from _missing(program, module, node, alias.name, installed)
    elif node.level:
        yield from _relative(program, module, node)
    else:
        wanted = node.module or ""
        missing = list(_missing(program, module, node, wanted, installed))
        yield from missing
        source = None if missing else program.module(wanted)
        if source and wanted.split(".")[0] not in sys.stdlib_module_names:
            yield from _lacking(program, module, node, source)


def _missing(
    program: Program, module: Module, node: ast.stmt, wanted: str, installed: Installed
) -> Iterator[Problem]:
    root = wanted.split(".")[0]
    if program.moves_path or program.holds(wanted):
        return
    if program.holds(root):  # a folder of that name may hold data, and the module be installed
        if program.module(root) and root not in sys.stdlib_module_names:
            yield Problem(module.path, node.lineno, f"there is no module {wanted!r}", _beside(root))
        return
    if root in program.imported_before or root in sys.builtin_module_names:
        return
    there = installed()
    if not there or root in there:
        return
    like = get_close_matches(root, [*_own(program), *(there - _OBSCURE)], 1, 0.8)
    right = f"did you mean {like[0]!r}?" if like else "use what is installed, or write it out"
    yield Problem(module.path, node.lineno, f"there is no module {root!r}", right)


def _beside(root: str) -> str:
    return f"{root} is of this program, and has no such part"


def _own(program: Program) -> list[str]:
    return [path.removesuffix(".py") for path in program.modules if "/" not in path]


def _relative(program: Program, module: Module, node: ast.ImportFrom) -> Iterator[Problem]:
    source, there = program.relative(module.path, node)
    if source:
        yield from _lacking(program, module, node, source)
    elif not there:
        name = "." * node.level + (node.module or "")
        yield Problem(module.path, node.lineno, f"there is no module {name!r} beside it")


def _lacking(
    program: Program, module: Module, node: ast.ImportFrom, source: Module
) -> Iterator[Problem]:
    """Names that the source surely does not have."""
    if source.dynamic or source.sets or source.moves_path or "__getattr__" in source.exported:
        return
    package = ".".join(part for part in source.path[:-3].split("/") if part != "__init__")
    for alias in node.names:
        name = alias.name
        dunder = name.startswith("__") and name.endswith("__")
        held = name in source.exported or name in program.patched
        if name == "*" or dunder or held or program.holds(f"{package}.{name}".lstrip(".")):
            continue
        like = get_close_matches(name, list(source.exported), 1, 0.6)
        known = ", ".join(sorted(source.exported)[:20])
        right = f"did you mean {like[0]!r}?" if like else f"it has {known or 'no names'}"
        yield Problem(module.path, node.lineno, f"{source.path} defines no {name!r}", right)
