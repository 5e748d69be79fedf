"""A gain is a claim to be refuted: what improved, what tried to refute it, and what is left of it.

The search is over by then. Every experiment and every finding is a step on disk, in `falsify/` of the
run (the baseline) and of each idea.
"""

from functools import partial

from autoresearch.falsify.fidelity import opinion_of
from autoresearch.falsify.grounds import Grounds
from autoresearch.falsify.seal import open_seal
from autoresearch.falsify.trial import try_all
from autoresearch.harness import Lab, in_parallel
from autoresearch.records import Claims, Lesson, Outcome


def make_claims(lab: Lab, memory: tuple[Lesson, ...]) -> Claims:
    """A claim for each idea that improved; test scores for those that no falsifier refuted."""
    improved = tuple(each for each in memory if each.verdict.outcome is Outcome.improved)
    grounds = Grounds(lab)
    found = in_parallel(lab, partial(try_all, grounds, improved), range(len(improved)))
    opinions = [opinion_of(lab, lesson) for lesson in improved]
    claims = open_seal(lab, list(zip(improved, found, opinions, strict=True)))
    grounds.close()
    shared, control, everything = grounds.cost(), grounds.control_cost(), grounds.run_cost()
    return Claims(claims=claims, shared=shared, control=control, everything=everything)
