"""The level that an idea's gain is held to, given what was found before it: the false discovery rate.

LOND (Javanmard and Montanari; under positive dependence Zrnic et al. 2021): the level of an idea is its
share of `alpha`, times one more than the discoveries made before it. The shares are equal, one for each
idea that the run may try (with the combination of its claims, at the end), and add up to `alpha`. Only the rounds before count, so that the level of an
idea does not depend on which of a round's parallel ideas ends first, and is the same after a resume. And
only ideas that started from the baseline count: variants of what was found already would improve too,
and must not buy the level at which something else is claimed. Nor must what earlier runs found. All make levels smaller, never larger.
"""

from collections.abc import Sequence

from autoresearch.config import Settings
from autoresearch.records import Floor, Lesson, Outcome

PROCEDURE = "LOND"


def tests_planned(settings: Settings) -> int:
    """How many ideas a run may test at most: those of its rounds, and the combination of what they find."""
    ideas = settings.rounds * settings.ideas
    return ideas + (ideas > 1)


def first_level(settings: Settings) -> float:
    """What an idea of the first round is held to; later ones are held to this at least."""
    return settings.alpha / tests_planned(settings)


def level_of(floor: Floor, memory: Sequence[Lesson]) -> float:
    """The level of each idea of the round that begins with this memory."""
    own = [lesson for lesson in memory if not lesson.carried]
    improved = [lesson for lesson in own if lesson.verdict.outcome is Outcome.improved]
    found = sum(lesson.idea.parent is None for lesson in improved)
    return min(floor.alpha * (1 + found), 0.5)
