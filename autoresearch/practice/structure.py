"""Local code structure: of the own files what bears on a failure, verbatim, and the rest by its names.

A file is cut into units (imports, statements, functions, methods, class heads). What failed, what the last
patch changed, what those use and who calls them is kept while it fits a bound; what is left out is marked,
so that an edit's SEARCH lines can still be copied exactly.
"""

import ast
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from autoresearch.records import Place
from autoresearch.sourcecode import syntax_tree

SHARE = 0.45  # of the characters of the code, at least LEAST and at most MOST
LEAST, MOST = 1200, 24_000
_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass
class Unit:
    """Lines [first, last] of a file, counted from 1, that are kept or left out as one."""

    path: str
    first: int
    last: int
    text: str
    head: str  # what is shown of it when it is left out
    defines: frozenset[str]
    uses: frozenset[str] = field(default_factory=frozenset)
    score: float = 0.0


def excerpts(
    sources: Mapping[str, str], original: Mapping[str, str], places: Sequence[Place]
) -> dict[str, str]:
    """For each file what bears on a failure at `places`. `original` is the code before the idea."""
    total = sum(map(len, sources.values()))
    units = [unit for path, text in sources.items() for unit in _units(path, text)]
    _score(units, original, sources, places)
    left = min(MOST, max(LEAST, SHARE * total))
    kept: set[int] = set()
    for unit in sorted(units, key=lambda unit: -unit.score):
        if len(unit.text) <= left and unit.score > 0:
            left -= len(unit.text)
            kept.add(id(unit))
    return {
        path: _join([unit for unit in units if unit.path == path], kept)
        for path in sources
        if any(unit.path == path for unit in units)
    }


def _join(units: list[Unit], kept: set[int]) -> str:
    parts: list[str] = []
    heads: list[str] = []
    for unit in [*units, None]:
        if unit is not None and id(unit) not in kept:
            heads.append(unit.head)
            continue
        if heads:
            parts.append(_left_out(heads))
            heads = []
        if unit is not None:
            parts.append(unit.text)
    return "".join(parts)


def _left_out(heads: list[str]) -> str:
    named = [head for head in heads if head]
    shown = "; ".join(named[:8]) + (f"; and {len(named) - 8} more" if len(named) > 8 else "")
    return f"[… lines left out{': ' + shown if shown else ''} …]\n"


# --- relevance ----------------------------------------------------------------------------------


def _score(
    units: list[Unit],
    original: Mapping[str, str],
    sources: Mapping[str, str],
    places: Sequence[Place],
) -> None:
    changed = {path: _changed(original.get(path, ""), text) for path, text in sources.items()}
    for unit in units:
        lines = range(unit.first, unit.last + 1)
        hit = [n for n, p in enumerate(places) if p.path == unit.path and p.line in lines]
        if hit:
            unit.score = 100 - 4 * hit[0]
        if changed[unit.path] & set(lines):
            unit.score = max(unit.score, 92)
    seeds = [unit for unit in units if unit.score]
    for weight in (0.7, 0.5):  # what they use and who uses them, then the same once more
        for unit in units:
            near = [s.score for s in seeds if s.uses & unit.defines or unit.uses & s.defines]
            unit.score = max([unit.score, *(weight * score for score in near)])
        seeds = [unit for unit in units if unit.score]


def _changed(before: str, after: str) -> set[int]:
    """The lines of `after` that are not in `before`, and those beside what was taken out."""
    matcher = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    lines: set[int] = set()
    for tag, _, _, first, last in matcher.get_opcodes():
        if tag != "equal":
            lines |= set(range(first + 1, max(last, first + 1) + 1))
    return lines


# --- units --------------------------------------------------------------------------------------


def _units(path: str, text: str) -> Iterator[Unit]:
    lines = text.splitlines(keepends=True)
    try:
        tree = syntax_tree(text, path) if path.endswith(".py") else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    nodes = list(_pieces(tree.body)) if tree else []
    if not nodes:
        yield Unit(path, 1, len(lines), text, f"{path}: {len(lines)} lines", frozenset())
        return
    starts = [_first_line(node) for node in nodes]
    starts[0] = 1
    ends = [start - 1 for start in starts[1:]] + [len(lines)]
    for node, first, last in zip(nodes, starts, ends, strict=True):
        if last >= first:
            yield _unit(path, first, lines[first - 1 : last], node)


def _unit(path: str, first: int, lines: list[str], node: ast.stmt) -> Unit:
    text, defines = "".join(lines), frozenset(_names(node))
    # A class stands for its methods, which are units of their own.
    used = lines[0] if isinstance(node, ast.ClassDef) else text
    uses = frozenset(_WORD.findall(used)) - defines
    return Unit(path, first, first + len(lines) - 1, text, _head(node), defines, uses)


def _pieces(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Top-level statements; of a class its head (with what comes before its first method) and methods."""
    for node in body:
        yield node
        if isinstance(node, ast.ClassDef):
            yield from (
                each
                for each in node.body
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            )


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])


def _head(node: ast.stmt) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        try:
            return f"def {node.name}({ast.unparse(node.args)})"[:120]
        except RecursionError:  # a default value may be nested as deep as its author likes
            return f"def {node.name}(…)"
    if isinstance(node, ast.ClassDef):
        return f"class {node.name}"
    return ", ".join(sorted(_names(node)))[:80]


def _names(node: ast.stmt) -> Iterator[str]:
    """What a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield (alias.asname or alias.name).partition(".")[0]
    else:
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                yield each.id
