"""The noise floor of a run, from the baseline's scores."""

import math

from autoresearch.config import Settings
from autoresearch.records import Floor, Measurement


def floor_of(
    commit: str, measurements: tuple[Measurement, ...], values: list[float], settings: Settings
) -> Floor:
    """The noise floor from the baseline's scores, one a seed, at the level one idea is held to."""
    count, mean = len(values), sum(values) / len(values)
    alpha = settings.alpha / (settings.rounds * settings.ideas)
    deviation = smallest = None
    if count > 1:
        deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (count - 1))
        smallest = reach_of(count, alpha) * deviation * math.sqrt(2 / count)
    return Floor(
        commit=commit,
        measurements=measurements,
        mean=mean,
        deviation=deviation,
        smallest_gain=smallest,
        alpha=alpha,
    )


def reach_of(count: int, alpha: float) -> float:
    """How many standard errors a mean gain must be off zero for a t-test over `count` (two or more)
    of them to find it 4 times in 5. With seeds, an idea's scores are taken to scatter like the
    baseline's and independently of them, which makes the error that of a difference."""
    from scipy.special import stdtrit  # Student's t; scipy.stats takes over a second to import

    return float(stdtrit(count - 1, 1 - alpha) + stdtrit(count - 1, 0.8))
