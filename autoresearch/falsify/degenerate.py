"""Predictions that only look like some: constant, not finite, too few.

Predictions are untrusted, and only the scorer's sandbox reads them: a small program of ours
(`reader/describe.py`) runs there, without the labels, and what it says comes back through the same door.
"""

import json
import shutil
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from autoresearch.falsify.evidence import Untestable
from autoresearch.falsify.subject import Subject, refuted, survived
from autoresearch.harness import SCORER_LIMITS, Lab, run_whole
from autoresearch.records import Evidence, Record
from autoresearch.sandbox import Job
from autoresearch.sandbox.results import Refused, read_json
from autoresearch.store import Desk

READER = Path(__file__).parent / "reader"
COMMAND = ("python", "describe.py")


class Looks(Record):
    """Of one file of predictions: the rows, how many differ, and values that are no finite numbers."""

    rows: int
    different: int
    not_finite: int


class Seen(Record):
    files: dict[str, Looks]


def degenerate_predictions(subject: Subject) -> Evidence:
    """What was scored is one finite prediction for each row, and not the same for all."""
    lab = subject.lab
    if lab.task.reported:
        raise Untestable("the program reports its own score, and its predictions are not known")
    with subject.grounds.lock:
        base = _seen(lab, lab.desk.at("baseline"), subject.grounds.desk, "seed-0")
    mine = _seen(lab, lab.desk.at(subject.lesson.name), subject.desk, subject.screening)
    shared = sorted(set(mine.files) & set(base.files))
    if not shared:
        raise Untestable("predictions are in no format that can be read without running it")
    for name in shared:
        found, usual = mine.files[name], base.files[name]
        if found.rows < usual.rows:
            return refuted(
                f"{name} has {found.rows} predictions where the baseline's has {usual.rows}"
            )
        if found.not_finite > usual.not_finite:
            return refuted(f"{name} has {found.not_finite} values that are no finite numbers")
        if found.different == 1 and usual.different > 1:
            return refuted(f"{name} has the same prediction for all {found.rows} rows")
    said = mine.files[shared[0]]
    return survived(f"{said.rows} predictions, {said.different} different, all finite")


def _seen(lab: Lab, at: Desk, desk: Desk, name: str) -> Seen:
    left = at.folder / f"{name}-out"
    source = (lab.task.folder / "score.py").read_text(errors="replace")
    names = [str(p.relative_to(left)) for p in sorted(left.rglob("*")) if p.name in source]

    def look() -> Seen:
        out = desk.folder / "looks"
        inputs = {"work": READER, "predictions": left}
        variables = {"NAMES": json.dumps(names)}
        ran = run_whole(
            lab, Job(lab.environment, COMMAND, inputs, out, SCORER_LIMITS, variables, "scorer")
        )
        try:
            if not ran.succeeded:
                return Seen(files={})
            found = read_json(out / "found.json", 2**20)
            return Seen(files=TypeAdapter(dict[str, Looks]).validate_python(found))
        except (Refused, ValidationError):
            return Seen(files={})
        finally:
            shutil.rmtree(out, ignore_errors=True)

    return desk.step("predictions", Seen, look)
