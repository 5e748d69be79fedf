"""The noise floor of a run, from the baseline's scores, and the smallest gain that shows above it."""

import math
from collections.abc import Sequence
from functools import lru_cache

from autoresearch.config import Settings
from autoresearch.levels import first_level
from autoresearch.paired import MIN_EXAMPLES, Noise
from autoresearch.records import Floor, Measurement

POWER = 0.8  # how often the smallest gain is found


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

    An idea's scores are taken to scatter over the seeds like the baseline's, and independently of them.
    What it does to an example is taken to vary over the examples as the baseline's score of an example
    does over the seeds; where scores are 0 or 1, it also has to mend some. An idea that breaks many
    examples and mends more needs a larger gain.
    """
    if floor.deviation is None or seeds < 2:
        return None
    scatter, count, unit, binary = examples_of(floor)
    cells = 2 * scatter * unit**2 / seeds / count if count else 0.0
    over_seeds = max(2 * floor.deviation**2 / seeds, cells)

    def needed(gain: float) -> float:
        """For a gain whose examples scatter as those of this one."""
        mended = min(gain / unit, 0.5) if binary else 0.0
        over = unit**2 * (scatter + mended * (1 - mended)) / count if count else 0.0
        noise = Noise(over_seeds, seeds - 1, over, max(count - 1, 1))
        return reach_of(noise.freedom, floor.alpha) * noise.error if noise.error else 0.0

    gain = needed(unit / 2)
    for _ in range(100):  # from above: `needed` grows slower than the gain
        last, gain = gain, needed(gain)
        if abs(last - gain) <= 1e-9 * gain:
            break
    return gain or None


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


def reach_of(freedom: float, alpha: float) -> float:
    """How many standard errors a mean gain must truly be above zero for a t-test with these degrees of
    freedom to find it 4 times in 5 at this level (from the noncentral t distribution)."""
    from scipy.special import nctdtrinc, stdtrit  # scipy.stats takes over a second to import

    return float(nctdtrinc(freedom, 1 - POWER, stdtrit(freedom, 1 - alpha)))
