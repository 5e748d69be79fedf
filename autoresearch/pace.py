"""Ends a run that is clearly behind: what an experiment reports as it goes, beside the baseline's runs.

A line `progress: DONE/TOTAL VALUE` on standard output says that of TOTAL parts of the work DONE are done, and what
a metric that goes the way of the task's is worth now. The program says so itself: it can cost the program
its own run, and gives it no score.
"""

import bisect
import math
import re
import statistics
from collections.abc import Iterator, Sequence

from autoresearch.records import Direction, Ended, Floor, Task
from autoresearch.sandbox import Stop

Curve = tuple[tuple[float, float], ...]  # (share of the work done, value), by share

EARLIEST = 0.2  # share of the work before which nothing is said
PATIENCE = 3  # reports in a row that have to be behind
DEVIATIONS = 6.0  # of the baseline's scatter over its seeds
SHARE = 0.3  # of what the baseline has gained since its first report
LONGEST = 200  # bytes of a line
MOST = 2000  # reports of one run that are looked at
_LINE = re.compile(r"progress: *(\d+(?:\.\d*)?)/(\d+(?:\.\d*)?) +(\S+) *\r?$")


def curve_of(stdout: str) -> Curve:
    """What a program reported, in order; what does not go on from what was before is left out."""
    return tuple(_rising(report for line in stdout.split("\n") if (report := _read(line))))


def _read(line: str) -> tuple[float, float] | None:
    found = _LINE.match(line) if len(line) <= LONGEST else None
    if not found:
        return None
    try:
        done, total, value = (float(each) for each in found.groups())
    except ValueError:
        return None
    return (done / total, value) if 0 < done <= total else None


def _rising(reports: Iterator[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    last, count = 0.0, 0
    for share, value in reports:
        if share > last and count < MOST:
            last, count = share, count + 1
            yield share, value


class Pace:
    """Reads along what one experiment prints, and says when it is clearly behind `baseline`, the curves
    of the baseline's seeds, or when its values are no finite numbers any more."""

    def __init__(self, baseline: Sequence[Curve], direction: Direction) -> None:
        finite = [curve for curve in baseline if all(math.isfinite(value) for _, value in curve)]
        self._baseline = [curve for curve in finite if len(curve) > PATIENCE]
        self._up = direction is Direction.maximize
        self._line, self._last, self._late, self._count = bytearray(), 0.0, 0, 0

    def __call__(self, data: bytes) -> Stop | None:
        *whole, rest = (bytes(self._line[: LONGEST + 1]) + data).split(b"\n")
        self._line = bytearray(rest[: LONGEST + 1])
        for line in whole:
            report = (
                _read(line.decode(errors="replace")) if b"progress:" in line[:LONGEST] else None
            )
            if report and report[0] > self._last and self._count < MOST:
                stop = self._report(*report)
                if stop:
                    return stop
        return None

    def _report(self, share: float, value: float) -> Stop | None:
        self._last, self._count = share, self._count + 1
        if not math.isfinite(value):
            return Ended.diverged, f"stopped: it reported {value} at {share:.0%} of its work"
        if share < EARLIEST or len(self._baseline) < 2:
            return None
        values = [value_at(curve, share) for curve in self._baseline]
        mean, deviation = statistics.fmean(values), statistics.stdev(values)
        climbed = abs(mean - statistics.fmean(curve[0][1] for curve in self._baseline))
        gap = mean - value if self._up else value - mean
        self._late = self._late + 1 if gap > max(DEVIATIONS * deviation, SHARE * climbed) else 0
        if self._late < PATIENCE:
            return None
        return Ended.behind, (
            f"stopped at {share:.0%} of its work: it reported {value:.4g} where the baseline's {len(values)} "
            f"runs had {mean:.4g} (deviation {deviation:.2g})"
        )


def value_at(curve: Curve, share: float) -> float:
    """The curve between its reports; its ends beyond them."""
    after = bisect.bisect_left(curve, share, key=lambda report: report[0])
    if after in (0, len(curve)):
        return curve[min(after, len(curve) - 1)][1]
    (left, before), (right, behind) = curve[after - 1], curve[after]
    return before + (behind - before) * (share - left) / (right - left)


def pace_of(floor: Floor, task: Task) -> Pace:
    """For one run of an idea, from what the baseline's runs reported."""
    curves = [curve_of(measured.execution.stdout) for measured in floor.measurements]
    return Pace(curves, task.direction)
