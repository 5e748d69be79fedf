"""Fault operators: each makes one mistake in a program, of a kind that models make when they write code.

An operator is given a file's text and the lines in which it may make its mistake, and gives every text it
can make: nothing where the mistake cannot be made there.
"""

import ast
import builtins
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from autoresearch.sourcecode import Source, rewritten

Lines = frozenset[int]
Change = Callable[[str, Lines], Iterator[str]]


@dataclass(frozen=True)
class Operator:
    name: str
    category: str
    description: str
    change: Change


OPERATORS: dict[str, Operator] = {}
CATEGORIES = (
    "name", "import", "signature", "shape", "dtype", "device", "off-by-one", "state", "file", "numerics",
    "resource", "misuse", "config", "distant", "incomplete",
)  # fmt: skip


def operator(category: str, description: str) -> Callable[[Change], Change]:
    """Registers a function as the operator of its own name."""

    def register(change: Change) -> Change:
        name = change.__name__.replace("_", "-")
        OPERATORS[name] = Operator(name, category, description, change)
        return change

    return register


def slip(name: str, category: str, description: str, *pairs: tuple[str, str]) -> None:
    """Registers an operator that replaces what one of the regular expressions finds."""

    def change(text: str, lines: Lines) -> Iterator[str]:
        quiet = _quiet_lines(text)
        for pattern, new in pairs:
            for match in re.finditer(pattern, text, re.MULTILINE):
                first = text.count("\n", 0, match.start()) + 1
                last = text.count("\n", 0, max(match.start(), match.end() - 1)) + 1
                if set(range(first, last + 1)) <= lines - quiet:
                    yield text[: match.start()] + match.expand(new) + text[match.end() :]

    OPERATORS[name] = Operator(name, category, description, change)


