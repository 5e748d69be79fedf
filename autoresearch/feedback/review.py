"""A model's opinions of a trial: why it came out so, and a peer review on a conference form."""

from typing import TypeVar

from autoresearch.briefing import brief
from autoresearch.harness import Lab
from autoresearch.records import Analysis, Outcome, Review, Trial, Verdict
from autoresearch.store import Desk, read

R = TypeVar("R", Analysis, Review)


def parent_of(lab: Lab, trial: Trial) -> Trial | None:
    """The trial that this one was built on; None when it started from the baseline."""
    if trial.parent is None:
        return None
    return read(lab.desk.at(trial.parent).folder / "practice.json", Trial)


def analyse(lab: Lab, desk: Desk, trial: Trial, verdict: Verdict) -> Analysis | None:
    """Why the trial came out as it did; None when the model gave no usable answer."""
    return _opinion(lab, desk, "feedback/analysis", Analysis, trial, verdict)


def review(lab: Lab, desk: Desk, trial: Trial, verdict: Verdict) -> Review | None:
    """One peer review; None for what never ran, or without a usable answer."""
    if verdict.outcome is Outcome.failed:
        return None
    return _opinion(lab, desk, "feedback/review", Review, trial, verdict)


def _opinion(
    lab: Lab, desk: Desk, prompt: str, record: type[R], trial: Trial, verdict: Verdict
) -> R | None:
    return lab.opinion(
        desk, prompt.rpartition("/")[2], prompt, record,
        task=lab.task, setting=brief(lab), trial=trial, verdict=verdict, floor=lab.floor, parent=parent_of(lab, trial),
    )  # fmt: skip
