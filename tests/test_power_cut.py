"""The power fails at every model call and every sandbox run: nothing is lost, repaid or different."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from autoresearch.assembly import start
from autoresearch.config import Settings
from autoresearch.errors import RunLocked
from autoresearch.store import Run

ROOT = Path(__file__).parents[1]
SLOPE = ROOT / "tests" / "tasks" / "slope"
MEASURED = {
    "seconds",
    "cpu_seconds",
    "peak_memory",
    "ratio",
    "opened",
    "reproduce",  # names the run
}  # what two equal runs differ in


def new_run(folder: Path, **changes: Any) -> Run:
    settings = {
        "task": str(SLOPE),
        "runs": folder,
        "rounds": 2,
        "ideas": 2,
        "sandbox": {"kind": "local"},
    }
    run = start(Settings.model_validate(settings | changes))
    manifest = run.folder / "run.toml"  # commits carry the run's date: equal runs began together
    manifest.write_text(
        re.sub(r"created = .*", 'created = "2026-01-02T03:04:05Z"', manifest.read_text())
    )
    return Run(run.folder)


def power(run: Run, allowed: int, log: Path) -> int:
    """Run until the given event; the exit code (-9 when the power failed)."""
    command = [sys.executable, "-m", "tests.power", str(run.folder), str(allowed), str(log)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in MEASURED}
    return [without_times(v) for v in value] if isinstance(value, list) else value


def content(run: Run) -> dict[str, Any]:
    """Everything a run says, without times; calls as a set, since threads take turns."""
    said = {
        str(path.relative_to(run.folder)): without_times(json.loads(path.read_text()))
        for path in run.folder.rglob("*.json")
        if "task" not in path.relative_to(run.folder).parts
    }
    calls = [json.loads(line) for line in (run.folder / "calls.jsonl").read_text().splitlines()]
    said["calls"] = sorted(json.dumps(without_times(call), sort_keys=True) for call in calls)
    git = ["git", f"--git-dir={run.folder / 'code.git'}", "for-each-ref"]
    said["refs"] = subprocess.check_output(git, text=True)
    return said


@pytest.mark.parametrize(("rounds", "ideas", "parallel"), [(2, 1, 1), (1, 2, 2)])
def test_a_run_cut_at_every_event_equals_an_uncut_one_and_pays_nothing_twice(
    tmp_path: Path, rounds: int, ideas: int, parallel: int
) -> None:
    shape = {"rounds": rounds, "ideas": ideas, "parallel": parallel}
    uncut, cut = (new_run(tmp_path / name, **shape) for name in ("uncut", "cut"))
    assert power(uncut, 0, tmp_path / "uncut.log") == 0
    events = sorted((tmp_path / "uncut.log").read_text().splitlines())
    assert len(events) == len(set(events)) > 20

    cuts = 0
    # The power fails before the second event of one thread, or the third of two: one is always done.
    while power(cut, parallel + 1, tmp_path / "cut.log") != 0:
        cuts += 1
        assert cuts <= len(events)
    assert cuts >= (len(events) - 1) / parallel
    if parallel == 1:  # with two threads an event may be in flight, and then it is done again
        assert sorted((tmp_path / "cut.log").read_text().splitlines()) == events
    assert content(cut) == content(uncut)


def test_a_kill_while_an_experiment_runs_ends_the_experiment_too_and_resumes(
    tmp_path: Path,
) -> None:
    task = tmp_path / "slow"
    subprocess.run(["cp", "-r", str(SLOPE), str(task)], check=True)
    train = task / "baseline" / "train.py"
    marker = f"slow_{os.getpid()}"
    train.write_text(f"{marker} = 1\nimport sys, time\ntime.sleep(3)\n" + train.read_text())
    run = new_run(tmp_path / "runs", task=str(task), rounds=1, ideas=1)
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.power", str(run.folder), "0", str(tmp_path / "log")], cwd=ROOT
    )
    wait_for(lambda: "baseline/.seed-0-out" in read(tmp_path / "log"))
    time.sleep(0.7)
    before = experiments(run)
    child.kill()
    child.wait()
    assert before, "the experiment was not running yet"
    wait_for(lambda: not experiments(run))
    assert power(run, 0, tmp_path / "log") == 0
    assert (run.folder / "claims.json").is_file()


def test_a_second_process_on_one_run_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    run = new_run(tmp_path, rounds=1, ideas=1)
    with run.locked():
        done = subprocess.run(
            [sys.executable, "-m", "autoresearch", "resume", str(run.folder)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == RunLocked.exit_code == 2
    assert f"process {os.getpid()} on" in done.stderr and done.stderr.count("\n") == 1
    assert not (run.folder / "data.json").exists()


def experiments(run: Run) -> list[str]:
    """Command lines of running supervisors' programs that work for this test's process tree."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if "train.py" in line and "python" in line:
                found.append(line)
        except OSError:
            continue
    return found


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def wait_for(condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