def _quiet_lines(text: str) -> Lines:
    """The lines of docstrings, where a mistake changes nothing."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return frozenset(found)


def _source(text: str, lines: Lines) -> tuple[Source, list[ast.AST]]:
    """The source, and its nodes that lie within the lines."""
    source = Source.parse("program.py", text)
    assert source is not None
    nodes = [
        node
        for node in source.nodes
        if getattr(node, "lineno", 0) in lines and getattr(node, "end_lineno", 0) in lines
    ]
    return source, nodes


def _own_names(source: Source) -> set[str]:
    """The functions, classes and methods that the file itself defines."""
    kinds = ast.FunctionDef | ast.ClassDef
    return {node.name for node in source.nodes if isinstance(node, kinds)}


def _called(call: ast.Call) -> str:
    function = call.func
    return getattr(function, "id", None) or getattr(function, "attr", "")


def _misspelt(name: str) -> str:
    return name[:-2] + name[-1]


# --- names, imports and signatures --------------------------------------------------------------


@operator("name", "a variable or function is misspelt where it is used")
def misspelt_name(text: str, lines: Lines) -> Iterator[str]:
    source, nodes = _source(text, lines)
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and len(node.id) > 4:
            known = node.id in source.imports or hasattr(builtins, node.id)
            if not known and not isinstance(source.scope(node), ast.Module):
                yield rewritten(text, [(*source.span(node), _misspelt(node.id))])


@operator("name", "an attribute of self is misspelt where it is used")
def misspelt_attribute(text: str, lines: Lines) -> Iterator[str]:
    source, nodes = _source(text, lines)
    for node in nodes:
        read = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
        if read and getattr(node.value, "id", "") == "self" and len(node.attr) > 3:
            yield rewritten(text, [(*source.span(node), f"self.{_misspelt(node.attr)}")])


@operator("name", "a variable is assigned under another name than it is used by")
def assigned_elsewhere(text: str, lines: Lines) -> Iterator[str]:
    source, nodes = _source(text, lines)
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            target = node.targets[0]
            if len(target.id) > 3 and not target.id.isupper():
                yield rewritten(text, [(*source.span(target), f"new_{target.id}")])


@operator("name", "a constant is used that nobody defined")
def constant_missing(text: str, lines: Lines) -> Iterator[str]:
    source, _ = _source(text, lines)
    for node in source.tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if node.lineno in lines and isinstance(target, ast.Name) and target.id.isupper():
            yield _without(text, node)


@operator("import", "an import is forgotten")
def import_missing(text: str, lines: Lines) -> Iterator[str]:
    source, nodes = _source(text, lines)
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom) and node in source.tree.body:
            yield _without(text, node)


@operator("import", "a name is imported from a module that does not have it, or that is not there")
def import_wrong(text: str, lines: Lines) -> Iterator[str]:
    source, nodes = _source(text, lines)
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            start = source.span(node)[0] + len("from ")
            yield rewritten(text, [(start, start + len(node.module), node.module + "s")])
            name = node.names[0].name
            at = text.index(f"import {name}", start) + len("import ")
            yield rewritten(text, [(at, at + len(name), f"{name}s as {name}")])


_CONFUSED = {
    "dim": "dimension", "dims": "dim", "lr": "learning_rate", "padding": "pad", "random_state": "seed",
    "minlength": "min_length", "batch_first": "batch_major", "keepdims": "keep_dims", "keepdim": "keep_dim",
    "alpha": "weight", "cv": "folds", "bias": "use_bias", "C": "c",
}  # fmt: skip


@operator("signature", "an argument is passed under a name that the callee does not have")
def keyword_unknown(text: str, lines: Lines) -> Iterator[str]:
    source, nodes = _source(text, lines)
    for node in nodes:
        for keyword in node.keywords if isinstance(node, ast.Call) else ():
            if keyword.arg and keyword.lineno in lines:
                start = source._offset(keyword.lineno, keyword.col_offset)
                new = _CONFUSED.get(keyword.arg, f"{keyword.arg}s")
                yield rewritten(text, [(start, start + len(keyword.arg), new)])


@operator("signature", "a call of an own function leaves an argument out")
def argument_missing(text: str, lines: Lines) -> Iterator[str]:
    source, nodes = _source(text, lines)
    for node in nodes:
        if isinstance(node, ast.Call) and node.args and _called(node) in _own_names(source):
            end = source.span(node.args[-1])[1]
            start = (
                source.span(node.args[-2])[1]
                if len(node.args) > 1
                else source.span(node.args[0])[0]
            )
            yield rewritten(text, [(start, end, "")])


@operator("signature", "a call of an own function passes one argument too many")
def argument_extra(text: str, lines: Lines) -> Iterator[str]:
    source, nodes = _source(text, lines)
    for node in nodes:
        if isinstance(node, ast.Call) and node.args and _called(node) in _own_names(source):
            end = source.span(node.args[-1])[1]
            yield rewritten(text, [(end, end, ", True")])


@operator("signature", "the first two arguments of a call are swapped")
def arguments_swapped(text: str, lines: Lines) -> Iterator[str]:
    source, nodes = _source(text, lines)
    for node in nodes:
        if isinstance(node, ast.Call) and len(node.args) > 1:
            first, second = node.args[:2]
            if isinstance(first, ast.Starred) or isinstance(second, ast.Starred):
                continue
            places = [
                (*source.span(first), source.segment(second)),
                (*source.span(second), source.segment(first)),
            ]
            yield rewritten(text, places)


@operator("signature", "a function returns fewer values than its caller unpacks")
def returned_too_few(text: str, lines: Lines) -> Iterator[str]:
    source, nodes = _source(text, lines)
    for node in nodes:
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            kept = ", ".join(source.segment(each) for each in node.value.elts[:-1])
            yield rewritten(text, [(*source.span(node.value), kept)])


@operator("signature", "a method is defined without self")
def self_missing(text: str, lines: Lines) -> Iterator[str]:
    for match in re.finditer(r"def [a-z]\w+\((self, )", text):
        if text.count("\n", 0, match.start()) + 1 in lines:
            yield text[: match.start(1)] + text[match.end(1) :]


# --- state, values that go astray ---------------------------------------------------------------


@operator("state", "an attribute that other methods read is not set")
def attribute_unset(text: str, lines: Lines) -> Iterator[str]:
    source, nodes = _source(text, lines)
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
            target = node.targets[0]
            if getattr(target.value, "id", "") == "self":
                yield _without(text, node)
                yield rewritten(text, [(*source.span(target), target.attr)])


@operator("distant", "a function does its work and forgets to return it")
def return_missing(text: str, lines: Lines) -> Iterator[str]:
    source, nodes = _source(text, lines)
    for node in nodes:
        if isinstance(node, ast.Return) and node.value is not None:
            yield rewritten(text, [(*source.span(node), f"result = {source.segment(node.value)}")])


@operator("distant", "a value is passed on without the helper that prepares it")
def helper_skipped(text: str, lines: Lines) -> Iterator[str]:
    source, nodes = _source(text, lines)
    own = _own_names(source)
    for node in nodes:
        one = isinstance(node, ast.Call) and len(node.args) == 1
        if one and _called(node) in own and _called(node)[0].islower():
            yield rewritten(text, [(*source.span(node), source.segment(node.args[0]))])


@operator("distant", "a generator stands where a list is needed")
def generator_for_list(text: str, lines: Lines) -> Iterator[str]:
    source, nodes = _source(text, lines)
    for node in nodes:
        if isinstance(node, ast.ListComp):
            start, end = source.span(node)
            yield text[:start] + "(" + text[start + 1 : end - 1] + ")" + text[end:]


@operator("misuse", "a method is named and not called")
def call_missing(text: str, lines: Lines) -> Iterator[str]:
    source, nodes = _source(text, lines)
    for node in nodes:
        bare = isinstance(node, ast.Call) and not node.args and not node.keywords
        if bare and _called(node) != "__init__":
            yield rewritten(text, [(*source.span(node), source.segment(node.func))])


@operator("off-by-one", "an index is one too large")
def index_too_large(text: str, lines: Lines) -> Iterator[str]:
    source, nodes = _source(text, lines)
    for node in nodes:
        index = node.slice if isinstance(node, ast.Subscript) else None
        key = isinstance(getattr(index, "value", 0), str)
        if isinstance(index, ast.Name | ast.Constant) and not key:
            at = source.span(index)[1]
            yield rewritten(text, [(at, at, " + 1")])


@operator("resource", "a function calls itself for ever")
def endless_recursion(text: str, lines: Lines) -> Iterator[str]:
    source, nodes = _source(text, lines)
    for node in nodes:
        scope = source.scope(node)
        if isinstance(node, ast.Return) and isinstance(scope, ast.FunctionDef):
            names = [each.arg for each in scope.args.args]
            owner = "self." if names[:1] == ["self"] else ""
            if scope in source.tree.body or owner:
                given = ", ".join(names[1:] if owner else names)
                yield rewritten(
                    text, [(*source.span(node), f"return {owner}{scope.name}({given})")]
                )


def _without(text: str, node: ast.stmt) -> str:
    """The text without the lines of a statement."""
    lines = text.splitlines(keepends=True)
    return "".join(lines[: node.lineno - 1] + lines[node.end_lineno :])
