"""A metric that the task's own program reports: read, never believed, and marked *self-reported*."""

from pathlib import Path
from typing import Any

from autoresearch.metrics import finite, last_match, number_in
from autoresearch.records import Execution, Reported, Score, Task
from autoresearch.sandbox.results import Refused, read_json

JSON_BYTES = 4 * 2**20


def reported_score(task: Task, reported: Reported, execution: Execution, out: Path) -> Score:
    """What a program that ended well says its score is; `out` is what it left in $OUT.

    No number, NaN and infinities are no result, and the reason is then said.
    """
    try:
        value = _from_output(reported.pattern, execution.stdout) if reported.pattern else None
        if reported.file is not None:
            value = _from_file(reported, out)
        problem = ""
    except (Refused, ValueError) as error:
        value, problem = None, f"no self-reported {task.metric}: {error}"
    return Score(metric=task.metric, split="self-reported", value=value, reason=problem[:1000])


def _from_output(pattern: str, text: str) -> float:
    found = last_match(pattern, text)
    if found is None:
        raise ValueError(f"no line of what was printed matches {pattern}")
    value = number_in(found)
    if value is None:
        raise ValueError(
            f"the last match of {pattern} is {found[:60]!r}, which is no finite number"
        )
    return value


def _from_file(reported: Reported, out: Path) -> float:
    assert reported.file is not None
    found = read_json(out / reported.file, JSON_BYTES)
    for place, part in enumerate(reported.key):
        found = _below(found, part)
        if found is None:
            raise ValueError(
                f"{reported.file} has no {'.'.join(reported.key[: place + 1])}, which the task's "
                "metric names"
            )
    value = finite(found)
    if value is None:
        raise ValueError(f"{'.'.join(reported.key)} is {found!r:.60}, which is no finite number")
    return value


def _below(value: Any, part: str) -> Any:
    """One step of a key: a name, a place in a list, or * for the first there is."""
    if isinstance(value, dict):
        return next(iter(value.values()), None) if part == "*" else value.get(part)
    if isinstance(value, list) and part.removeprefix("-").isdecimal() and len(part) < 10:
        return value[int(part)] if -len(value) <= int(part) < len(value) else None
    return None
