"""Edits that turn one text into another, each of whole lines that stand once in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from autoresearch.records import Edit


@dataclass(frozen=True)
class _Block:
    """Lines [i1, i2) of the old text become lines [j1, j2) of the new one."""

    i1: int
    i2: int
    j1: int
    j2: int

    def until(self, other: "_Block") -> "_Block":
        return _Block(self.i1, other.i2, self.j1, other.j2)


def edits_between(path: str, old: str, new: str) -> tuple[Edit, ...]:
    """Edits of whole lines, each standing once in the file, that turn `old` into `new`; () when
    there are none (nothing changed, or a last line without a line feed would have to)."""
    before, after = _lines(old), _lines(new)
    blocks = _differences(before, after)
    if not blocks:
        return ()
    for attempt in (blocks, [blocks[0].until(blocks[-1])]):
        wide = _widened(attempt, before, old)
        edits = tuple(
            Edit(
                path=path,
                search="".join(before[block.i1 : block.i2]),
                replace="".join(after[block.j1 : block.j2]),
            )
            for block in wide
        )
        if applied(old, edits) == new:
            return edits
    return ()


def applied(text: str, edits: Sequence[Edit]) -> str | None:
    """The text after the edits, None when one of them does not stand exactly once in it."""
    for edit in edits:
        if not edit.search or text.count(edit.search) != 1:
            return None
        text = text.replace(edit.search, edit.replace)
    return text


def _differences(before: list[str], after: list[str]) -> list[_Block]:
    """What differs; only the part between the common ends is compared in full."""
    first = last = 0
    shorter = min(len(before), len(after))
    while first < shorter and before[first] == after[first]:
        first += 1
    while last < shorter - first and before[-1 - last] == after[-1 - last]:
        last += 1
    middle = before[first : len(before) - last], after[first : len(after) - last]
    operations = SequenceMatcher(None, *middle, autojunk=False).get_opcodes()
    return [_Block(*(first + n for n in numbers)) for tag, *numbers in operations if tag != "equal"]


def _lines(text: str) -> list[str]:
    return [line + "\n" for line in text.removesuffix("\n").split("\n")]


def _widened(blocks: list[_Block], before: list[str], text: str) -> list[_Block]:
    """The blocks with as many unchanged lines around them as make each of them unique."""
    result = []
    for number, block in enumerate(blocks):
        low = blocks[number - 1].i2 if number else 0
        high = blocks[number + 1].i1 if number + 1 < len(blocks) else len(before)
        wide = _widen(block, (low, high), before, text)
        if wide is None and len(blocks) == 1:
            return []
        if wide is None:  # it takes the lines of a neighbour to tell it apart
            first = max(0, number - 1)
            merged = blocks[first].until(blocks[first + 1])
            return _widened([*blocks[:first], merged, *blocks[first + 2 :]], before, text)
        result.append(wide)
    return result


def _widen(block: _Block, room: tuple[int, int], before: list[str], text: str) -> _Block | None:
    """The smallest unique block around this one that has no blank line at its edges, if it can."""
    i1, i2 = block.i1, block.i2
    while True:
        lines = before[i1:i2]
        unique = bool(lines) and text.count("".join(lines)) == 1
        whole = (i1, i2) == room
        if unique and (whole or (lines[0].strip() and lines[-1].strip())):
            return _Block(i1, i2, block.j1 - (block.i1 - i1), block.j2 + (i2 - block.i2))
        if whole:
            return None
        up = i1 > room[0] and (i2 == room[1] or block.i1 - i1 <= i2 - block.i2)
        i1, i2 = (i1 - 1, i2) if up else (i1, i2 + 1)
