"""The noise floor of a run, from the baseline's scores."""

import math

from autoresearch.config import Settings
from autoresearch.records import Floor, Measurement


def floor_of(
    commit: str, measurements: tuple[Measurement, ...], values: list[float], settings: Settings
) -> Floor:
    """The noise floor from the baseline's scores, one a seed.

    The smallest gain: a paired t-test over the seeds at the level one idea is held to, with 80 %
    power, when an idea's scores scatter like the baseline's and independently of them.
    """
    count, mean = len(values), sum(values) / len(values)
    alpha = settings.alpha / (settings.rounds * settings.ideas)
    deviation = smallest = None
    if count > 1:
        from scipy.special import stdtrit  # Student's t; scipy.stats takes over a second to import

        deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (count - 1))
        reach = float(stdtrit(count - 1, 1 - alpha) + stdtrit(count - 1, 0.8))
        smallest = reach * deviation * math.sqrt(2 / count)
    return Floor(
        commit=commit,
        measurements=measurements,
        mean=mean,
        deviation=deviation,
        smallest_gain=smallest,
        alpha=alpha,
    )
