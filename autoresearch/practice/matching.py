"""Where the lines of an edit stand in a file: exactly there, or nowhere and what is most like them.

Lines are compared with their ends made alike; what is replaced takes over the ends that the file has there,
and nothing else of the file changes.
"""

import difflib
import heapq
from bisect import bisect_left

from autoresearch.records import Edit

LIKELY = 8  # windows that are compared letter by letter
COMPARED = 600  # characters of each
SHOWN = 60  # lines
MOST = 100  # places that are counted


class Refused(ValueError):
    """An edit that cannot be applied exactly; the message says why and shows what is there."""


def universal(text: str) -> str:
    """The text with every end of a line as a line feed."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def replaced(edit: Edit, exact: str) -> str:
    """The file's exact text after the edit. Raises Refused where its lines do not stand there once."""
    text = universal(exact)
    ended = text if text.endswith("\n") else text + "\n"  # a last line may lack its end
    start = _place(edit, ended)
    old, new = _lines(edit.search), _lines(edit.replace)
    while old and new and old[0] == new[0]:
        start += len(old.pop(0))
        del new[0]
    while old and new and old[-1] == new[-1]:
        del old[-1], new[-1]
    end, lines = start + len("".join(old)), "".join(new)
    if start > len(text):  # lines are added after a last one without an end
        start, end, lines = len(text), len(text), f"\n{lines}".removesuffix("\n")
    elif end > len(text):
        end, lines = len(text), lines.removesuffix("\n")
    first, last = _offsets(exact, start, end)
    styled = lines.replace("\n", _line_end(exact[first:last]) or _line_end(exact) or "\n")
    result = exact[:first] + styled + exact[last:]
    if universal(result) != text[:start] + lines + text[end:]:  # "\r" beside "\n" would be one end
        raise Refused(f"{edit.path} mixes ends of lines there; give all of it with ### rewrite")
    return result


def in_style_of(text: str, exact: str) -> str:
    """A whole new text with the byte order mark and the ends of lines that the old one had."""
    mark = "\ufeff" if exact.startswith("\ufeff") and not text.startswith("\ufeff") else ""
    return mark + text.replace("\n", _line_end(exact) or "\n")


def _lines(text: str) -> list[str]:
    """Lines with their line feeds; other characters that end lines elsewhere are part of them."""
    *whole, last = text.split("\n")
    return [line + "\n" for line in whole] + ([last] if last else [])


def _place(edit: Edit, text: str) -> int:
    """Where the searched lines begin in `text`, whose last line has an end."""
    starts = _found(edit.search, text)
    whole = [start for start in starts if start == 0 or text[start - 1] == "\n"]
    if edit.search.endswith("\n") and len(whole) == 1:
        return whole[0]
    if not starts:
        raise Refused(
            f"{edit.path}: no place reads exactly\n{edit.search}\n{_nearest_there(edit, text)}"
        )
    if len(starts) > 1:
        count = f"{len(starts)}" if len(starts) < MOST else f"{MOST} or more"
        raise Refused(
            f"{edit.path}: the SEARCH part stands in {count} places; add lines until it is unique:"
            f"\n{edit.search}"
        )
    if not whole and edit.search.count("\n") > 1:
        raise Refused(
            f"{edit.path}: the SEARCH part begins in the middle of a line; copy whole lines, with their "
            f"indentation:\n{edit.search}\n{_nearest_there(edit, text)}"
        )
    return starts[0]


def _found(wanted: str, text: str) -> list[int]:
    """Where it stands, also where one place overlaps the next."""
    starts: list[int] = []
    at = text.find(wanted)
    while at >= 0 and len(starts) < MOST:
        starts.append(at)
        at = text.find(wanted, at + 1)
    return starts


def _offsets(exact: str, *places: int) -> list[int]:
    """The offsets in the exact text of places in the universal one."""
    pairs: list[int] = []
    at = exact.find("\r\n")
    while at >= 0:
        pairs.append(at - len(pairs))
        at = exact.find("\r\n", at + 2)
    return [place + bisect_left(pairs, place) for place in places]


def _line_end(text: str) -> str:
    """What ends most of its lines, "" where it has no end of a line."""
    pairs = text.count("\r\n")
    counts = {"\n": text.count("\n") - pairs, "\r\n": pairs, "\r": text.count("\r") - pairs}
    end = max(counts, key=lambda each: counts[each])
    return end if counts[end] else ""


def _nearest_there(edit: Edit, text: str) -> str:
    shown = nearest(edit.search, text)
    code = "".join(line.partition("|")[2] for line in shown.split("\n"))
    alike = "".join(code.split()) == "".join(edit.search.split())
    return f"The nearest there is{' (only spaces differ)' if alike else ''}:\n{shown}"


def nearest(wanted: str, text: str) -> str:
    """The lines of `text` most like `wanted`, with their line numbers."""
    want, lines = wanted.splitlines(), text.splitlines()
    size = max(1, len(want))
    known = {line.strip() for line in want if line.strip()}
    shared = [line.strip() in known for line in lines]
    starts = range(max(1, len(lines) - size + 1))
    # Comparing letter by letter is slow: only the windows with the most lines in common are.
    likely = heapq.nlargest(LIKELY, starts, key=lambda start: sum(shared[start : start + size]))
    if not any(shared):
        likely = list(starts)[:: max(1, len(starts) // (4 * LIKELY))]
    best = max(likely, key=lambda start: _likeness(wanted, lines[start : start + size]))
    shown = lines[best : best + min(size, SHOWN)]
    return "\n".join(f"{best + i + 1:4} | {line}" for i, line in enumerate(shown))


def _likeness(wanted: str, lines: list[str]) -> float:
    window = "\n".join(lines)[:COMPARED]
    return difflib.SequenceMatcher(None, wanted[:COMPARED], window, autojunk=False).ratio()
