"""What differs between two long texts, in time that grows with their length and no faster."""

import difflib
import re
from collections import Counter

SHOWN = 20  # lines of a difference
WIDEST = 200  # characters of a line
COMPARED = 1_000  # units of each text, from the first to the last that differ


def likeness(one: str, other: str) -> float:
    """How much two texts have in common, from 0 to 1, whatever the order."""
    mine, theirs = Counter(_split(one)), Counter(_split(other))
    return 2 * (mine & theirs).total() / max(1, mine.total() + theirs.total())


def difference(old: str, new: str) -> list[str]:
    """A unified diff of lines, and of sentences within a line; the first lines of it where it is
    long. Only printable characters, since either text may be untrusted and this goes to a screen."""
    before, after = _split(old), _split(new)
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    before = before[start : len(before) - end][:COMPARED]
    after = after[start : len(after) - end][:COMPARED]
    changes = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
    lines = [line for line in changes if not line.startswith("@@")]
    more = [f"(and {len(lines) - SHOWN} lines more)"] if len(lines) > SHOWN else []
    return [_printable(line) for line in lines[:SHOWN]] + more


def _split(text: str) -> list[str]:
    return [part for part in re.split(r"\n|(?<=[.:;?!]) ", text) if part.strip()]


def _common(one: list[str], other: list[str]) -> int:
    """How many units the two begin with together."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _printable(line: str) -> str:
    shown = line if len(line) <= WIDEST else line[: WIDEST - 1] + "…"
    return "".join(c if c.isprintable() else "?" for c in shown.expandtabs(4))
