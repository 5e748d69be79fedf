"""From a failed attempt to what the model is told of it."""

import re
from collections.abc import Mapping

from autoresearch.records import Failure, Measurement
from autoresearch.sourcecode import syntax_tree

DETAIL = 6000  # characters of traceback or output shown
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,16}\b")


def check_syntax(sources: Mapping[str, str]) -> Failure | None:
    """The first syntax error among Python files, before anything is run."""
    for path, text in sorted(sources.items()):
        if not path.endswith(".py"):
            continue
        try:
            syntax_tree(text, path)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None) or 1
            around = text.splitlines()[max(0, line - 3) : line + 2]
            numbered = [f"{max(0, line - 3) + i + 1:4} | {code}" for i, code in enumerate(around)]
            message = f"{path}, line {line}: {getattr(error, 'msg', None) or error or type(error).__name__}"
            return Failure(stage="syntax", message=message, detail="\n".join(numbered))
    return None


def failure_of(measured: Measurement) -> Failure | None:
    """Why a measurement has no score, or None when it has one."""
    execution = measured.execution
    if measured.value is not None:
        return None
    if measured.score is not None:
        output = tail(execution.stdout)
        return Failure(stage="score", message=_line(measured.score.reason), detail=output)
    trace = traceback_of(execution.stderr)
    last = trace.splitlines()[-1].strip() if trace else ""
    message = f"{execution.reason}: {last}" if last else execution.reason
    detail = trace or tail(execution.stderr) or tail(execution.stdout)
    return Failure(stage="run", message=_line(message), detail=_cut(_steady(detail)))


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
    return _steady(text.strip()[-DETAIL:])


def _cut(text: str) -> str:
    """Head and tail: a traceback begins with where and ends with what."""
    if len(text) <= DETAIL:
        return text
    half = DETAIL // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def _steady(text: str) -> str:
    return _ADDRESS.sub("0x...", text)


def _line(text: str) -> str:
    return _steady(" ".join(text.split()))[:500] or "no reason given"
