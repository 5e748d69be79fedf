"""The noise floor of a run, from the baseline's scores, and the smallest gain that shows above it."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from autoresearch.config import Settings
from autoresearch.levels import first_level
from autoresearch.paired import MIN_EXAMPLES
from autoresearch.records import Floor, Measurement

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

POWER = 0.8  # how often the smallest gain is found
FAR = 40.0  # standard errors from zero
DOUBTS = 32  # values that the true scatter over the seeds is averaged over


def floor_of(
    commit: str, measurements: tuple[Measurement, ...], values: list[float], settings: Settings
) -> Floor:
    """The noise floor from the baseline's scores, one a seed, at the level one idea is held to."""
    count, mean = len(values), sum(values) / len(values)
    deviation = None
    if count > 1:
        deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (count - 1))
    floor = Floor(
        commit=commit,
        measurements=measurements,
        mean=mean,
        deviation=deviation,
        smallest_gain=None,
        alpha=first_level(settings),
    )
    return floor.model_copy(update={"smallest_gain": smallest_gain(floor, count)})


def smallest_gain(floor: Floor, seeds: int) -> float | None:
    """The smallest gain that the verdict's test finds 4 times in 5 with that many seeds, in the metric's
    unit; None where nothing is known of the noise.

    An idea's scores are taken to scatter over the seeds like the baseline's, and independently of them;
    that the baseline's seeds only give an estimate of it is reckoned with. What an idea does to an
    example is taken to vary over the examples as the baseline's score of one does over the seeds; where
    scores are 0 or 1, it also has to mend some. One that breaks many and mends more needs a larger gain.
    """
    if floor.deviation is None or seeds < 2:
        return None
    scatter, count, unit, binary = examples_of(floor)
    per_row = unit**2 / count if count else 0.0
    cells = 2 * scatter * per_row / seeds
    variances = 2 * floor.deviation**2 / seeds * _doubt(len(floor.measurements) - 1)

    def found(gain: float) -> float:
        """How often a gain of that size is found."""
        mended = min(gain / unit, 0.5) if binary else 0.0
        over = (scatter + mended * (1 - mended)) * per_row
        return _power(gain, variances.clip(cells), seeds - 1, over, max(count - 1, 1), floor.alpha)

    if not floor.deviation and not scatter and not binary:
        return None
    return _least(found, unit if binary else floor.deviation or math.sqrt(scatter * per_row))


@lru_cache(maxsize=8)
def _doubt(freedom: int) -> "Array":
    """What a variance may be, in units of its estimate: DOUBTS values that are equally likely."""
    import numpy as np
    from scipy.special import chdtri

    return np.asarray(freedom / chdtri(freedom, (np.arange(DOUBTS) + 0.5) / DOUBTS))


def _power(
    gain: float, seeds: "Array", seeds_freedom: int, examples: float, examples_freedom: int, alpha: float
) -> float:  # fmt: skip
    """How often the paired test finds a true gain, over these variances that the seeds may make."""
    import numpy as np
    from scipy.special import chdtrc, nctdtr, stdtrit  # scipy.stats takes over a second to import

    whole = seeds + examples
    freedom = whole**2 / (seeds**2 / seeds_freedom + examples**2 / examples_freedom)
    errors, needed = gain / np.sqrt(whole), -stdtrit(freedom, alpha)
    # Far out the mean's own scatter is nothing beside the scatter of its estimated error.
    far = chdtrc(freedom, freedom * (errors / needed) ** 2)
    near = nctdtr(freedom, np.minimum(errors, FAR), needed)
    return float(1 - np.where(errors > FAR, far, near).mean())


def _least(found: Callable[[float], float], start: float) -> float:
    """The gain that is found with the power wanted: doubled until it is, then halved in between."""
    high = start
    while found(high) < POWER:
        high *= 2
    low = 0.0
    while high - low > 1e-7 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) >= POWER else (middle, high)
    return high


@lru_cache(maxsize=4)
def examples_of(floor: Floor) -> tuple[float, int, float, bool]:
    """Of the baseline's example scores: the variance of one over the seeds, averaged over the examples;
    how many there are (0: none of use); how much of the metric one unit of their mean is; and whether
    all are 0 or 1."""
    import numpy as np

    none = (0.0, 0, 1.0, False)
    rows = [measured.score.examples for measured in floor.measurements if measured.score]
    count = len(rows[0]) if rows else 0
    if len(rows) < 2 or count < MIN_EXAMPLES or any(len(row) != count for row in rows):
        return none
    scores = np.array(rows)
    unit = _unit(scores.mean(axis=1).tolist(), [float(m.value or 0.0) for m in floor.measurements])
    if unit is None:
        return none
    return (
        float(scores.var(axis=0, ddof=1).mean()),
        count,
        unit,
        bool(np.isin(scores, (0, 1)).all()),
    )


def _unit(means: Sequence[float], values: Sequence[float]) -> float | None:
    """1 where the metric is the examples' mean (or its negative); else the ratio of their scatter."""
    if all(
        math.isclose(abs(m), abs(v), rel_tol=1e-6, abs_tol=1e-9)
        for m, v in zip(means, values, strict=True)
    ):
        return 1.0
    mean, other = sum(values) / len(values), sum(means) / len(means)
    scatter = sum((m - other) ** 2 for m in means)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / scatter) or None if scatter else None
