"""Local code structure: of the own files what bears on a failure, verbatim, and the rest by its names.

A file is cut into units: imports and other statements, and of functions and classes the head, then what is in
them. Relevance begins where it failed, at what the message names and at what the idea changed, and spreads
from each unit to those that its values come from. What comes first is kept while it fits a bound; what is
left out is marked, so that an edit's SEARCH lines can still be copied exactly.
"""

import ast
import difflib
import heapq
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autoresearch.records import Place
from autoresearch.sourcecode import syntax_tree

SHARE = 0.32  # of the characters of the code, at least LEAST and at most MOST
LEAST, MOST = 500, 24_000
FAILED, SAID, QUOTED, CHANGED = 100.0, 75.0, 40.0, 30.0  # what relevance begins with
OWN = 30.0  # what a changed unit is worth beside that: the mistake is most often in the idea's own code
LENGTH = 0.1  # power of a unit's length that its relevance is divided by: short ones are cheap
CALLER = 0.6  # what a place of failure is worth of the one that it called
# How much goes on from a unit to where a local value comes from, to the definition of a name or an attribute,
# and from a function to its head and from there to what it returns.
LOCAL, NAMED, WHOLE = 0.8, 0.8, 0.8
FAINT = 12.0
LONG = 3  # lines, from which on a function is shown by statements
SHORT = 25  # characters that a mark in their place would not save
NAMES = 6  # of what is left out in one place
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_WORD = re.compile(r"[A-Za-z_]\w*")
_QUOTED = re.compile(
    r"'([\w.]{3,40})'|`([\w.]{3,40})`|\b(\w{3,40})\(\)|\b(\w+\.(?:csv|tsv|npy|npz|json|txt|pt))\b|\$([A-Z]{3,40})\b"
)


@dataclass
class Unit:
    """Lines [first, last] of a file, counted from 1, that are kept or left out as one."""

    path: str
    first: int
    last: int
    text: str
    head: str = ""  # what is shown of it when it is left out
    within: str = ""  # the function that it is a statement of: its names are known there alone
    opens: str = ""  # the function that it is the head of
    defines: frozenset[str] = frozenset()
    uses: frozenset[str] = frozenset()
    sets: frozenset[str] = frozenset()  # attributes
    returns: bool = False
    score: float = 0.0


def excerpts(
    sources: Mapping[str, str],
    original: Mapping[str, str],
    places: Sequence[Place],
    said: str = "",
) -> dict[str, str]:
    """For each file what bears on a failure at `places`. `original` is the code before the idea, `said`
    the message of the failure."""
    total = sum(map(len, sources.values()))
    units = [unit for path, text in sources.items() for unit in _units(path, text)]
    _begin(units, places, said)
    changed = {path: _changed(original.get(path, ""), text) for path, text in sources.items()}
    fresh = [u for u in units if changed[u.path] & set(range(u.first, u.last + 1))]
    for unit in fresh:
        unit.score = max(unit.score, CHANGED)
    _spread(units)
    for unit in fresh:
        unit.score += OWN
    left = min(MOST, max(LEAST, SHARE * total))
    kept: set[int] = set()
    for unit in sorted(units, key=lambda unit: -unit.score / (1 + len(unit.text)) ** LENGTH):
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
    gap: list[Unit] = []
    for unit in [*units, None]:
        if unit is not None and id(unit) not in kept:
            gap.append(unit)
            continue
        if gap:
            text = "".join(each.text for each in gap)
            parts.append(text if len(text) <= SHORT else _left_out(gap))
            gap = []
        if unit is not None:
            parts.append(unit.text)
    return "".join(parts)


def _left_out(gap: list[Unit]) -> str:
    named = [unit.head for unit in gap if unit.head]
    more = f"; {len(named) - NAMES} more" if len(named) > NAMES else ""
    return f"[… {'; '.join(named[:NAMES])}{more} …]\n" if named else "[…]\n"


# --- relevance ----------------------------------------------------------------------------------


def _begin(units: Sequence[Unit], places: Sequence[Place], said: str) -> None:
    """Relevance from what is known of the failure: its places, and the names in its message."""
    for number, place in enumerate(places):
        for unit in units:
            if unit.path == place.path and unit.first <= place.line <= unit.last:
                unit.score = max(unit.score, FAILED * CALLER**number)
    if not places and units:  # nothing is known to have failed: begin where the program begins
        units[-1].score = QUOTED
    quoted = {word for found in _QUOTED.findall(said) for word in found if word}
    words = {word for text in quoted for word in _WORD.findall(text)}
    for unit in units if quoted else ():
        if words & (unit.defines | unit.sets):
            unit.score = max(unit.score, SAID)
        elif any(text in unit.text for text in quoted):
            unit.score = max(unit.score, QUOTED if places else FAILED)


