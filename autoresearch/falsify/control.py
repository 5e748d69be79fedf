"""The control arm: what blind search reaches with as many ideas. It costs a second search.

The offline model, which knows no papers and reads no results but the verdicts, is given the same task,
rounds and number of ideas in `falsify/control/` of the run.
"""

import shutil
from dataclasses import replace
from functools import partial

from autoresearch.falsify.evidence import Untestable
from autoresearch.falsify.grounds import Grounds
from autoresearch.falsify.subject import Subject, noted, survived
from autoresearch.feedback import reflect
from autoresearch.harness import Lab
from autoresearch.offline import Offline
from autoresearch.papers import NoPapers
from autoresearch.practice import pursue
from autoresearch.records import Agenda, Evidence, Lesson, Outcome, Record, Trial
from autoresearch.store import Desk, write
from autoresearch.think import propose
from autoresearch.workspace import Workspace


class Reached(Record):
    """The best gain of the control arm that its verdict called improved; None when there was none."""

    best: float | None
    slug: str | None
    ideas: int


def control_arm(subject: Subject) -> Evidence:
    """The gain is larger than what a search without a language model finds with as many ideas."""
    settings = subject.lab.settings
    if not settings.falsify.control:
        raise Untestable("not asked for: falsify.control = true")
    if settings.model.name == "offline":
        raise Untestable("the run is a blind search itself")
    with subject.grounds.lock:
        reached = subject.grounds.desk.step("control", Reached, partial(_search, subject.grounds))
    said = f"blind search reached {reached.best or 0.0:+.4g} with {reached.ideas} ideas"
    beats = reached.best is None or subject.gain > reached.best
    return survived(said) if beats else noted(f"does not beat the control arm: {said}")


def _search(grounds: Grounds) -> Reached:
    lab = _lab(grounds)
    memory: tuple[Lesson, ...] = ()
    for number in range(lab.settings.rounds):
        desk = lab.desk.at(f"round-{number:02}")
        agenda = desk.step("think", Agenda, partial(propose, lab, desk, memory))
        memory += tuple(_try(lab, desk, agenda, memory, n) for n in range(len(agenda.ideas)))
    lab.workspace.clear()
    improved = [each for each in memory if each.verdict.outcome is Outcome.improved]
    best = max(improved, key=lambda each: each.verdict.effect or 0.0, default=None)
    return Reached(
        best=best.verdict.effect if best else None,
        slug=best.idea.slug if best else None,
        ideas=len(memory),
    )


def _lab(grounds: Grounds) -> Lab:
    """The run's lab with a model, a desk and a repository of its own, and the same noise floor."""
    lab, folder = grounds.lab, grounds.desk.folder / "control"
    if not (folder / "floor.json").exists():
        shutil.copytree(lab.data_folder, folder / "data", dirs_exist_ok=True)
        write(folder / "floor.json", lab.floor.model_dump_json(indent=1))
    workspace = Workspace(folder / "code.git", folder / "trees", lab.workspace.created)
    workspace.import_baseline(lab.task.folder / "baseline")  # the same commit as the run's
    desk = Desk(folder, "", lab.desk.stopping)
    offline = Offline(lab.settings.seed)
    return replace(
        lab,
        model=offline,
        library=NoPapers(),
        workspace=workspace,
        desk=desk,
        data=None,
        carried=(),
    )


def _try(
    lab: Lab, round_desk: Desk, agenda: Agenda, memory: tuple[Lesson, ...], number: int
) -> Lesson:
    idea = agenda.ideas[number]
    desk = round_desk.at(f"{number}-{idea.slug}")

    def learn() -> Lesson:
        trial = desk.step("practice", Trial, partial(pursue, lab, desk, idea, memory))
        return reflect(lab, desk, trial)

    return desk.step("feedback", Lesson, learn)
