"""Repairs of a mutation that failed, read from its traceback; what cannot be adjusted is withdrawn."""

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from autoresearch.alternatives import FAMILIES
from autoresearch.records import Attempt, Edit, Failure
from autoresearch.sourcecode import Source, called, importing, rewritten
from autoresearch.textedits import edits_between

HALVINGS = 2  # how often a number is taken half way back before it is withdrawn

Repair = tuple[str, tuple[Edit, ...]]  # what is done, and the edits


@dataclass(frozen=True)
class _Case:
    """The code as it is, as it was before the first attempt, and what the failure says."""

    code: Mapping[str, str]
    original: Mapping[str, str]
    attempts: tuple[Attempt, ...]
    text: str

    def changed(self) -> tuple[str, str, str] | None:
        """(path, old literal, new literal) when the change so far is one number or one string."""
        for path, new in self.code.items():
            old = self.original.get(path, new)
            before, after = _TOKEN.findall(old), _TOKEN.findall(new)
            pairs = [(a, b) for a, b in zip(before, after, strict=False) if a != b]
            if len(before) == len(after) and len(pairs) == 1:
                return path, *pairs[0]
        return None

    def with_literal(self, literal: str) -> tuple[Edit, ...]:
        """The original code with this literal in the place of the one that was changed."""
        edits: tuple[Edit, ...] = ()
        for path, new in self.code.items():
            old = self.original.get(path, new)
            spans = [match.span() for match in _TOKEN.finditer(old)]
            tokens = [old[start:end] for start, end in spans]
            for (start, end), a, b in zip(spans, tokens, _TOKEN.findall(new), strict=False):
                if a != b:
                    edits = edits_between(path, new, rewritten(old, [(start, end, literal)]))
        return edits


_TOKEN = re.compile(r"\d[\d_.]*(?:[eE][+-]?\d+)?\w*|\w+|\"[^\"\n]*\"|'[^'\n]*'|[^\w\s]")


def repair(
    code: Mapping[str, str], attempts: tuple[Attempt, ...], failure: Failure
) -> tuple[str, tuple[Edit, ...]]:
    """The plan (the cause as the traceback names it, and what is done) and the edits of `code`.

    There are no edits when the change is withdrawn already and nothing is left to adjust.
    """
    original = dict(code)
    for attempt in reversed(attempts):
        if attempt.commit is not None:
            original = _undone(original, attempt.patch.edits)
    case = _Case(code, original, attempts, f"{failure.detail}\n{failure.message}")
    cause = f"{_place(case)}{failure.message}."
    for way in (_import_name, _drop_keyword, _take_allowed, _go_half_way_back, _withdraw):
        found = way(case)
        if found and found[1]:
            return f"Cause: {cause} Repair: {found[0]}.", found[1]
    return f"Cause: {cause} Nothing is left to adjust.", ()


def _undone(code: dict[str, str], edits: tuple[Edit, ...]) -> dict[str, str]:
    for edit in reversed(edits):
        text = code.get(edit.path, "")
        if edit.replace and text.count(edit.replace) == 1:
            code = code | {edit.path: text.replace(edit.replace, edit.search)}
    return code


def _place(case: _Case) -> str:
    """The last frame of the traceback in a file that may be edited, and its line."""
    for path, number in reversed(re.findall(r'File "([^"]+)", line (\d+)', case.text)):
        for own, text in case.code.items():
            lines = text.split("\n")
            if (path == own or path.endswith("/" + own)) and int(number) <= len(lines):
                return f"{own}, line {number} (`{lines[int(number) - 1].strip()[:80]}`): "
    return ""


# --- ways to repair, the most specific first ----------------------------------------------------

_USUAL_NAMES = {
    "np": "import numpy as np",
    "torch": "import torch",
    "math": "import math",
    "random": "import random",
}
_KNOWN = {name.rpartition(".")[2]: name for family in FAMILIES for name in family.members} | {
    "make_pipeline": "sklearn.pipeline.make_pipeline",
    "nn": "torch.nn",
}


