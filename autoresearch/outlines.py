"""What a file of code defines, in few words: definitions with signatures and first lines of docstrings."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from autoresearch.sourcecode import syntax_tree

LARGEST = 400_000  # characters of a file that is read; longer ones are only named
HEAD, DOC = 110, 80  # characters of a signature, and of a docstring's first line
MOST_TEXT = 6_000  # characters of one file's outline
_WORD = re.compile(r"[A-Z]?[a-z]{2,}|[A-Z]{2,}(?![a-z])")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Definition:
    """`level` is 0 at the top of a file, 1 inside a class."""

    level: int
    name: str
    head: str
    doc: str


@dataclass(frozen=True)
class Outline:
    """Of one file. `starts` are the first lines of its top-level definitions, counted from 0; `imports`
    are names as they are imported; `words` are the words of its text with how often each occurs."""

    lines: int
    characters: int
    doc: str
    definitions: tuple[Definition, ...]
    imports: tuple[str, ...]
    starts: tuple[int, ...]
    words: Mapping[str, int]

    @property
    def names(self) -> set[str]:
        return {each.name for each in self.definitions}


@lru_cache(maxsize=256)
def outline(path: str, text: str) -> Outline:
    """What is known of a file. One that is no Python, does not parse or is very long has no definitions."""
    size, lines = len(text), text.count("\n") + 1
    if size > LARGEST or "\0" in text:
        return Outline(lines, size, "", (), (), (), {})
    words = Counter(words_of(f"{path} {text}"))
    try:
        tree = syntax_tree(text, path) if path.endswith(".py") else ast.Module([], [])
        doc = _first_line(ast.get_docstring(tree))
        found = tuple(_definitions(tree.body, 0))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Outline(lines, size, "", (), (), (), words)
    starts = tuple(
        min(node.lineno, *(each.lineno for each in node.decorator_list), node.lineno) - 1
        for node in tree.body
        if isinstance(node, _Function | ast.ClassDef)
    )
    return Outline(lines, size, doc, found, tuple(_imports(tree)), starts, words)


def words_of(text: str) -> list[str]:
    """The words of a text or of its identifiers, in lower case, one "s" at the end left out."""
    return [found.lower().removesuffix("s") for found in _WORD.findall(text)]


def outlined(path: str, known: Outline, detail: int) -> str:
    """One file of a map: 0 its path and size, 1 its names, 2 its signatures, 3 its docstrings too."""
    size = (
        f"{known.lines:,} lines"
        if known.characters <= LARGEST
        else f"{known.characters:,} characters"
    )
    head = f"{path} ({size})"
    if detail == 0:
        return head
    head += f": {known.doc}" if known.doc else ""
    if detail == 1:
        names = ", ".join(each.name for each in known.definitions if not each.level)
        return _cut(f"{head}\n  {names}" if names else head)
    lines = [head]
    for each in known.definitions:
        doc = f": {each.doc}" if each.doc and detail > 2 else ""
        lines.append(f"{'  ' * (each.level + 1)}{each.head}{doc}")
    return _cut("\n".join(lines))


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[: text.rfind(chr(10), 0, MOST_TEXT)]}\n  …"


def _definitions(body: list[ast.stmt], level: int) -> Iterator[Definition]:
    for node in body:
        if isinstance(node, _Function | ast.ClassDef):
            yield Definition(level, node.name, _head(node), _first_line(ast.get_docstring(node)))
        if isinstance(node, ast.ClassDef) and level == 0:
            yield from _definitions(node.body, 1)


def _head(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    try:
        if isinstance(node, ast.ClassDef):
            inside = ", ".join(ast.unparse(base) for base in node.bases)
            return f"class {node.name}({inside})"[:HEAD] if inside else f"class {node.name}"
        return f"def {node.name}({ast.unparse(node.args)})"[:HEAD]
    except RecursionError:  # a default value may be nested as deep as its author likes
        return node.name


def _first_line(doc: str | None) -> str:
    lines = (doc or "").strip().splitlines()
    return "".join(c for c in lines[0] if c.isprintable())[:DOC] if lines else ""


def _imports(tree: ast.Module) -> Iterator[str]:
    """Full names, also of what is imported from a module; of relative ones without the dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = f"{node.module}." if node.module else ""
            yield from (f"{module}{alias.name}" for alias in node.names)
