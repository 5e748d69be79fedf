"""Feedback: a trial in, a lesson out: the verdict from statistics, the rest a model's opinion."""

from autoresearch.feedback.analysis import judge
from autoresearch.feedback.review import analyse, parent_of, review
from autoresearch.harness import Lab
from autoresearch.records import Lesson, Trial
from autoresearch.store import Desk


def reflect(lab: Lab, desk: Desk, trial: Trial) -> Lesson:
    """What the next round should know: whether the idea improved on the baseline, why it came out so,
    and what a reviewer would ask for."""
    verdict = judge(trial, lab.floor, lab.task, parent_of(lab, trial))
    failures = [attempt.failure for attempt in trial.attempts if attempt.failure is not None]
    return Lesson(
        name=trial.name,
        idea=trial.idea,
        verdict=verdict,
        commit=trial.commit,
        diff=trial.diff,
        attempts=len(trial.attempts),
        failures=tuple(f"{failure.stage}: {failure.message}" for failure in failures),
        analysis=analyse(lab, desk, trial, verdict),
        review=review(lab, desk, trial, verdict),
    )
