"""From a failed attempt to what the model is told of it."""

import re

from autoresearch.practice.crashes import (
    PLACES,
    Crash,
    describe,
    fingerprint,
    headline,
    places_of,
    steady,
)
from autoresearch.records import Ended, Execution, Failure, Measurement, Place

DETAIL = 6000  # characters of traceback or output shown
LAST_LINES = 12
_STACKS = re.compile(r"^(?:Timeout \(|Fatal Python error: )", re.MULTILINE)
_STACK_LINE = re.compile(r'File "/work/([^"]+)", line (\d+) in (\S+)')


def failure_of(measured: Measurement, crash: Crash | None = None) -> Failure | None:
    """Why a measurement has no score, or None when it has one. `crash` is what its witness wrote."""
    execution = measured.execution
    if measured.value is not None or execution.ended is Ended.behind:
        return None  # one that was clearly behind did what it was to do
    if measured.score is not None:
        message = _line(measured.score.reason)
        detail, mark = _with_output(crash, execution, ""), fingerprint("score", message, ())
        return Failure(stage="score", message=message, detail=detail, fingerprint=mark)
    trace = traceback_of(execution.stderr) or stacks_of(execution.stderr)
    if crash:
        message = _line(f"{execution.reason}: {headline(crash)}")
        root, places = crash.root, places_of(crash)
        return Failure(
            stage="run",
            message=message,
            detail=_with_output(crash, execution, ""),
            places=places,
            fingerprint=fingerprint(root.type, root.message, places),
        )
    last = trace.splitlines()[-1].strip() if traceback_of(trace) else ""
    message = _line(f"{execution.reason}: {last}" if last else execution.reason)
    detail = trace or tail(execution.stderr) or tail(execution.stdout)
    return Failure(
        stage="run",
        message=message,
        detail=_cut(steady(detail)),
        places=_places_in(trace),
        fingerprint=fingerprint("ended", message, ()),
    )


def _with_output(crash: Crash | None, execution: Execution, otherwise: str) -> str:
    """What is known of the end, then the last lines of what the program printed."""
    parts = [_cut(describe(crash))] if crash else [otherwise]
    warned = execution.stderr.partition("Traceback (most recent call last)")[0]
    for name, text in (("standard output", execution.stdout), ("standard error", warned)):
        lines = text.strip().splitlines()[-LAST_LINES:]
        if lines:
            shown = "\n".join(line[:300] for line in lines)
            parts.append(f"The last lines of its {name}:\n{steady(shown)}")
    return "\n\n".join(filter(None, parts))


def stacks_of(stderr: str) -> str:
    """The stacks that the interpreter printed when it crashed or its time was nearly over, or ""."""
    starts = [match.start() for match in _STACKS.finditer(stderr)]
    return stderr[starts[-1] :].strip() if starts else ""


def _places_in(stacks: str) -> tuple[Place, ...]:
    """The places in the task's own files that stacks name, the innermost first."""
    found = [
        Place(path=match[1], line=int(match[2]), function=match[3])
        for match in _STACK_LINE.finditer(stacks)
    ]
    return tuple(dict.fromkeys(found))[:PLACES]


def traceback_of(stderr: str) -> str:
    """The last traceback in the output with those it was chained to, or ""."""
    start = stderr.rfind("Traceback (most recent call last)")
    if start < 0:
        return ""
    joined = ("The above exception was the direct cause", "During handling of the above exception")
    while any(mark in stderr[:start].rstrip().rsplit("\n", 1)[-1] for mark in joined):
        earlier = stderr.rfind("Traceback (most recent call last)", 0, start)
        if earlier < 0:
            break
        start = earlier
    return stderr[start:].strip()


def tail(text: str) -> str:
    """The end of an output, bounded and free of what changes from run to run."""
    return steady(text.strip()[-DETAIL:])


def _cut(text: str) -> str:
    """Head and tail: a traceback begins with where and ends with what."""
    if len(text) <= DETAIL:
        return text
    half = DETAIL // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def _line(text: str) -> str:
    return steady(" ".join(text.split()))[:500] or "no reason given"
