"""Which gains the verdict could see, from the noise floor: before a run is paid for."""

import math
from collections.abc import Sequence

from autoresearch.feedback.analysis import MIN_EXAMPLES
from autoresearch.floors import reach_of
from autoresearch.records import Direction, Floor, Score

MOST_SEEDS = 100  # as many as a task may ask for


def smallest_gain(floor: Floor, seeds: int) -> float | None:
    """The smallest gain that both tests of the verdict find 4 times in 5 with that many seeds.

    Over seeds, an idea's scores are taken to scatter like the baseline's. Over examples, they scatter
    at least as the baseline's do from seed to seed; where they are 0 or 1, an idea is taken to mend
    some and to break none. An idea that does both needs a larger gain. None where nothing is known.
    """
    found = []
    if floor.deviation is not None and seeds > 1:
        found.append(reach_of(seeds, floor.alpha) * floor.deviation * math.sqrt(2 / seeds))
    rows = [measured.score.examples for measured in floor.measurements if measured.score]
    count = len(rows[0]) if rows else 0
    if count >= MIN_EXAMPLES and all(len(row) == count for row in rows):
        reach = reach_of(count, floor.alpha)
        found.append(reach * math.sqrt(2 * _variance(rows) / seeds / count))
        if {value for row in rows for value in row} <= {0.0, 1.0}:
            found.append(reach**2 / (count + reach**2))
    return max(found, default=None)


def _variance(rows: Sequence[Sequence[float]]) -> float:
    """Of an example's score over the seeds, averaged over the examples."""
    if len(rows) < 2:
        return 0.0
    total = 0.0
    for column in zip(*rows, strict=True):
        mean = sum(column) / len(column)
        total += sum((value - mean) ** 2 for value in column) / (len(column) - 1)
    return total / len(rows[0])


def seeds_for(floor: Floor, gain: float) -> int | None:
    """The fewest seeds with which that gain would be found; None where no allowed number will do."""
    for seeds in range(2, MOST_SEEDS + 1):
        smallest = smallest_gain(floor, seeds)
        if smallest is not None and smallest <= gain:
            return seeds
    return None


def best_value(score: Score, direction: Direction) -> float | None:
    """The best that the metric can be, where the scores show it: 1 for shares, 0 for errors."""
    value, examples = score.value, score.examples
    if value is None or not examples:
        return None
    if all(each <= 0 for each in examples):  # errors, negated
        sign = 1 if direction is Direction.minimize else -1
        return 0.0 if sign * value >= 0 else None
    shares = all(0 <= each <= 1 for each in examples) and 0 <= value <= 1
    if not shares:
        return None
    return 1.0 if direction is Direction.maximize else 0.0
