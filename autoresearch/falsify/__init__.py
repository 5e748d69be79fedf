"""A gain is a claim to be refuted: what improved, what tried to refute it, and what is left of it.

The search is over by then. Every experiment and every finding is a step on disk, in `falsify/` of the
run (the baseline) and of each idea.
"""

from functools import partial

from autoresearch.falsify.combination import combine
from autoresearch.falsify.fidelity import opinion_of
from autoresearch.falsify.grounds import Grounds
from autoresearch.falsify.seal import Tried, open_seal, stands
from autoresearch.falsify.trial import try_all
from autoresearch.harness import Lab, in_parallel
from autoresearch.records import Claims, Lesson, Outcome


def make_claims(lab: Lab, memory: tuple[Lesson, ...]) -> Claims:
    """A claim for each idea that improved, and for those that no falsifier refuted together; test
    scores for what stands."""
    grounds = Grounds(lab)
    tried = refute(grounds, memory)
    standing = [lesson for lesson, evidence, _ in tried if stands(evidence)]
    tried += refute(grounds, combine(lab, standing, memory))
    claims = open_seal(lab, tried)
    grounds.close()
    shared, control, everything = grounds.cost(), grounds.control_cost(), grounds.run_cost()
    return Claims(claims=claims, shared=shared, control=control, everything=everything)


def refute(grounds: Grounds, lessons: tuple[Lesson, ...]) -> list[Tried]:
    """What tries to refute each of those that improved in this run, and a model's opinion on it."""
    own = [each for each in lessons if not each.carried]
    improved = tuple(each for each in own if each.verdict.outcome is Outcome.improved)
    lab = grounds.lab
    found = in_parallel(lab, partial(try_all, grounds, improved), range(len(improved)))
    opinions = [opinion_of(lab, lesson) for lesson in improved]
    return list(zip(improved, found, opinions, strict=True))
