"""A run that falls behind the baseline: ended, not repaired, not run again, and declined without a score."""

import shutil
from pathlib import Path

import pytest

from autoresearch.assembly import start
from autoresearch.config import Settings
from autoresearch.feedback.analysis import judge
from autoresearch.practice import pursue
from autoresearch.records import Ended, Outcome
from tests.examples import IDEA
from tests.practice.test_wiring import RATE, SLOPE, edit, rote

STEP = "        offset -= LEARNING_RATE * sum(errors) / len(points)\n"
REPORT = (
    "        square = sum(e * e for e in errors) / len(points)\n"
    '        print(f"progress: {step + 1}/{STEPS} {-square:.6f}", flush=True)\n'
    "        time.sleep(0.02)\n"
)


@pytest.mark.parametrize(
    ("settings", "replacement", "ended", "attempts"),
    [
        ({}, "LEARNING_RATE = 0.0\n", Ended.behind, 1),
        ({"early_stop": False}, "LEARNING_RATE = 0.0\n", Ended.exited, 1),
        ({}, "LEARNING_RATE = float('nan')\n", Ended.diverged, 2),
    ],
)
def test_a_run_that_is_behind_is_ended_and_one_that_diverges_is_repaired(
    tmp_path: Path, settings: dict[str, bool], replacement: str, ended: Ended, attempts: int
) -> None:
    task = shutil.copytree(SLOPE, tmp_path / "slope")
    program = task / "baseline" / "train.py"
    text = program.read_text().replace("for _ in range(STEPS)", "for step in range(STEPS)")
    text = text.replace("import random\n", "import random\nimport time\n").replace(
        STEP, STEP + REPORT
    )
    program.write_text(text)
    given = {"task": str(task), "runs": tmp_path / "runs", "sandbox": {"kind": "none"}, **settings}
    lab, model = rote(
        start(Settings.model_validate(given)),
        (edit(RATE, replacement), edit(replacement, "LEARNING_RATE = 0.04\n")),
    )
    desk = lab.desk.at("round-00").at("0-wider-layer")
    desk.folder.mkdir(parents=True)
    trial = pursue(lab, desk, IDEA, ())
    first = trial.attempts[0]
    assert first.measurement and first.measurement.execution.ended is ended
    assert len(trial.attempts) == len(model.asked) == attempts
    assert (first.failure is not None) == (ended is Ended.diverged)
    if ended is Ended.behind:
        assert [m.value for m in trial.measurements] == [None]
        assert first.measurement.execution.stdout.count("progress") < 40
        verdict = judge(trial, lab.floor, lab.task)
        assert (verdict.outcome, verdict.effect) == (Outcome.declined, None)
        assert "stopped at" in verdict.reason and "self-reported" in verdict.reason
    lab.close()
