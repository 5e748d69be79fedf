"""Whether an idea's further seeds can still change its verdict.

After each seed the chance is reckoned that the idea would come out as improved once all seeds are run,
if its other seeds go on like those it has. Where that is next to nothing the idea is stopped. An idea is
called improved after its last seed only, by one test of all of them: looking earlier costs nothing of
its level, and stopping can lose a gain but never make one up.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from autoresearch.floors import examples_of
from autoresearch.paired import CONFIDENCE, Noise, Pair, example_gains, gains_of, paired_up, unit_of
from autoresearch.records import Floor, Measurement, Task

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

FUTILE = 0.05  # the chance of improving below which further seeds are not worth their time
POINTS = 256  # that the chance is averaged over


@dataclass(frozen=True)
class Outlook:
    """What some of an idea's seeds say: the mean gain with its 95 % interval, the one-sided p of a loss,
    and the chance that all seeds would make it improved. The idea's scatter over the seeds is reckoned
    from the baseline's together with its own, since one seed shows none."""

    effect: float
    low: float
    high: float
    loss: float
    chance: float


def is_worth_more(
    floor: Floor, task: Task, measurements: Sequence[Measurement], level: float
) -> bool:
    """Whether the next seed is to be run."""
    pairs = paired_up(measurements, floor.measurements)
    if len(pairs) >= len(floor.measurements) or any(mine.value is None for mine, _ in pairs):
        return False
    return outlook(floor, task, pairs, level).chance >= FUTILE


def outlook(floor: Floor, task: Task, pairs: Sequence[Pair], level: float) -> Outlook:
    """What these pairs (one at least, and one fewer than the baseline's at most) say so far."""
    gains, total = gains_of(pairs, task), len(floor.measurements)
    count, mean = len(gains), math.fsum(gains) / len(gains)
    squares = math.fsum((gain - mean) ** 2 for gain in gains)
    freedom = total - 1 + count - 1
    variance = (2 * (floor.deviation or 0.0) ** 2 * (total - 1) + squares) / freedom
    examples = _over_examples(floor, pairs, gains)
    noise = Noise(variance / count, freedom, examples[0], max(examples[1] - 1, 1))
    if noise.error < 1e-12 * max(1.0, abs(mean)):
        return Outlook(mean, mean, mean, 0.5, float(mean > 0))
    from scipy.special import stdtr, stdtrit

    reach = float(stdtrit(noise.freedom, (1 + CONFIDENCE) / 2)) * noise.error
    loss = float(stdtr(noise.freedom, mean / noise.error))
    final = _finals(mean, squares, count, total, variance, freedom)
    chance = _chance(*final, total, examples, level)
    return Outlook(mean, mean - reach, mean + reach, loss, chance)


def _over_examples(
    floor: Floor, pairs: Sequence[Pair], gains: Sequence[float]
) -> tuple[float, int, float]:
    """What the examples make of the variance of the mean gain, how many there are, and what single cells
    make of the variance once all seeds are run; all 0 where nothing is known of them."""
    scatter, width, _, _ = examples_of(floor)
    examples = example_gains(pairs) if width else None
    unit = None if examples is None else unit_of(gains, examples)
    if examples is None or unit is None or examples.shape[1] != width:
        return 0.0, 0, 0.0
    columns = float(examples.mean(axis=0).var(ddof=1))
    over = max(columns - 2 * scatter / len(pairs), 0.0) * unit**2 / width
    return over, width, 2 * scatter * unit**2 / width / len(floor.measurements)


def _finals(
    mean: float, squares: float, count: int, total: int, variance: float, freedom: float
) -> tuple["Array", "Array"]:
    """Means and variances of all gains as they may come out, equally likely: the other seeds' gains
    have the same true mean and variance, of which only an estimate is known."""
    import numpy as np

    more = total - count
    chance, normal, among = draws(freedom, more)
    spread = variance / chance
    others = mean + np.sqrt(spread * (1 / count + 1 / more)) * normal
    apart = (others - mean) ** 2 * count * more / total
    means = (count * mean + more * others) / total
    return means, (squares + spread * among + apart) / (total - 1)


def _chance(
    means: "Array", variances: "Array", total: int, examples: tuple[float, int, float], level: float
) -> float:
    """The share of these that the paired test would call improved."""
    import numpy as np
    from scipy.special import stdtr

    over, width, cells = examples
    seeds = np.maximum(variances / total, cells)
    whole = seeds + over
    freedom = whole**2 / (seeds**2 / (total - 1) + over**2 / max(width - 1, 1))
    return float((stdtr(freedom, -means / np.sqrt(whole)) < level).mean())


@lru_cache(maxsize=256)
def draws(freedom: float, more: int) -> tuple["Array", "Array", "Array"]:
    """POINTS draws of a variance estimate with these degrees of freedom, as a share of the variance; of
    a standard normal; and of the sum of squares of `more` standard normals about their mean. They are
    spread evenly and always the same, so that a resumed run decides the same."""
    import numpy as np
    from scipy.special import chdtri, ndtri

    root = 1.2207440846057596  # of x**4 = x + 1: multiples of its powers fill a cube evenly
    steps = np.array([root**-1, root**-2, root**-3])
    points = (0.5 + steps[:, None] * np.arange(1, POINTS + 1)) % 1
    among = chdtri(more - 1, points[2]) if more > 1 else np.zeros(POINTS)
    return chdtri(freedom, points[0]) / freedom, ndtri(points[1]), among
