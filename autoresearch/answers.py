"""Reading what a model wrote: JSON in prose. `blocks.py` reads edits.

Both readers refuse a cut-off answer instead of using the part that came, are bounded in size and
depth, and raise ValueError with a message that the model can act on.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Never

LARGEST = 1_000_000  # characters of an answer
LARGEST_REPAIR = 32_000  # characters: json-repair takes quadratic time on some malformed texts
DEEPEST = 64  # nested objects and lists

# --- JSON ---------------------------------------------------------------------------------------


def read_json(text: str) -> Any:
    """The JSON object (or list of objects, lists or strings) in a model's answer.

    The longest outermost value: of those inside ``` fences when there are any, else of those in the
    prose, and never one inside <think>. Malformed JSON is read leniently, but never JSON whose
    outermost bracket does not close, and never NaN or an infinity.
    """
    check_size(text)
    answer = _without_thoughts(text)
    found = [span for fence in _fences(answer) for span in _outermost(fence)] or _outermost(answer)
    if not found:
        raise ValueError("no JSON object was found; answer with one JSON object and nothing else")
    return _parse(max(found, key=len))


def check_size(text: str) -> None:
    if len(text) > LARGEST:
        raise ValueError(f"the answer has {len(text)} characters; at most {LARGEST} are read")


class _NotFinite(ValueError):
    """A number that JSON does not have."""


def _refuse_number(literal: str) -> Never:
    raise _NotFinite(f"{literal:.20} is not a number in JSON; use a finite number or null")


def _finite(literal: str) -> float:
    number = float(literal)
    return number if math.isfinite(number) else _refuse_number(literal)


def _parse(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_number, parse_float=_finite)
    except _NotFinite:
        raise
    except ValueError as error:
        value = _repair(text) if len(text) <= LARGEST_REPAIR else None
        if not value or isinstance(value, dict) != text.startswith("{"):
            raise ValueError(f"not valid JSON: {error}") from None
        return value


def _repair(text: str) -> Any:
    """What json-repair makes of it; None when that has no finite JSON form."""
    from json_repair import loads

    try:
        value = loads(text, skip_json_loads=True)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return value


# What opens a JSON value, and not a set {x | ...}, a reference [1] or LaTeX's \frac{a}{b}.
_OPENING = re.compile(r"""\{\s*(?:["'}]|\w+\s*:)|\[\s*[\[{"']""")
_BRACKET = re.compile(r"""[{}\[\]"]""")
_CLOSING = {"{": "}", "[": "]"}


def _outermost(text: str) -> list[str]:
    """The outermost values, by their brackets. Raises ValueError when one of them never closes."""
    spans, position = [], 0
    while opening := _OPENING.search(text, position):
        position = _end(text, opening.start())
        spans.append(text[opening.start() : position])
    return spans


def _end(text: str, start: int) -> int:
    """The position after the bracket that closes the one at `start`."""
    expected: list[str] = []
    position = start
    while bracket := _BRACKET.search(text, position):
        character, position = bracket[0], bracket.end()
        if character == '"':
            position = _end_of_string(text, position)
        elif character in _CLOSING:
            expected.append(_CLOSING[character])
            if len(expected) > DEEPEST:
                raise ValueError(f"the JSON is nested more than {DEEPEST} levels deep")
        elif character != expected.pop():
            raise ValueError(
                f"not valid JSON: {character!r} closes nothing, near {_near(text, position)}"
            )
        if not expected:
            return position
    raise ValueError(
        "the answer was cut off: its outermost bracket never closes (or a quotation mark inside a "
        f"string is not escaped); it ends in {text[-60:]!r}. Give the whole JSON again, shorter"
    )


_STRING_REST = re.compile(r'(?:[^"\\]+|\\.)*+"', re.DOTALL)


def _end_of_string(text: str, position: int) -> int:
    rest = _STRING_REST.match(text, position)
    return rest.end() if rest else len(text)


def _near(text: str, position: int) -> str:
    return repr(text[max(0, position - 40) : position + 10])


_JSON_FENCES = ("", "json", "jsonc", "json5")


def _fences(text: str) -> list[str]:
    """The insides of the closed ``` fences that are marked as JSON or as nothing."""
    insides: list[str] = []
    inside: list[str] | None = None
    wanted = False
    for line in text.split("\n"):
        if not line.lstrip().startswith("```"):
            if inside is not None:
                inside.append(line)
        elif inside is None:
            inside, wanted = [], line.strip("` \t\r").lower() in _JSON_FENCES
        else:
            insides += ["\n".join(inside)] if wanted else []
            inside = None
    return insides


def _without_thoughts(text: str) -> str:
    """Leave out <think>…</think> where it starts a line, and what stands before a closing tag on a
    line of its own whose opening tag the chat template kept."""
    thoughts = Thoughts()
    kept: list[str] = []
    for line in text.split("\n"):
        visible = thoughts.visible(line)
        if thoughts.orphan:
            kept.clear()
        if visible is not None:
            kept.append(visible)
    thoughts.close()
    return "\n".join(kept)


@dataclass
class Thoughts:
    """Follows <think> blocks from line to line. `orphan`: the last line closed one never opened."""

    inside: bool = False
    orphan: bool = False

    def visible(self, line: str) -> str | None:
        """What of the line is outside a thought; None when nothing is."""
        stripped = line.strip()
        self.orphan = not self.inside and stripped == "</think>"
        if self.orphan:
            return None
        if not self.inside and not stripped.startswith("<think>"):
            return line
        _, closing, rest = line.partition("</think>")
        self.inside = not closing
        return rest.lstrip() if closing and rest.strip() else None

    def close(self) -> None:
        if self.inside:
            raise ValueError("the answer was cut off inside <think>; think shorter, then answer")
