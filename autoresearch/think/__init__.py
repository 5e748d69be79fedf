"""Think: papers and lessons in, an agenda of independent, novel ideas out."""

from autoresearch.harness import Lab
from autoresearch.records import Agenda, Lesson
from autoresearch.store import Desk
from autoresearch.think.attributes import read_papers
from autoresearch.think.ideas import think_up
from autoresearch.think.novelty import independent, novel


def propose(lab: Lab, desk: Desk, memory: tuple[Lesson, ...]) -> Agenda:
    """The ideas of one round, and what was dropped and why.

    Retrieve and rank papers; think of ideas from the task, its code, the papers and what was learnt;
    keep those that resemble no idea of the bank and that no paper found for them has done.
    """
    reading = read_papers(lab)
    ideas = think_up(lab, desk, reading.papers, memory)
    candidates = independent(lab, ideas, memory)
    return Agenda(candidates=novel(lab, desk, candidates))
