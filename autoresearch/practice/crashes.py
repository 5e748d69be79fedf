"""What a failed experiment said of its own end, read as a record and told in few words.

The witness inside the sandbox wrote it (see `sandbox/witness/sitecustomize.py`), where the experiment could
have written it too: it is for a model to read and decides nothing.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from autoresearch.records import Place, Record
from autoresearch.sandbox.results import Refused, read_json

FILE = "failure.json"
MOST_BYTES = 2**19
LIBRARY_FRAMES = 2  # of one exception, the last ones
MESSAGE = 800  # characters of one that are shown
PLACES = 12
VALUES, VALUES_ABOVE = 5, 1  # shown of the innermost own frame, and of those that called it
OTHERS = 2  # values of the innermost frame that its statement does not name, where it names fewer

_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,16}\b")
_NUMBER = re.compile(r"\d+")
_NAME = re.compile(r"\w+")
_COMMON = re.compile(r"\bshape (?=\()|, device cpu\b|\bfrom (?=-?[\d.e+-]+ to )")
_PROCESS = re.compile(r"(\bpid(?:\(s\))?[ =:]*)\d+(?:, \d+)*")
_IN_TRACE = re.compile(r'File "/work/([^"]+)", line (\d+),? in (\S+)')
_LATE = re.compile(r"CUDA error|device-side assert|CUBLAS_STATUS|cuDNN error", re.IGNORECASE)
LATE = "(A GPU reports errors late: the cause may lie in an earlier operation than the one named.)"


class Local(Record):
    name: str
    type: str
    value: str


class Frame(Record):
    file: str
    line: int
    function: str
    statement: str
    own: bool
    locals: tuple[Local, ...] = Field(max_length=64)


class Raised(Record):
    """One exception of a chain. `relation` is what it is to the one before it."""

    type: str
    message: str
    notes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()  # "Did you mean: …?", as Python would ask
    signatures: tuple[str, ...] = ()  # of the library functions that the innermost own frame called
    relation: Literal["", "cause", "context", "member"]
    frames: tuple[Frame, ...] = Field(max_length=64)
    left_out: int


class Crash(Record):
    """What ended a program: the exception that nobody caught, then what it came from."""

    thread: str | None
    chain: tuple[Raised, ...] = Field(min_length=1, max_length=16)

    @property
    def root(self) -> Raised:
        """The exception that came first, which the others followed from. (What another process printed of
        one is no exception of its own.)"""
        first = (
            raised
            for raised in reversed(self.chain)
            if raised.relation in ("", "cause") and not raised.type.endswith("RemoteTraceback")
        )
        return next(first, self.chain[0])


def read_crash(folder: Path) -> Crash | None:
    """The record in a folder of results; None where there is none that can be read."""
    try:
        return Crash.model_validate(read_json(folder / FILE, MOST_BYTES))
    except (Refused, ValidationError):
        return None


def places_of(crash: Crash) -> tuple[Place, ...]:
    """Where it failed in the task's own files: the frames of the first exception, the innermost first.

    The message of an exception that came out of a worker process quotes the traceback there."""
    found: list[Place] = []
    for raised in (crash.root, *crash.chain):
        found += reversed(places_in(raised.message))
        found += [
            Place(path=frame.file, line=frame.line, function=frame.function)
            for frame in reversed(raised.frames)
            if frame.own
        ]
    return tuple(dict.fromkeys(found))[:PLACES]


def places_in(text: str) -> list[Place]:
    """The places in the task's own files that a traceback or a stack names, in its order."""
    return [
        Place(path=match[1], line=int(match[2]), function=match[3])
        for match in _IN_TRACE.finditer(text)
    ]


def headline(crash: Crash) -> str:
    """One line: what was raised first, and where in the own code."""
    root, places = crash.root, places_of(crash)
    lines = root.message.strip().splitlines() or [""]
    first = lines[0] if not lines[0].startswith("Caught ") else f"{lines[0]} {lines[-1]}"
    where = f" at {places[0].path}:{places[0].line} in {places[0].function}" if places else ""
    return steady(f"{root.type}: {first}{where}")


