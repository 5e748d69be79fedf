"""The whole method on one page: think, practise, reflect, and again with what was learnt.

Every step is a file of the run directory (`Desk.step`), so running this again resumes it.
"""

from functools import partial

from autoresearch.falsify import make_claims
from autoresearch.feedback import reflect
from autoresearch.harness import Lab, in_parallel
from autoresearch.practice import pursue
from autoresearch.records import Agenda, Claims, Idea, Lesson, Trial
from autoresearch.store import Desk
from autoresearch.think import propose


def research(lab: Lab) -> tuple[Lesson, ...]:
    """Run all rounds; the lessons carried over, and those of every idea that was tried."""
    memory = lab.carried  # what earlier runs learnt, where this one began with that
    lab.measure_floor()  # before any idea: without the noise floor no gain means anything
    for number in range(lab.settings.rounds):
        desk = lab.desk.at(f"round-{number:02}")
        agenda = desk.step("think", Agenda, partial(propose, lab, desk, memory))
        tried = partial(try_idea, lab, desk, agenda.ideas, memory)
        memory += tuple(in_parallel(lab, tried, range(len(agenda.ideas))))
    lab.desk.step("claims", Claims, partial(make_claims, lab, memory))
    return memory


def try_idea(
    lab: Lab, round_desk: Desk, ideas: tuple[Idea, ...], memory: tuple[Lesson, ...], number: int
) -> Lesson:
    """One idea of a round: practice, then feedback."""
    idea = ideas[number]
    desk = round_desk.at(f"{number}-{idea.slug}")

    def learn() -> Lesson:
        trial = desk.step("practice", Trial, partial(pursue, lab, desk, idea, memory))
        return reflect(lab, desk, trial)

    return desk.step("feedback", Lesson, learn)
