"""What GPUs there are, who gets them, and what is said when there are none.

No GPU was used: a real shared library stands in for the driver's (tests/nvml.py).
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from autoresearch.budgets import Budget
from autoresearch.config import SandboxSettings
from autoresearch.ledger import Ledger
from autoresearch.metering import MeteredSandbox
from autoresearch.records import Execution, Limits
from autoresearch.sandbox import Environment, Job
from autoresearch.sandbox.gpus import Gpu
from autoresearch.sandbox.leases import lease
from autoresearch.sandbox.local import Plain
from tests.engine import BASE_IMAGE, docker_or_skip
from tests.nvml import machine, python
from tests.sandbox.conftest import bare_environment

NAMES = (
    "from autoresearch.sandbox.gpus import *; print(*(g.identifier for g in list_gpus().devices))"
)
SLOPE = Path(__file__).parents[1] / "tasks" / "slope"


def test_all_gpus_are_found_under_names_that_stay_theirs() -> None:
    assert python(NAMES, machine(3)) == "GPU-a0000000 GPU-a1000000 GPU-a2000000"


@pytest.mark.parametrize(
    "visible, left",
    [
        ("2,0", "GPU-a2000000 GPU-a0000000"),
        ("GPU-a1", "GPU-a1000000"),  # a beginning that only one has
        ("0,-1,1", "GPU-a0000000"),  # as CUDA has it, nothing counts after what names nothing
        ("0,7,1", "GPU-a0000000"),
        ("GPU-a", ""),
        ("1,1", "GPU-a1000000"),
        ("", ""),
    ],
)
def test_gpus_that_the_user_hides_are_not_used(visible: str, left: str) -> None:
    assert python(NAMES, machine(3, CUDA_VISIBLE_DEVICES=visible)) == left


def test_a_gpu_that_is_split_is_its_instances() -> None:
    split = machine(2, STANDIN_MIG="1")
    assert python(NAMES, split) == "GPU-a0000000 MIG-b1100000 MIG-b1200000"
    split["CUDA_VISIBLE_DEVICES"] = "MIG-b12"
    assert python(NAMES, split) == "MIG-b1200000"


def test_a_driver_that_does_not_work_is_told_apart_from_one_that_is_not_there() -> None:
    assert "is not loaded" in python(NAMES, machine(-9))
    assert "restart the machine" in python(NAMES, machine(-18))
    assert "look at nvidia-smi" in python(NAMES, machine(-999))


# --- errors, before anything is spent -----------------------------------------------------------


def start_run(folder: Path, gpus: int, sandbox: str, environment: dict[str, str]) -> list[str]:
    """The exit code and error lines of a run that must end before it has begun."""
    task = folder / "task"
    shutil.copytree(SLOPE, task)
    text = (task / "task.toml").read_text()
    (task / "task.toml").write_text(text.replace("[experiment]", f"[experiment]\ngpus = {gpus}"))
    command = [sys.executable, "-m", "autoresearch", "run", "--task", str(task), "--runs"]
    command += [str(folder / "runs"), "--sandbox", sandbox, "--model", "offline"]
    command += [
        "--set",
        f"sandbox.image={BASE_IMAGE}",
        "--set",
        f"sandbox.cache={folder / 'cache'}",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert not (folder / "runs").exists()
    return [str(ran.returncode), *ran.stderr.splitlines()]


def test_a_task_that_wants_more_gpus_than_there_are_does_not_start(tmp_path: Path) -> None:
    docker_or_skip()
    code, error = start_run(tmp_path, 4, "docker", machine(2))
    assert code == "2"
    assert error.startswith("error: the task wants 4 GPUs and this machine has 2: ")
    assert "lower gpus in task.toml" in error
    assert not (tmp_path / "cache" / "environments").exists()  # known before minutes of building


def test_a_task_that_wants_gpus_does_not_start_without_a_driver(tmp_path: Path) -> None:
    docker_or_skip()
    if Path("/dev/nvidiactl").exists():
        pytest.skip("THIS MACHINE HAS A GPU")
    code, error = start_run(tmp_path, 1, "docker", dict(os.environ))
    assert code == "2"
    assert "no NVIDIA driver" in error and "set gpus = 0" in error


def test_a_task_that_wants_gpus_does_not_start_in_an_engine_that_cannot_give_them(
    tmp_path: Path,
) -> None:
    docker_or_skip()
    if Path("/dev/nvidiactl").exists():
        pytest.skip("THIS MACHINE HAS A GPU")
    code, error = start_run(tmp_path, 1, "docker", machine(2))
    assert code == "2"
    assert "install nvidia-container-toolkit" in error


def test_a_task_that_wants_gpus_does_not_start_in_the_local_sandbox(tmp_path: Path) -> None:
    code, error = start_run(tmp_path, 1, "local", machine(2))
    assert code == "2"
    assert "choose --sandbox docker" in error


def test_the_doctor_says_what_is_there_and_what_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "apptainer").write_text("#!/bin/sh\n")
    (tmp_path / "apptainer").chmod(0o755)
    found = machine(2, DOCKER_HOST=f"unix://{tmp_path}/nobody.sock", COLUMNS="300")
    found["PATH"] = f"{tmp_path}:{found['PATH']}"
    command = [sys.executable, "-m", "autoresearch", "doctor", "--set", f"sandbox.cache={tmp_path}"]
    told = subprocess.run(command, capture_output=True, text=True, env=found).stdout
    assert "GPU-a0000000 Stand-in, GPU-a1000000 Stand-in (NVIDIA driver 999.1)" in told
    assert "found, and not used" in told
    assert "none that answers" in told
    assert f"free for environments in {tmp_path}" in told


# --- the books ----------------------------------------------------------------------------------


class Leasing:
    """Plain processes, each of which waits for a lease on one device first."""

    name = "none (leasing)"

    def __init__(self, folder: Path) -> None:
        self._plain, self._folder = Plain(SandboxSettings()), folder

    def check(self, limits: Limits) -> None:
        pass

    def environment(self, folder: Path) -> Environment:
        return bare_environment(folder)

    def close(self) -> None:
        pass

    def run(self, job: Job) -> Execution:
        if job.limits.gpus == 0:
            return self._plain.run(job)
        limits = job.limits.model_copy(update={"gpus": 0})
        with lease((Gpu("GPU-a", "", 0),), job.limits.gpus, self._folder, lambda text: None):
            ran = self._plain.run(Job(job.environment, job.command, {}, job.outputs, limits))
            return ran.model_copy(update={"gpu_seconds": job.limits.gpus * ran.seconds})


def test_gpu_seconds_are_those_of_the_experiment_and_not_of_the_wait_for_its_gpu(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl", Budget())
    sandbox = MeteredSandbox(Leasing(tmp_path / "leases"), ledger)
    environment = sandbox.environment(tmp_path)
    ran: list[Execution] = []

    def run(gpus: int) -> None:
        limits = Limits(timeout=30, gpus=gpus)
        command = ("python", "-c", "import time; time.sleep(0.4)")
        ran.append(sandbox.run(Job(environment, command, {}, tmp_path / f"out{gpus}", limits)))

    with lease((Gpu("GPU-a", "", 0),), 1, tmp_path / "leases", lambda text: None):
        waits = threading.Thread(target=run, args=(1,))
        waits.start()
        time.sleep(1.2)
        assert ran == []
        run(0)  # without a GPU there is nothing to wait for, and no GPU-second
        assert ledger.totals().overall.gpu_seconds == 0
    waits.join()
    assert 0.4 <= ledger.totals().overall.gpu_seconds < 1.2
    assert ledger.totals().overall.gpu_seconds == pytest.approx(ran[1].seconds, abs=1e-6)