def _spread(units: Sequence[Unit]) -> None:
    """From each unit on to those that it depends on, the most relevant first."""
    links = _Links(units)
    waiting = [(-unit.score, number) for number, unit in enumerate(units) if unit.score]
    heapq.heapify(waiting)
    numbers = {id(unit): number for number, unit in enumerate(units)}
    while waiting:
        score, number = heapq.heappop(waiting)
        if -score < units[number].score:
            continue
        for share, other in links.of(units[number]):
            passed = share * -score
            if passed > max(other.score, FAINT):
                other.score = passed
                heapq.heappush(waiting, (-passed, numbers[id(other)]))


class _Links:
    """What the units of some files depend on."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self._local: dict[tuple[str, str], list[Unit]] = defaultdict(list)
        self._named: dict[str, list[Unit]] = defaultdict(list)
        self._heads = {unit.opens: unit for unit in units if unit.opens}
        self._returns: dict[str, list[Unit]] = defaultdict(list)
        self._others: dict[str, list[Unit]] = defaultdict(list)
        for unit in units:
            for name in unit.defines:
                if unit.within and not unit.opens:
                    self._local[unit.within, name].append(unit)
                else:
                    self._named[name].append(unit)
            for name in unit.sets:
                self._named[name].append(unit)
            if unit.within:
                (self._returns if unit.returns else self._others)[unit.within].append(unit)

    def of(self, unit: Unit) -> Iterator[tuple[float, Unit]]:
        for name in unit.uses:
            local = self._local.get((unit.within, name), [])
            yield from ((LOCAL, each) for each in local)
            if not local:
                yield from ((NAMED, each) for each in self._named.get(name, []))
        if unit.within in self._heads:
            yield WHOLE, self._heads[unit.within]
        # What a function gives back; of one that gives nothing back, what it does.
        body = self._returns.get(unit.opens) or self._others.get(unit.opens, [])
        yield from ((WHOLE, each) for each in body)


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
    pieces = list(_pieces(tree.body, "")) if tree else []
    if not pieces:
        yield Unit(path, 1, len(lines), text, f"{path}: {len(lines)} lines")
        return
    starts = [_first_line(node) for node, _ in pieces]
    starts[0] = 1
    ends = [start - 1 for start in starts[1:]] + [len(lines)]
    for (node, within), first, last in zip(pieces, starts, ends, strict=True):
        if last >= first:
            yield _unit(path, first, lines[first - 1 : last], node, within)


def _unit(path: str, first: int, lines: list[str], node: ast.stmt, within: str) -> Unit:
    text, last = "".join(lines), first + len(lines) - 1
    names = frozenset(_names(node, last))
    inside = [each for each in ast.walk(node) if getattr(each, "lineno", 0) <= last]
    set_here = (e for e in inside if isinstance(e, ast.Attribute) and isinstance(e.ctx, ast.Store))
    defined = isinstance(node, _DEFINITIONS)
    return Unit(
        path=path,
        first=first,
        last=last,
        text=text,
        head=_head(node),
        within=f"{path}:{within}" if within else "",
        opens=f"{path}:{within}.{node.name}" if isinstance(node, _DEFINITIONS) else "",
        defines=names,
        uses=frozenset(_WORD.findall(text)) - (names if defined else frozenset()),
        sets=frozenset(each.attr for each in set_here),
        returns=any(isinstance(each, ast.Return | ast.Yield) for each in inside),
    )


def _pieces(body: list[ast.stmt], within: str) -> Iterator[tuple[ast.stmt, str]]:
    """Statements; of what is long its head, then what is in it. `within` names the function around."""
    for node in body:
        yield node, within
        name = f"{within}.{node.name}" if isinstance(node, _DEFINITIONS) else within
        if isinstance(node, ast.ClassDef):
            yield from _pieces([each for each in node.body if isinstance(each, _DEFINITIONS)], name)
        elif (node.end_lineno or node.lineno) - node.lineno >= LONG:
            yield from _pieces(_inside(node), name)


def _inside(node: ast.stmt) -> list[ast.stmt]:
    """The statements in one, after its docstring; none of one with branches, which stays whole."""
    if getattr(node, "orelse", None) or getattr(node, "handlers", None):
        return []
    body: list[ast.stmt] = getattr(node, "body", [])
    told = body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    return body[1:] if told else body


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])


def _head(node: ast.stmt) -> str:
    """A function with its parameters, or a class."""
    if isinstance(node, ast.ClassDef):
        return f"class {node.name}"
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return ""
    given = node.args
    named = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return f"def {node.name}({', '.join(named)})"[:80]


def _names(node: ast.stmt, last: int) -> Iterator[str]:
    """What a statement defines in its lines up to `last`."""
    if isinstance(node, _DEFINITIONS):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield (alias.asname or alias.name).partition(".")[0]
    else:
        for each in ast.walk(node):
            if (
                isinstance(each, ast.Name)
                and isinstance(each.ctx, ast.Store)
                and each.lineno <= last
            ):
                yield each.id
