"""The claim that falsifiers are tried on, and its program run under other conditions."""

from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.falsify.evidence import mean
from autoresearch.falsify.grounds import AS_IT_IS, Form, Grounds, cost_of, value_of
from autoresearch.harness import Lab, measure
from autoresearch.records import Cost, Evidence, Lesson, Measurement, Trial
from autoresearch.store import Desk, read


@dataclass
class Subject:
    """One claim before one falsifier; `ran` are the experiments that the falsifier asked for."""

    grounds: Grounds
    lesson: Lesson
    trial: Trial
    claims: tuple[Lesson, ...]  # all of the run
    ran: list[Measurement] = field(default_factory=list)

    @staticmethod
    def of(grounds: Grounds, lesson: Lesson, claims: tuple[Lesson, ...]) -> "Subject":
        trial = read(grounds.lab.desk.at(lesson.name).folder / "practice.json", Trial)
        return Subject(grounds, lesson, trial, claims)

    @property
    def lab(self) -> Lab:
        return self.grounds.lab

    @property
    def desk(self) -> Desk:
        return self.lab.desk.at(self.lesson.name).at("falsify")

    @property
    def gain(self) -> float:
        """The gain that is claimed, on validation."""
        return float(self.lesson.verdict.effect or 0.0)

    @property
    def screening(self) -> str:
        """The step that ran the first seed: an idea's first seed ran as its last attempt."""
        return str(self.trial.attempts[-1].number)

    @property
    def seeds(self) -> list[int]:
        """The seeds that were measured before."""
        return [each.seed for each in self.trial.measurements]

    def known(self, seed: int) -> Measurement:
        return next(each for each in self.trial.measurements if each.seed == seed)

    def known_gain(self, seed: int) -> float:
        base = self.grounds.baseline(AS_IT_IS, seed)
        return self._gain(self.known(seed), base, "")

    def measure(
        self, form: Form, seed: int, tree: Path | None = None, name: str = ""
    ) -> Measurement:
        """The idea's program (or the one in `tree`, under another name) on the data in that form."""
        place = name or form.name
        desk = self.desk.at(place) if place else self.desk
        lab = self.grounds.lab_for(form)
        code = tree or self.lab.workspace.export(str(self.lesson.commit))
        measured = measure(lab, desk, f"seed-{seed}", code, seed)
        self.ran.append(measured)
        return measured

    def gain_on(self, form: Form, seed: int, where: str) -> float:
        """The paired gain there. Raises Untestable or NoScore."""
        base = self.grounds.baseline(form, seed)
        return self._gain(self.measure(form, seed), base, where)

    def _gain(self, mine: Measurement, base: Measurement, where: str) -> float:
        return self.lab.task.gain(value_of(mine, where), float(base.value or 0.0))

    def cost(self) -> Cost:
        return cost_of([each.execution for each in self.ran])

    def say(self, gains: list[float]) -> str:
        return f"{mean(gains):+.4g} {self.lab.task.shown_metric}"


def survived(reason: str) -> Evidence:
    return Evidence(falsifier="", outcome="survived", reason=reason)


def refuted(reason: str) -> Evidence:
    return Evidence(falsifier="", outcome="refuted", reason=reason)


def noted(reason: str) -> Evidence:
    return Evidence(falsifier="", outcome="noted", reason=reason)
