"""Containers started ahead: each is used once, and nothing of one job is in the next."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import pytest

from autoresearch.config import SandboxSettings
from autoresearch.records import Ended, Execution, Limits
from autoresearch.sandbox import Environment, Job
from autoresearch.sandbox.ahead import SMALL
from autoresearch.sandbox.docker import Docker
from autoresearch.sandbox.engine import OWNER
from autoresearch.sandbox.scratch import current_owner, has_ended
from tests.engine import BASE_IMAGE, docker_or_skip
from tests.sandbox.test_docker import is_running, owned_by, wait_for

ROOT = Path(__file__).parents[2]
LIMITS = Limits(timeout=20, memory=128 * 2**20, disk=2**20)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    settings = SandboxSettings(image=BASE_IMAGE, cache=tmp_path_factory.mktemp("cache"))
    return docker_or_skip(settings).environment(tmp_path_factory.mktemp("plain"))


@pytest.fixture
def pooled() -> Iterator[Docker]:
    sandbox = Docker(SandboxSettings(image=BASE_IMAGE), ahead=1)
    yield sandbox
    sandbox.close()
    assert owned_by(current_owner()) == [] and not staged()


@pytest.fixture
def run(pooled: Docker, environment: Environment, tmp_path: Path) -> Callable[..., Execution]:
    work = tmp_path / "work"
    work.mkdir(mode=0o755)
    tmp_path.chmod(0o755)

    def run(code: str, variables: dict[str, str] | None = None, **limits: float) -> Execution:
        (work / "train.py").write_text(code)
        given = LIMITS.model_copy(update=limits)
        job = Job(environment, ("python", "train.py"), {"work": work}, tmp_path / "out", given,
                  variables or {})  # fmt: skip
        return pooled.run(job)

    return run


def staged() -> list[Path]:
    """The folders on the host that copies of inputs are put into."""
    return list(Path("/tmp").glob(f"autoresearch-{current_owner()}:*"))


def ready() -> list[str]:
    return [each for each in owned_by(current_owner()) if is_running(each)]


def seconds_of(action: Callable[[], Execution]) -> float:
    began = time.monotonic()
    assert action().succeeded
    return time.monotonic() - began


def test_no_two_jobs_share_a_container_or_see_anything_of_each_other(
    run: Callable[..., Execution],
) -> None:
    program = (
        "import glob, json, os, pathlib, tempfile\n"
        "seen = [p for f in (os.environ['OUT'], '/tmp', '/dev/shm') for p in glob.glob(f + '/*')]\n"
        "for folder in (os.environ['OUT'], '/tmp', '/dev/shm'):\n"
        "    pathlib.Path(folder, 'mine').write_text(os.environ['SEED'])\n"
        "print(json.dumps([os.environ['SEED'], seen, len(glob.glob('/proc/[0-9]*'))]))\n"
        "os.fork() or os.execvp('sleep', ['sleep', '100'])\n"
    )
    containers = set()
    for seed in "0123":
        execution = run(program, {"SEED": seed})
        assert json.loads(execution.stdout) == [seed, [], 2]
        wait_for(ready, 10)
        containers |= set(ready())
    assert len(containers) == 4  # another one each time


def test_a_job_gets_its_own_code_though_its_container_was_there_before_it(
    run: Callable[..., Execution],
) -> None:
    for number in range(3):
        assert run(f"print({number} * 11)").stdout == f"{number * 11}\n"
        wait_for(ready, 10)
    refused = run("import os; os.access('.', os.W_OK) or os.close(os.open('new', os.O_CREAT))")
    assert "Read-only file system" in refused.stderr and refused.exit_code == 1


def test_limits_hold_in_a_container_that_was_started_ahead(run: Callable[..., Execution]) -> None:
    for code, ended in (
        ("import time; time.sleep(30)", Ended.timeout),
        ("import time; x = b'x' * 2**28; time.sleep(30)", Ended.memory),
        (
            "import os, time; open(os.environ['OUT'] + '/x', 'wb').write(b'x' * 2**20 * 2)",
            Ended.disk,
        ),
    ):
        assert run(code, timeout=2.0).ended is ended
        wait_for(ready, 10)


def test_waiting_for_its_job_takes_none_of_its_time(run: Callable[..., Execution]) -> None:
    run("pass", timeout=1.5)
    wait_for(ready, 10)
    time.sleep(2)
    execution = run("import time; time.sleep(0.5)", timeout=1.5)
    assert execution.succeeded and 0.5 <= execution.seconds < 1.5


def test_it_is_faster_than_starting_one(
    run: Callable[..., Execution], environment: Environment, tmp_path: Path
) -> None:
    cold = Docker(SandboxSettings(image=BASE_IMAGE))
    job = Job(environment, ("python", "-c", "pass"), {}, tmp_path / "cold", LIMITS)
    run("pass")
    warm_times, cold_times = [], []
    for _ in range(3):
        wait_for(ready, 10)
        time.sleep(0.3)  # for its supervisor to be there
        warm_times.append(seconds_of(lambda: run("pass")))
        time.sleep(0.7)  # for the next one to be started
        cold_times.append(seconds_of(lambda: cold.run(job)))
    assert min(warm_times) < min(cold_times)


def test_one_that_has_died_while_it_waited_is_not_used(run: Callable[..., Execution]) -> None:
    run("pass")
    wait_for(ready, 10)
    for each in ready():
        docker.from_env().containers.get(each).kill()
    assert run("print('all the same')").stdout == "all the same\n"


def test_threads_each_have_one_of_their_own(run: Callable[..., Execution]) -> None:
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda n: run("pass", {"SEED": str(n)}), range(8)))
    assert all(execution.succeeded for execution in done)


def test_a_large_input_is_shown_where_it_is_and_a_small_one_as_it_is_now(
    pooled: Docker, environment: Environment, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    inputs = {"large": tmp_path / "large", "small": tmp_path / "small"}
    for folder in inputs.values():
        folder.mkdir(mode=0o755)
    (inputs["large"] / "x").write_bytes(bytes(SMALL + 1))
    code = "import os; print(os.path.getsize('/large/x'), open('/small/x').read())"
    job = Job(environment, ("python", "-c", code), inputs, tmp_path / "out", LIMITS)
    for text in ("one", "two"):
        (inputs["small"] / "x").write_text(text)
        assert pooled.run(job).stdout == f"{SMALL + 1} {text}\n"
        wait_for(ready, 10)


KILLED = """
import sys, time
from pathlib import Path
from autoresearch.config import SandboxSettings
from autoresearch.records import Limits
from autoresearch.sandbox import Environment, Job
from autoresearch.sandbox.docker import Docker
from autoresearch.sandbox.engine import OWNER
from autoresearch.sandbox.scratch import current_owner, has_ended
sandbox = Docker(SandboxSettings(), ahead=2)
environment = Environment.model_validate_json(sys.argv[1])
work = Path(sys.argv[2])
sandbox.run(Job(environment, ("python", "-c", "pass"), {"work": work}, work / "out", Limits()))
print(current_owner(), flush=True)
time.sleep(100)
"""


def test_those_of_a_killed_process_end_at_once_and_are_swept_up_by_the_next(
    environment: Environment, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    command = [sys.executable, "-c", KILLED, environment.model_dump_json(), str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    owner = child.stdout.readline().strip()
    wait_for(lambda: sum(map(is_running, owned_by(owner))) == 2, 20)
    os.kill(child.pid, 9)
    child.wait()
    child.stdout.close()
    wait_for(lambda: not any(map(is_running, owned_by(owner))), 10)
    Docker(SandboxSettings(image=BASE_IMAGE))
    assert owned_by(owner) == [] and not list(Path("/tmp").glob(f"autoresearch-{owner}:*"))


def test_a_run_from_the_command_line_leaves_no_container(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "autoresearch", "run", "--task", "tests/tasks/slope", "--model", "offline",
         "--rounds", "1", "--ideas", "1", "--sandbox", "docker", "--runs", str(tmp_path),
         "--set", f"sandbox.image={BASE_IMAGE}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    labelled = docker.from_env().api.containers(all=True, filters={"label": OWNER})
    assert not [each["Id"] for each in labelled if has_ended(each["Labels"][OWNER])]
