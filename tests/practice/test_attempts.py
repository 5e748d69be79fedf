"""Attempts in a real sandbox: what is found before a run is paid, the short run, and resuming."""

import json
import shutil
from pathlib import Path

import pytest

from autoresearch.assembly import open_lab, start
from autoresearch.config import Settings, load_task
from autoresearch.errors import TaskError
from autoresearch.harness import Lab
from autoresearch.practice.attempts import try_patch
from autoresearch.practice.coder import read_sources
from autoresearch.records import Attempt, Edit, Patch

SLOPE = Path(__file__).parents[1] / "tasks" / "slope"


def open_slope(folder: Path, smoke: str = "", **settings: object) -> Lab:
    """A run of the slope task whose noise floor is measured."""
    task = shutil.copytree(SLOPE, folder / "slope")
    text = (task / "task.toml").read_text()
    (task / "task.toml").write_text(text.replace('timeout = "20s"', f'timeout = "20s"\n{smoke}'))
    given = {"task": str(task), "runs": folder / "runs", "sandbox": {"kind": "local"}, **settings}
    lab = open_lab(start(Settings.model_validate(given)))
    lab.measure_floor()
    return lab


def attempt(lab: Lab, *edits: Edit, number: int = 0) -> Attempt:
    with lab.workspace.worktree("round-00/0-x", lab.floor.commit) as tree:
        original = read_sources(tree, lab.task.editable)
        patch = Patch(plan="", edits=edits)
        return try_patch(lab, lab.desk.at("round-00").at("0-x"), tree, original, patch, number)


def with_line(line: str) -> Edit:
    rate = "LEARNING_RATE = 0.05\n"
    return Edit(path="train.py", search=rate, replace=f"{rate}{line}\n")


def spent(lab: Lab) -> list[str]:
    """What the ledger has of experiments."""
    lines = (lab.desk.folder / "ledger.jsonl").read_text().splitlines()
    return [line for line in lines if json.loads(line).get("what") == "a run of the experiment"]


def test_what_is_surely_wrong_costs_no_run_and_is_a_commit(tmp_path: Path) -> None:
    lab = open_slope(tmp_path)
    before = len(spent(lab))
    failed = attempt(lab, with_line("import nunpy\nprint(STEP)"))
    assert failed.failure is not None and failed.failure.stage == "check"
    assert (
        "no module 'nunpy'" in failed.failure.detail
        and "did you mean 'STEPS'?" in failed.failure.detail
    )
    assert failed.commit and failed.measurement is None and len(spent(lab)) == before > 0
    modules = json.loads((lab.desk.folder / "modules.json").read_text())["modules"]
    assert {"json", "tomllib", "random"} <= set(modules) and "nunpy" not in modules


def test_modules_that_the_sandbox_has_are_used_without_a_word(tmp_path: Path) -> None:
    fine = attempt(open_slope(tmp_path), with_line("import tomllib, statistics, pip"))
    assert fine.failure is None and fine.measurement is not None


def test_with_checks_off_only_syntax_is_looked_at_and_there_is_no_short_run(tmp_path: Path) -> None:
    lab = open_slope(tmp_path, 'smoke = "5s"', checks=False)
    failed = attempt(lab, with_line("print(STEP)"))
    assert failed.failure.stage == "run" and "NameError" in failed.failure.message
    assert failed.smoke is None
    assert attempt(lab, with_line("def f(:"), number=1).failure.stage == "syntax"


def test_a_failing_short_run_is_the_attempts_failure_and_the_real_run_is_not_made(
    tmp_path: Path,
) -> None:
    lab = open_slope(tmp_path, 'smoke = "5s"')
    failed = attempt(lab, with_line("width = 3\nassert 'SMOKE' not in os.environ, width"))
    assert failed.measurement is None and failed.smoke is not None and not failed.smoke.succeeded
    assert failed.failure.stage == "run"
    assert failed.failure.message.startswith(
        "in the short run with $SMOKE set, exit code 1: AssertionError"
    )
    assert failed.failure.places[0].path == "train.py" and "width: int 3" in failed.failure.detail
    folder = lab.desk.folder / "round-00" / "0-x"
    assert (folder / "0-smoke.json").is_file() and not (folder / "0-run.json").exists()
    spending = len(spent(lab))
    assert attempt(lab, with_line("width = 3\nassert 'SMOKE' not in os.environ, width")) == failed
    assert len(spent(lab)) == spending


def test_a_short_run_that_ends_well_or_out_of_time_is_followed_by_the_real_one(
    tmp_path: Path,
) -> None:
    lab = open_slope(tmp_path, 'smoke = "1s"')
    spending = len(spent(lab))
    fine = attempt(lab, with_line("# the same"))
    assert fine.smoke is not None and fine.smoke.succeeded and fine.failure is None
    assert fine.measurement.value is not None and len(spent(lab)) > spending + 1
    slow = with_line("if 'SMOKE' in os.environ:\n    while True: pass")
    late = attempt(lab, slow, number=1)
    assert not late.smoke.succeeded and late.failure is None and late.measurement.value is not None


def test_attempts_of_older_runs_are_read(tmp_path: Path) -> None:
    old = {"number": 0, "patch": {"plan": "p", "edits": [{"path": "a.py", "search": "x", "replace": "y"}]},
           "commit": None, "measurement": None, "failure": {"stage": "syntax", "message": "m"}}  # fmt: skip
    read = Attempt.model_validate_json(json.dumps(old))
    assert read.smoke is None and read.patch.edits == (Edit(path="a.py", search="x", replace="y"),)


@pytest.mark.parametrize("smoke", ['smoke = "20s"', 'smoke = "0s"', 'smoke = "soon"'])
def test_a_short_run_must_be_shorter_than_a_run_may_be(smoke: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"smoke|duration"):
        open_slope(tmp_path, smoke)
    assert load_task(SLOPE).smoke is None
