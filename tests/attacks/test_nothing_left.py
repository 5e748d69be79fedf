"""A hundred experiments in a row, eight at a time, and a kill in the middle leave nothing behind."""

import contextlib
import gc
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.harness import Lab, in_parallel
from autoresearch.sandbox.scratch import current_owner, remove_abandoned
from tests.attacks.litter import experiment, open_lab
from tests.engine import docker_or_skip

ROOT = Path(__file__).parents[2]
BACKENDS = ("landlock", "bubblewrap", "docker")
IN_A_ROW = 100
TOGETHER = 16  # by eight threads


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "docker":
        docker_or_skip()
    return str(request.param)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="litter-") as place:
        yield Path(place)


def left(lab: Lab, mark: str, process: int) -> list[str]:
    """Whatever is on this machine of the experiments that process `process` started."""
    found = [f"process {words}" for words in command_lines() if mark in words]
    mine = f":{process}:"
    found += [str(p) for p in Path(tempfile.gettempdir()).glob("autoresearch-*") if mine in p.name]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [line for line in mounts if "autoresearch-" in line and mine in line]
    engine = getattr(lab.sandbox, "_engine", None)
    found += [each for each, owner in (engine.owned() if engine else {}).items() if mine in owner]
    return found + [f"worktree {path}" for path in lab.workspace.trees.iterdir()]


def command_lines() -> Iterator[str]:
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                yield Path(entry.path, "cmdline").read_bytes().replace(b"\0", b" ").decode()


def test_a_hundred_in_a_row_and_eight_at_a_time_leave_nothing(backend: str, folder: Path) -> None:
    lab, base = open_lab(backend, folder)
    mark, count = f"7{secrets.randbelow(10**8)}", IN_A_ROW
    before = set(os.listdir("/dev/shm")), len(os.listdir("/proc/self/fd"))
    for number in range(count):
        experiment(lab, base, number, mark)
    assert left(lab, mark, os.getpid()) == []
    in_parallel(lab, lambda n: experiment(lab, base, n, mark), range(count, count + TOGETHER))
    assert left(lab, mark, os.getpid()) == []
    assert set(os.listdir("/dev/shm")) <= before[0]
    gc.collect()
    pooled = 24 if backend == "docker" else 0  # connections to the engine, kept for the next ones
    assert len(os.listdir("/proc/self/fd")) <= before[1] + 2 + pooled
    assert f":{os.getpid()}:" in current_owner()


def test_a_kill_in_the_middle_leaves_nothing_once_the_next_one_has_started(
    backend: str, folder: Path
) -> None:
    mark = f"7{secrets.randbelow(10**8)}"
    command = [sys.executable, "-m", "tests.attacks.litter", backend, str(folder), mark, "200"]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as orchestrator:
        until = time.monotonic() + 60
        while len(list((folder / "run").glob("n*-score.json"))) < 4 and time.monotonic() < until:
            time.sleep(0.02)
        orchestrator.send_signal(signal.SIGKILL)
        orchestrator.wait()
    done = len(list((folder / "run").glob("n*-score.json")))
    assert 4 <= done < 200
    until = time.monotonic() + 15  # the supervisors see that nobody listens any more
    while any(mark in words for words in command_lines()) and time.monotonic() < until:
        time.sleep(0.05)
    lab, base = open_lab(backend, folder)  # as a resumed run does
    remove_abandoned()
    assert left(lab, mark, orchestrator.pid) == []
    in_parallel(lab, lambda number: experiment(lab, base, number, mark), range(done, done + 8))
    assert left(lab, mark, os.getpid()) == []