def fingerprint(kind: str, message: str, places: tuple[Place, ...]) -> str:
    """The same for failures that are the same, whatever their numbers and lines."""
    where = places[0].function if places else ""
    return f"{kind} {_NUMBER.sub('#', ' '.join(message.split()))[:160]} {where}"


def describe(crash: Crash) -> str:
    """The chain from the first exception to the last, with the values in the own frames."""
    parts = [f"In the thread {crash.thread}:"] if crash.thread else []
    links = {"cause": "which caused", "context": "and while that was handled,", "member": "within"}
    shown: set[tuple[str, int]] = set()
    chain = list(reversed(crash.chain))
    for place, raised in enumerate(chain):
        if place:
            parts.append(links.get(chain[place - 1].relation, "then"))
        if len(chain) > 1 or "\n" in raised.message.strip():  # else the headline has said it
            parts.append(f"{raised.type}: {shortened(raised.message, MESSAGE)}".strip())
        parts += [*raised.notes, *raised.hints]
        parts += [f"Signature: {each}" for each in _signatures(raised)]
        parts += [LATE] if _LATE.search(raised.message) else []
        parts += _frames(raised, shown)
    return steady("\n".join(parts))


def _frames(raised: Raised, shown: set[tuple[str, int]]) -> Iterator[str]:
    own = [number for number, frame in enumerate(raised.frames) if frame.own]
    own = [n for n in own if raised.frames[n].function != "<module>"] or own  # it only calls main()
    last = own[-1] if own else -1
    if raised.left_out:
        yield f"  ({raised.left_out} frames left out)"
    for number in own:
        frame = raised.frames[number]
        yield f"  {frame.file}:{frame.line} in {frame.function}"
        if (frame.file, frame.line) in shown:
            continue
        shown.add((frame.file, frame.line))
        yield from (f"      {line}" for line in _dedent(frame.statement))
        yield from (f"        {_local(each)}" for each in _values(frame, number == last))
    for frame in raised.frames[last + 1 :][-LIBRARY_FRAMES:]:
        yield f"  {frame.file}:{frame.line} in {frame.function} (library)"


def _values(frame: Frame, innermost: bool) -> list[Local]:
    """Of the innermost frame the values that its statement names, and some more where these are few; of
    the others, which are many and seldom tell anything, a single one."""
    words = set(_NAME.findall(frame.statement))
    known = [each for each in frame.locals if each.name != "self"]
    named = [each for each in known if each.name.removeprefix("self.") in words]
    if not innermost:
        return named[:VALUES_ABOVE]
    others = [each for each in known if each not in named]
    return named[:VALUES] + others[: max(0, OTHERS - len(named))]


def _signatures(raised: Raised) -> list[str]:
    """Those of the functions that the message names; of a TypeError that names none the outermost."""
    names = {each: each.partition("(")[0].rpartition(".")[2] for each in raised.signatures}
    named = [each for each, name in names.items() if re.search(rf"\b{name}\b", raised.message)]
    return named or list(raised.signatures[: raised.type == "TypeError"])


def shortened(text: str, most: int) -> str:
    """Head and tail: of a text that is too long the end says more than the middle."""
    if len(text) <= most:
        return text
    head, tail = most // 3, most - most // 3
    return f"{text[:head]}\n… {len(text) - most} characters left out …\n{text[-tail:]}"


def _local(local: Local) -> str:
    """In few words: `rows: ndarray (240, 64) float64, 0 to 16`."""
    kind = local.type.rpartition(".")[2]
    value = _COMMON.sub("", local.value).replace("dtype torch.", "").replace("dtype ", "")
    return f"{local.name}: {'' if kind == 'NoneType' else kind} {value}".replace(
        ":  ", ": "
    ).rstrip()


def _dedent(statement: str) -> list[str]:
    lines = statement.splitlines()
    indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    least = min(indents, default=0)
    return [line[least:] for line in lines]


def steady(text: str) -> str:
    """Without addresses and numbers of processes, which change from run to run."""
    return _PROCESS.sub(r"\1...", _ADDRESS.sub("0x...", text))
