"""The paired test of a gain: over seeds and over examples at once, as both are chance.

With other seeds the mean gain would be another one, and with other examples too. Of its variance the
seeds give the part that is seen between the rows (a row is a seed), the examples the part that is seen
between the columns, and both hold the scatter of single cells, which is counted once. Student's t gets
the degrees of freedom of that sum (Satterthwaite): few where the seeds make the noise, many where the
examples do. Without example scores this is the paired t-test over seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autoresearch.records import Measurement, Task

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MIN_EXAMPLES = 20  # fewer say nothing about the examples not seen
CONFIDENCE = 0.95
Pair = tuple[Measurement, Measurement]  # an idea's and the baseline's, with one seed


@dataclass(frozen=True)
class Test:
    """A paired test of the mean gain: one-sided p for a gain, one-sided p for a loss, and the two-sided
    confidence interval in the metric's unit."""

    name: str
    p: float
    loss: float
    low: float
    high: float


@dataclass(frozen=True)
class Noise:
    """The variance of a mean gain, in the metric's unit squared: what the seeds make of it, with its
    degrees of freedom, and what the examples make of it, with theirs."""

    seeds: float
    seeds_freedom: float
    examples: float = 0.0
    examples_freedom: float = math.inf

    @property
    def error(self) -> float:
        return math.sqrt(self.seeds + self.examples)

    @property
    def freedom(self) -> float:
        """Satterthwaite's degrees of freedom of the sum."""
        parts = self.seeds**2 / self.seeds_freedom + self.examples**2 / self.examples_freedom
        return float((self.seeds + self.examples) ** 2 / parts)


def paired_up(mine: Sequence[Measurement], base: Sequence[Measurement]) -> list[Pair]:
    """Those of `mine` whose seed the baseline has too, each with the baseline's."""
    by_seed = {measured.seed: measured for measured in base}
    return [(measured, by_seed[measured.seed]) for measured in mine if measured.seed in by_seed]


def gains_of(pairs: Sequence[Pair], task: Task) -> list[float]:
    """The gain of each pair; a measurement without a value counts as 0, so look for those first."""
    return [task.gain(float(mine.value or 0.0), float(base.value or 0.0)) for mine, base in pairs]


def example_gains(pairs: Sequence[Pair]) -> "Array | None":
    """Seeds x examples; None without example scores, or with too few to tell."""
    import numpy as np

    rows = []
    for mine, base in pairs:
        ours = mine.score.examples if mine.score else ()
        theirs = base.score.examples if base.score else ()
        if len(ours) != len(theirs) or len(ours) < MIN_EXAMPLES:
            return None
        rows.append(np.subtract(ours, theirs))
    return np.array(rows)


def paired_test(gains: Sequence[float], examples: "Array | None" = None) -> Test | None:
    """Whether the mean of `gains` (one a seed) is above 0, given the `examples`' gains (seeds x
    examples). None with fewer than two seeds, whose scatter is then unknown, or without any scatter."""
    count = len(gains)
    if count < 2:
        return None
    mean = math.fsum(gains) / count
    seeds = math.fsum((gain - mean) ** 2 for gain in gains) / (count - 1) / count
    noise, name = Noise(seeds, count - 1), f"paired t-test over {count} seeds"
    if examples is not None:
        unit = unit_of(gains, examples)
        name += f" and {examples.shape[1]} examples"
        if unit is None:  # the examples say otherwise than the metric
            test = _test(name, mean, noise)
            return test and Test(name, max(test.p, 0.5), max(test.loss, 0.5), test.low, test.high)
        noise = _crossed(noise, examples * unit)
    return _test(name, mean, noise)


def unit_of(gains: Sequence[float], examples: "Array") -> float | None:
    """How much of the metric one unit of the examples' mean is: 1 where the metric is their mean. None
    where the two point in different directions."""
    means = examples.mean(axis=1).tolist()
    pairs = zip(means, gains, strict=True)
    if all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) for a, b in pairs):
        return 1.0
    mean, other = math.fsum(gains) / len(gains), math.fsum(means) / len(means)
    return mean / other if mean * other > 0 else None


def _crossed(noise: Noise, gains: "Array") -> Noise:
    """The noise of seeds and examples together, from the gains of each example with each seed."""
    count, width = gains.shape
    rows, columns = gains.mean(axis=1), gains.mean(axis=0)
    rest = gains - rows[:, None] - columns + rows.mean()
    cell = float((rest**2).sum()) / (count - 1) / (width - 1) / count / width
    between = float(columns.var(ddof=1)) / width
    return Noise(max(noise.seeds, cell), count - 1, max(between - cell, 0.0), width - 1)


def _test(name: str, mean: float, noise: Noise) -> Test | None:
    error = noise.error
    if error < 1e-12 * max(1.0, abs(mean)):  # no scatter: nothing to tell a difference by
        return None
    from scipy.special import stdtr, stdtrit  # Student's t, without the slow import of scipy.stats

    reach = float(stdtrit(noise.freedom, (1 + CONFIDENCE) / 2)) * error
    gain, loss = (float(stdtr(noise.freedom, sign * mean / error)) for sign in (-1, 1))
    return Test(name, gain, loss, mean - reach, mean + reach)
