"""Python source with positions, changed in place: text that is not changed keeps its formatting."""

import ast
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

_parsing = threading.Lock()


def syntax_tree(text: str, path: str = "<code>") -> ast.Module:
    """The syntax tree of a program, from any thread. Raises SyntaxError or ValueError.

    CPython 3.11 keeps the depth of the tree that it is building in one place for all threads, and then
    fails with "AST constructor recursion depth mismatch" (fixed in 3.12): one at a time, therefore.
    """
    with _parsing:
        return ast.parse(text, filename=path)


def check_compiles(tree: ast.Module) -> None:
    """Raises SyntaxError for what parses and still is no program: `return` outside of a function, say.

    The compiler's warnings are about the program, so they are kept off the screen.
    """
    warnings.filterwarnings("ignore", module="experiment")
    with _parsing:
        compile(tree, "experiment", "exec", dont_inherit=True)


Place = tuple[int, int, str]  # replace the characters [start, end) of a text by this


@dataclass(frozen=True)
class Change:
    """A change worth trying: what of what to what, why, and where in the text."""

    kind: str
    subject: str
    target: str
    usefulness: float
    title: str
    reason: str
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Source:
    """One parsed file."""

    path: str
    text: str
    tree: ast.Module

    @classmethod
    def parse(cls, path: str, text: str) -> "Source | None":
        """None when it is not Python, or its lines are not ended by a plain line feed."""
        return _parsed(path, text)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def starts(self) -> list[int]:
        """The offset of each line."""
        starts = [0]
        for line in self.lines:
            starts.append(starts[-1] + len(line) + 1)
        return starts

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node in the order of the text, but none within an f-string (no exact positions)."""
        return tuple(_walk(self.tree))

    @cached_property
    def owners(self) -> dict[ast.AST, ast.AST]:
        """The node that each node is a part of."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def imports(self) -> dict[str, str]:
        """Local name -> full name, of everything that is imported anywhere in the file."""
        names: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    root = alias.name.split(".")[0]
                    names[alias.asname or root] = alias.name if alias.asname else root
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        return names

    @cached_property
    def names_read(self) -> set[str]:
        """Every name and attribute that is read in the file."""
        loads = (
            node for node in ast.walk(self.tree) if isinstance(getattr(node, "ctx", None), ast.Load)
        )
        return {getattr(node, "id", getattr(node, "attr", "")) for node in loads}

    def full_name(self, node: ast.AST) -> str:
        """The imported name that an expression stands for ("torch.nn.ReLU"), or ""."""
        if isinstance(node, ast.Name):
            return self.imports.get(node.id, "")
        if isinstance(node, ast.Attribute):
            owner = self.full_name(node.value)
            return f"{owner}.{node.attr}" if owner else ""
        return ""

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Offsets of the first character and past the last one."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        first = self._offset(node.lineno, node.col_offset)
        return first, self._offset(node.end_lineno, node.end_col_offset)

    def segment(self, node: ast.expr | ast.stmt) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def indent(self, node: ast.stmt) -> str:
        line = self.lines[node.lineno - 1]
        return line[: len(line) - len(line.lstrip())]

    def scope(self, node: ast.AST) -> ast.AST:
        """The function (or the module) that a node is in."""
        while node in self.owners:
            node = self.owners[node]
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                break
        return node

    def _offset(self, line: int, column: int) -> int:
        """A column is in bytes of UTF-8."""
        text = self.lines[line - 1]
        return self.starts[line - 1] + len(text.encode()[:column].decode())


@lru_cache(maxsize=256)
def _parsed(path: str, text: str) -> Source | None:
    if not path.endswith(".py") or "\r" in text or "\f" in text:
        return None
    try:
        return Source(path, text, syntax_tree(text, path))
    except (SyntaxError, ValueError, RecursionError):
        return None


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.JoinedStr):
            waiting += reversed(list(ast.iter_child_nodes(node)))


def called(call: ast.Call) -> str:
    """The last part of the name that is called, "" for anything that is not a name."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def rewritten(text: str, places: Sequence[Place]) -> str:
    """The text with the places replaced; they must not overlap."""
    for start, end, new in sorted(places, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def importing(source: Source, name: str) -> Place | None:
    """Where and how to import a full name ("sklearn.svm.SVC"); None when it is already imported."""
    module, _, last = name.rpartition(".")
    statement = f"from {module} import {last}" if module else f"import {last}"
    if source.imports.get(last) == name:
        return None
    body = source.tree.body
    before: list[ast.stmt] = [n for n in body if isinstance(n, ast.Import | ast.ImportFrom)]
    before = before or [node for node in body[:1] if ast.get_docstring(source.tree) is not None]
    if not before:
        return 0, 0, statement + "\n"
    related = [
        n for n in before if isinstance(n, ast.ImportFrom) and _root(n) == name.split(".")[0]
    ]
    end = source.span((related or before)[-1])[1]
    return end, end, "\n" + statement


def _root(node: ast.ImportFrom) -> str:
    return (node.module or "").split(".")[0]
