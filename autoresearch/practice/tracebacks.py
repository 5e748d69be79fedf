"""From a failed attempt to what the model is told of it."""

import re
from collections.abc import Iterator

from autoresearch.practice.crashes import (
    PLACES,
    Crash,
    describe,
    fingerprint,
    headline,
    places_in,
    places_of,
    steady,
)
from autoresearch.records import Ended, Execution, Failure, Measurement

DETAIL = 6000  # characters of traceback or output shown
LAST_LINES = 12
_PACKAGES = re.compile(r"^/\S*/(?:site|dist)-packages/")
_WARN = "warnings.warn("  # the line that Python quotes for most warnings
_TRACEBACK = "Traceback (most recent call last)"
_STACKS = re.compile(r"^(?:Timeout \(|Fatal Python error: )", re.MULTILINE)
_NOT_FINITE = re.compile(r"(?<![A-Za-z_])(?:nan|inf)(?![A-Za-z_])", re.IGNORECASE)


def failure_of(measured: Measurement, crash: Crash | None = None) -> Failure | None:
    """Why a measurement has no score, or None when it has one. `crash` is what its witness wrote."""
    execution = measured.execution
    if measured.value is not None or execution.ended is Ended.behind:
        return None  # one that was clearly behind did what it was to do
    if measured.score is not None:
        message = _line(measured.score.reason)
        left = f"It left in $OUT: {', '.join(execution.files[:12]) or 'nothing'}"
        detail, mark = (
            _joined(_told(crash), left, *_output(execution)),
            fingerprint("score", message, ()),
        )
        return Failure(stage="score", message=message, detail=detail, fingerprint=mark)
    if crash:
        root, places = crash.root, places_of(crash)
        return Failure(
            stage="run",
            message=_line(f"{execution.reason}: {headline(crash)}"),
            detail=_joined(_told(crash), *_output(execution, crash)),
            places=places,
            fingerprint=fingerprint(root.type, root.message, places),
        )
    return _without_record(execution)


def _without_record(execution: Execution) -> Failure:
    """Of a program that wrote none: it was ended from outside, or the plain arms are wanted."""
    trace = traceback_of(execution.stderr)
    stacks = "" if trace else stacks_of(execution.stderr)
    last = trace.splitlines()[-1].strip() if trace else ""
    message = _line(f"{execution.reason}: {last}" if last else execution.reason)
    return Failure(
        stage="run",
        message=message,
        detail=_cut(steady(trace)) if trace else _joined(_cut(steady(stacks)), *_output(execution)),
        places=tuple(dict.fromkeys(places_in(stacks)))[:PLACES],
        fingerprint=fingerprint("ended", message, ()),
    )


def _told(crash: Crash | None) -> str:
    return _cut(describe(crash)) if crash else ""


def _joined(*parts: str) -> str:
    return "\n\n".join(filter(None, parts))


def _output(execution: Execution, crash: Crash | None = None) -> Iterator[str]:
    """The last lines that the program printed (what others of its processes failed with is there too), and
    the first line that tells of a number which is none."""
    most = LAST_LINES if crash is None else LAST_LINES // 2
    printed = (("standard output", execution.stdout), ("standard error", _before(execution, crash)))
    for name, text in printed:
        lines = [_of_package(line) for line in text.strip().splitlines() if line.strip() != _WARN]
        said = [line[:300] for line in lines[-most:]]
        odd = next((line[:300] for line in lines[:-most] if _NOT_FINITE.search(line)), None)
        if odd is not None:
            yield steady(f"The first line of its {name} with a number that is not finite:\n{odd}")
        if said:
            yield steady(f"The last lines of its {name}:\n" + "\n".join(said))


def _of_package(line: str) -> str:
    """A line without the way to the package that a warning is from."""
    return _PACKAGES.sub("", line)


def _before(execution: Execution, crash: Crash | None) -> str:
    """What came on standard error before the end that is told of anyway: before the traceback of the
    crash (each exception of the chain has one, and a message may quote more), or before the stacks."""
    if crash is None:
        return execution.stderr.partition(stacks_of(execution.stderr) or "\0")[0]
    quoted = sum(raised.message.count(_TRACEBACK) for raised in crash.chain)
    parts = execution.stderr.split(_TRACEBACK)
    return _TRACEBACK.join(parts[: -len(crash.chain) - quoted])


def stacks_of(stderr: str) -> str:
    """The stacks that the interpreter printed when it crashed or its time was nearly over, or ""."""
    starts = [match.start() for match in _STACKS.finditer(stderr)]
    stacks = stderr[starts[-1] :].strip() if starts else ""
    return stacks.partition("\n\nExtension modules: ")[0]


def traceback_of(stderr: str) -> str:
    """The last traceback in the output with those it was chained to, or ""."""
    start = stderr.rfind(_TRACEBACK)
    if start < 0:
        return ""
    joined = ("The above exception was the direct cause", "During handling of the above exception")
    while any(mark in stderr[:start].rstrip().rsplit("\n", 1)[-1] for mark in joined):
        earlier = stderr.rfind(_TRACEBACK, 0, start)
        if earlier < 0:
            break
        start = earlier
    return stderr[start:].strip()


def _cut(text: str) -> str:
    """Head and tail: a traceback begins with where and ends with what."""
    if len(text) <= DETAIL:
        return text
    half = DETAIL // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def _line(text: str) -> str:
    return steady(" ".join(text.split()))[:500] or "no reason given"
