"""Which gains the verdict could see, from the noise floor: before a run is paid for."""

from autoresearch.floors import smallest_gain
from autoresearch.records import Direction, Floor, Score

MOST_SEEDS = 100  # as many as a task may ask for


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
