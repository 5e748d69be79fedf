"""Whether a patch does what its idea says: a model's opinion, and nothing follows from it."""

from autoresearch.errors import NotRecorded
from autoresearch.feedback.review import parent_of
from autoresearch.harness import Lab
from autoresearch.records import Fidelity, Lesson, Trial
from autoresearch.store import read


def opinion_of(lab: Lab, lesson: Lesson) -> Fidelity | None:
    """None where it is not wanted, the model gave no usable answer, or a recording is of an earlier
    version, which did not ask."""
    if not lab.settings.falsify.fidelity:
        return None
    desk = lab.desk.at(lesson.name)
    trial = read(desk.folder / "practice.json", Trial)
    try:
        return lab.opinion(
            desk, "fidelity", "feedback/fidelity", Fidelity,
            task=lab.task, trial=trial, parent=parent_of(lab, trial),
        )  # fmt: skip
    except NotRecorded:
        lab.note(f"{lesson.name}: no opinion on fidelity was recorded")
        return None
