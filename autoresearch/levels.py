"""The level that an idea's gain is held to, given what was found before it: the false discovery rate.

LOND (Javanmard and Montanari; under positive dependence Zrnic et al. 2021): the level of an idea is its
share of `alpha`, times one more than the discoveries made before it. The shares are equal, one for each
idea that the run may try, and add up to `alpha`. Only the rounds before count, so that the level of an
idea does not depend on which of a round's parallel ideas ends first, and is the same after a resume.
"""

from collections.abc import Sequence

from autoresearch.config import Settings
from autoresearch.records import Floor, Lesson, Outcome

PROCEDURE = "LOND"


def first_level(settings: Settings) -> float:
    """What an idea of the first round is held to; later ones are held to this at least."""
    return settings.alpha / (settings.rounds * settings.ideas)


def level_of(floor: Floor, memory: Sequence[Lesson]) -> float:
    """The level of each idea of the round that begins with this memory."""
    found = sum(lesson.verdict.outcome is Outcome.improved for lesson in memory)
    return min(floor.alpha * (1 + found), 0.5)
