"""What the picture of a run shows: a mark for each idea, the levels beside them, and how far the axis goes.

Scores are in the unit of the task's metric.
"""

import statistics
from dataclasses import dataclass
from typing import Literal

Kind = Literal["improved", "maintained", "declined", "failed", "unfinished"]


@dataclass(frozen=True)
class Mark:
    """One idea. `score` is None where there is none, `interval` where it has none; `said` is its tooltip
    and `claim` what became of its gain, "" where it claims none (yet)."""

    place: str  # "0.3": the round and the number in it
    slug: str
    kind: Kind
    score: float | None
    interval: tuple[float, float] | None
    claim: Literal["stands", "refuted", ""]
    said: str

    @property
    def round(self) -> str:
        return self.place.partition(".")[0]


@dataclass(frozen=True)
class Chart:
    """What is drawn. `better` is 1 where a larger score is better, -1 where a smaller one is; `gain` the
    smallest that could be found and `control` the score that the control arm reached, where there are any."""

    metric: str
    better: int
    baseline: float
    deviation: float | None
    gain: float | None
    control: float | None
    marks: tuple[Mark, ...]
    warning: str = ""  # what the scores are worth, where that has to be said


def best_so_far(chart: Chart) -> list[float]:
    """After each idea: the best score until then, of the baseline and of what improved and is not refuted."""
    best, found = chart.baseline, []
    for mark in chart.marks:
        if mark.kind == "improved" and mark.claim != "refuted" and mark.score is not None:
            best = max(best, mark.score, key=lambda score: score * chart.better)
        found.append(best)
    return found


def found_at(chart: Chart) -> float | None:
    """The score from which a gain would be found."""
    return None if chart.gain is None else chart.baseline + chart.better * chart.gain


def bounds(chart: Chart) -> tuple[float, float]:
    """What the axis shows: the baseline, the control arm and all that improved; of other scores, of intervals
    and of the least gain what is not so far away that it would hide their differences."""
    around = chart.deviation or 0.0
    must = [chart.baseline - 2.5 * around, chart.baseline + 2.5 * around]
    must += [] if chart.control is None else [chart.control]
    scores = [mark.score for mark in chart.marks if mark.score is not None]
    must += [m.score for m in chart.marks if m.score is not None and m.kind == "improved"]
    low, high = min(must), max(must)
    usual = statistics.median(abs(score - chart.baseline) for score in scores) if scores else 0.0
    reach = max(1.5 * (high - low), 4 * usual)
    may = [*scores, *(end for mark in chart.marks for end in mark.interval or ())]
    near = [value for value in may if low - reach <= value <= high + reach]
    found, reach = found_at(chart), max(high - low, 8 * around)
    near += [] if found is None or not low - reach <= found <= high + reach else [found]
    low, high = min([low, *near]), max([high, *near])
    pad = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - pad, high + pad
