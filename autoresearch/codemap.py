"""What of a code base a question shows: all of it while that fits, else what matters and a map of the rest.

Files matter by their place (the entry, a failure, imports on the way from the entry) and by the words they
share with the idea. Of a file that is too long by itself its parts are chosen in the same way. What is left
out of a shown file is marked; all that is shown stands in the file exactly, so that an edit can copy it.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoresearch.outlines import Outline, outline, outlined, words_of

FILES_SHARE = 0.65  # of the bound, for the text of files; the map gets what they leave
NAMED_IN = 3  # a name that more files define says nothing about which of them is meant
PART_LINES = 40  # of a file without definitions
_LINE = re.compile(r"[^\n]*\n|[^\n]+")  # as the parser counts them
_OMITTED = re.compile(r"(\[… [^\n]*…\]\n?)*")
MARK = "[… {} lines left out …]\n"


@dataclass(frozen=True)
class View:
    """`files` are shown word for word (some with parts left out); `map` is of the rest, "" for none."""

    files: dict[str, str]
    map: str


def view(
    code: Mapping[str, str],
    bound: int,
    about: str = "",
    command: Sequence[str] = (),
    first: Sequence[str] = (),
) -> View:
    """At most about `bound` characters of `code` (path -> text) for a question `about` something.

    `command` runs the code, `first` are paths that matter most, in this order.
    """
    if sum(map(len, code.values())) <= bound and not any("\0" in text for text in code.values()):
        return View(dict(code), "")
    outlines = {path: outline(path, text) for path, text in code.items()}
    ranked = _ranked(outlines, about, command, first)
    files, left = {}, int(FILES_SHARE * bound)
    for place, path in enumerate(ranked):
        text = code[path]
        if "\0" in text:
            continue
        if len(text) > left and (place < 2 or path in first):
            text = _parts(outlines[path], text, about, min(left, bound // 3))
        if text and len(text) <= left:
            files[path] = text
            left -= len(text)
    whole = {path for path, text in files.items() if text == code[path]}
    room = bound - sum(map(len, files.values()))
    rest = [path for path in ranked if path not in whole]
    return View({path: files[path] for path in code if path in files}, map_of(outlines, rest, room))


def excerpted(
    code: Mapping[str, str],
    parts: Mapping[str, str],
    bound: int,
    about: str = "",
    command: Sequence[str] = (),
) -> View:
    """`parts` of the files (path -> text), and within what they leave of `bound` a map of all files."""
    if sum(map(len, code.values())) <= bound:
        return View(dict(parts), "")
    some = {path: text for path, text in parts.items() if not _OMITTED.fullmatch(text)}
    outlines = {path: outline(path, text) for path, text in code.items()}
    ranked = _ranked(outlines, about, command, list(some))
    room = max(bound // 4, bound - sum(map(len, some.values())))
    return View(some, map_of(outlines, ranked, room))


def map_of(outlines: Mapping[str, Outline], ranked: Sequence[str], room: int) -> str:
    """Files with what they define, in at most `room` characters: the first ones in most detail."""
    said: dict[str, str] = {}
    left = room - 80
    for detail in range(4):
        for path in ranked:
            text = outlined(path, outlines[path], detail)
            more = len(text) + 1 - (len(said[path]) + 1 if path in said else 0)
            if more <= left and (detail == 0 or path in said):
                said[path], left = text, left - more
    missing = len(ranked) - len(said)
    lines = [said[path] for path in sorted(said)]
    return "\n".join([*lines, f"and {missing} more files"] if missing else lines)


def within_reach(code: Mapping[str, str], command: Sequence[str]) -> dict[str, str]:
    """The files that what `command` runs imports, itself included; all of them where it names no file."""
    outlines = {path: outline(path, text) for path, text in code.items()}
    modules = _modules(outlines)
    entries = [path for word in command for path in _meant(word, outlines, modules)]
    far = _distances(outlines, modules, entries)
    return {path: text for path, text in code.items() if path in far} or dict(code)


# --- which files matter -------------------------------------------------------------------------


def _ranked(
    outlines: Mapping[str, Outline], about: str, command: Sequence[str], first: Sequence[str]
) -> list[str]:
    """All paths, what matters most first."""
    modules = _modules(outlines)
    entries = [path for word in command for path in _meant(word, outlines, modules)]
    far = _distances(outlines, modules, entries)
    alike = _likeness({path: each.words for path, each in outlines.items()}, about)
    names = set(re.findall(r"[A-Za-z_]\w{3,}", about))
    defined = Counter(name for each in outlines.values() for name in each.names & names)
    telling = {name for name, count in defined.items() if count <= NAMED_IN}

    def score(path: str) -> float:
        named = path in about or re.search(rf"(?<![\w/]){re.escape(path.split('/')[-1])}\b", about)
        return (
            (10 - first.index(path) / len(first) if path in first else 0.0)
            + 4.0 * (path in entries)
            + 3.0 * bool(named)
            + 1.5 * bool(telling & outlines[path].names)
            + 2.0 * alike[path]
            + (1 / (1 + far[path]) if path in far else 0.0)
        )

    return sorted(outlines, key=lambda path: (-score(path), path))


def _likeness(words: Mapping[str, Mapping[str, int]], about: str) -> dict[str, float]:
    """How many of the words of `about` each text shares, rare ones counting more: 0 to 1 for the most."""
    said = set(words_of(about))
    holders = Counter(word for each in words.values() for word in each if word in said)
    weigh = {word: math.log(1 + len(words) / count) for word, count in holders.items()}
    sums = {
        key: sum(weight * each[word] / (each[word] + 2) for word, weight in weigh.items() if word in each)
        for key, each in words.items()
    }  # fmt: skip
    most = max(sums.values(), default=0.0) or 1.0
    return {key: value / most for key, value in sums.items()}


def _modules(paths: Mapping[str, Outline]) -> dict[str, str]:
    """Module name -> path, also without leading folders ("src/net/cnn.py" is `net.cnn` and `cnn`)."""
    found: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: (path.count("/"), path)):
        if path.endswith(".py"):
            parts = path.removesuffix(".py").removesuffix("/__init__").split("/")
            for start in range(len(parts)):
                found.setdefault(".".join(parts[start:]), path)
    return found


def _meant(word: str, paths: Mapping[str, Outline], modules: Mapping[str, str]) -> list[str]:
    """The file that a word of a command stands for."""
    path = word.removeprefix("./")
    return [path] if path in paths else [modules[word]] if word in modules else []


def _distances(
    outlines: Mapping[str, Outline], modules: Mapping[str, str], entries: Sequence[str]
) -> dict[str, int]:
    """How many imports away from the entry each file is; files that are never imported have none."""
    far = dict.fromkeys(entries, 0)
    waiting = list(far)
    for path in waiting:
        for name in outlines[path].imports:
            here = ".".join(path.split("/")[:-1])
            options = (f"{here}.{name}", name, name.rpartition(".")[0])
            target = next((modules[option] for option in options if option in modules), None)
            if target and target not in far:
                far[target] = far[path] + 1
                waiting.append(target)
    return far


# --- parts of a long file -----------------------------------------------------------------------


def _parts(outlined_as: Outline, text: str, about: str, room: int) -> str:
    """Whole parts of a file that fit into `room` characters: the head, then by words shared."""
    lines = _LINE.findall(text)
    starts = sorted({0, *(outlined_as.starts or range(0, len(lines), PART_LINES))})
    pieces = ["".join(lines[a:b]) for a, b in zip(starts, [*starts[1:], len(lines)], strict=True)]
    words = {str(n): Counter(words_of(p[:20_000])) for n, p in enumerate(pieces[:2000])}
    alike, kept = _likeness(words, about), set[int]()
    for number in sorted(range(len(words)), key=lambda n: (n > 0, -alike[str(n)], n)):
        cost = len(pieces[number]) + len(MARK) + 4
        if cost <= room:
            kept.add(number)
            room -= cost
    if not kept:
        return ""
    shown, missing = [], 0
    for number, piece in enumerate(pieces):
        if number in kept:
            shown += [MARK.format(missing)] * (missing > 0) + [piece]
            missing = 0
        else:
            missing += piece.count("\n") or 1
    return "".join(shown + [MARK.format(missing)] * (missing > 0))