def _import_name(case: _Case) -> Repair | None:
    missing = re.search(r"name '(\w+)' is not defined", case.text)
    name = missing[1] if missing else ""
    if name not in _USUAL_NAMES and name not in _KNOWN:
        return None
    for path, text in case.code.items():
        source = Source.parse(path, text)
        if source and re.search(rf"\b{name}\b", text):
            statement = _USUAL_NAMES.get(name)
            place = (0, 0, statement + "\n") if statement else importing(source, _KNOWN[name])
            if place:
                return f"import {name}", edits_between(path, text, rewritten(text, [place]))
    return None


def _drop_keyword(case: _Case) -> Repair | None:
    said = re.search(
        r"(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'", case.text
    )
    if not said:
        return None
    for path, text in case.code.items():
        source = Source.parse(path, text)
        calls = [n for n in source.nodes if isinstance(n, ast.Call)] if source else []
        for call in calls:
            keyword = next((k for k in call.keywords if k.arg == said[2]), None)
            if source and keyword and said[1] in (called(call), "__init__"):
                new = rewritten(text, [(*_span_of_keyword(source, call, keyword), "")])
                return f"leave out {said[2]}, which {called(call)} does not have", edits_between(
                    path, text, new
                )
    return None


def _span_of_keyword(source: Source, call: ast.Call, keyword: ast.keyword) -> tuple[int, int]:
    """From the end of the argument before it, or else up to the start of the one after it."""
    value_start, end = source.span(keyword.value)
    spans = [source.span(argument) for argument in call.args]
    spans += [source.span(other.value) for other in call.keywords]
    start = source.text.rindex(keyword.arg or "**", 0, value_start)
    before = max((s[1] for s in spans if s[1] <= start), default=None)
    if before is not None:
        return before, end
    rest = re.match(r"\s*,\s*", source.text[end:])
    return start, end + (rest.end() if rest else 0)


def _take_allowed(case: _Case) -> Repair | None:
    """Another of the values that the message lists, for a string that it refuses."""
    listed = re.search(
        r"(?:among|one of|choose from|in)\s*[\[({]((?:\s*['\"][\w.+-]+['\"],?)+)", case.text
    )
    changed = case.changed()
    if not listed or not changed or changed[2][0] not in "'\"":
        return None
    tried = {literal.strip("'\"") for literal in changed[1:]}
    tried |= set(
        re.findall(r"take the allowed value (\S+)\.", " ".join(a.patch.plan for a in case.attempts))
    )
    allowed = sorted(set(re.findall(r"['\"]([\w.+-]+)['\"]", listed[1])) - tried)
    if not allowed:
        return None
    return f"take the allowed value {allowed[0]}", case.with_literal(f'"{allowed[0]}"')


def _go_half_way_back(case: _Case) -> Repair | None:
    """A number nearer to the one that worked, and within the bounds that the message names."""
    changed = case.changed()
    if not changed or len(case.attempts) > HALVINGS:
        return None
    try:
        old, new = ast.literal_eval(changed[1]), ast.literal_eval(changed[2])
    except (ValueError, SyntaxError):
        return None
    if type(old) not in (int, float) or type(new) not in (int, float):
        return None
    nearer = _between(old, _within_bounds(case.text, old, new))
    if nearer in (old, new):
        return None
    return f"go from {new} half way back towards {old}, to {nearer}", case.with_literal(
        repr(nearer)
    )


def _between(old: int | float, new: int | float) -> int | float:
    if isinstance(old, int) and isinstance(new, int):
        return (old + new) // 2
    far_apart = old > 0 and new > 0 and max(old, new) / min(old, new) > 4
    middle = math.sqrt(old * new) if far_apart else (old + new) / 2
    return float(f"{middle:.3g}")


_NUMBER = r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)"
_RANGE = re.compile(
    rf"range [\[(]{_NUMBER}, {_NUMBER}[\])]|between {_NUMBER} and (?:[^\n=]*=)?{_NUMBER}"
)


def _within_bounds(text: str, old: int | float, new: int | float) -> int | float:
    """The refused value, or the bound that it went beyond."""
    said = _RANGE.search(text)
    if not said:
        return new
    low, high = sorted(type(new)(float(number)) for number in said.groups() if number is not None)
    return max(low, min(high, new)) if low <= old <= high else new


def _withdraw(case: _Case) -> Repair | None:
    edits = [
        edit
        for path, text in case.code.items()
        for edit in edits_between(path, text, case.original.get(path, text))
    ]
    return "withdraw the change, which has no smaller form that is known to work", tuple(edits)
