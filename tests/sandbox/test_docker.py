"""The Docker backend beside the contract: what it leaves, what it says, and what it asks for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from autoresearch.config import SandboxSettings
from autoresearch.errors import SandboxError
from autoresearch.records import Ended, Execution, Limits
from autoresearch.sandbox import Environment, Job
from autoresearch.sandbox.containers import device_requests
from autoresearch.sandbox.docker import Docker
from autoresearch.sandbox.gpus import Gpu
from autoresearch.sandbox.scratch import current_owner, has_ended
from tests.engine import BASE_IMAGE, docker_or_skip

Run = Callable[..., Execution]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> SandboxSettings:
    return SandboxSettings(image=BASE_IMAGE, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def sandbox(settings: SandboxSettings) -> Docker:
    return docker_or_skip(settings)


@pytest.fixture(scope="module")
def environment(sandbox: Docker, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return sandbox.environment(tmp_path_factory.mktemp("plain"))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def run(sandbox: Docker, environment: Environment, work: Path, tmp_path: Path) -> Run:
    def run(code: str, **limits: float) -> Execution:
        given = Limits.model_validate({"timeout": 30, "memory": 256 * 2**20, **limits})
        command = ("python", "-c", code)
        return sandbox.run(Job(environment, command, {"work": work}, tmp_path / "out", given))

    return run


@pytest.fixture
def without_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    yield


def owned_by(owner: str) -> list[str]:
    label = f"autoresearch.owner={owner}"
    return [
        each["Id"] for each in docker.from_env().api.containers(all=True, filters={"label": label})
    ]


def experiment_runs(container: str) -> bool:
    try:
        return len(docker.from_env().api.top(container)["Processes"]) > 1
    except docker.errors.APIError:  # created, and not started yet
        return False


def is_running(container: str) -> bool:
    try:
        return bool(docker.from_env().containers.get(container).status == "running")
    except docker.errors.NotFound:  # swept up by yet another process
        return False


def wait_for(condition: Callable[[], object], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.05)


# --- what it leaves -----------------------------------------------------------------------------


def test_a_run_leaves_no_container(run: Run) -> None:
    assert run("pass").succeeded
    assert owned_by(current_owner()) == []


ORCHESTRATOR = """
import sys
from pathlib import Path
from autoresearch.config import SandboxSettings
from autoresearch.records import Limits
from autoresearch.sandbox import Environment, Job
from autoresearch.sandbox.docker import Docker
from autoresearch.sandbox.gpus import Gpu
from autoresearch.sandbox.scratch import current_owner
sandbox = Docker(SandboxSettings())
print(current_owner(), flush=True)
environment = Environment.model_validate_json(sys.argv[1])
command = ("python", "-c", "import time; time.sleep(600)")
sandbox.run(Job(environment, command, {}, Path(sys.argv[2]), Limits(timeout=600)))
"""


def test_the_experiment_of_a_killed_orchestrator_ends_and_is_swept_up_by_the_next(
    sandbox: Docker, environment: Environment, settings: SandboxSettings, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", ORCHESTRATOR, environment.model_dump_json(), str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout
        owner = child.stdout.readline().strip()
        wait_for(lambda: [each for each in owned_by(owner) if experiment_runs(each)], seconds=20)
        Docker(settings)
        (container,) = owned_by(owner)  # of a living process: left alone
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    wait_for(lambda: not is_running(container), seconds=10)
    Docker(settings)
    assert owned_by(owner) == []


def test_an_owner_has_ended_when_its_process_is_gone_or_its_number_given_to_another() -> None:
    mine = current_owner()
    boot, namespace, process, ticks = mine.split(":")
    assert not has_ended(mine)
    assert has_ended(f"{boot}:{namespace}:{process}:{int(ticks) + 1}")
    assert has_ended(f"another-boot:{namespace}:{process}:{ticks}")
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert has_ended(f"{boot}:{namespace}:{gone.pid}:{ticks}")
    assert not has_ended(f"{boot}:{int(namespace) + 1}:{gone.pid}:{ticks}")  # not ours to judge


def test_a_flood_of_output_ends_quickly_and_the_engine_goes_on(run: Run) -> None:
    started = time.monotonic()
    flooded = run("import os\nwhile True: os.write(1, b'\\n' * 65536)", output=16 * 2**20)
    assert flooded.ended is Ended.output
    assert time.monotonic() - started < 10
    assert docker.from_env().ping()
    assert run("print('still here')").stdout == "still here\n"


# --- what it says -------------------------------------------------------------------------------


def test_without_an_engine_it_says_what_to_install_and_the_exact_flag(without_engine: None) -> None:
    with pytest.raises(SandboxError) as raised:
        Docker(SandboxSettings())
    message = str(raised.value)
    assert "install" in message and "--sandbox local" in message and "same kernel" in message
    assert "\n" not in message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without rights")
def test_a_user_outside_the_docker_group_is_told_of_the_group(sandbox: Docker) -> None:
    code = (
        "import os; from autoresearch.config import SandboxSettings\n"
        "from autoresearch.sandbox.docker import Docker; import docker\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); Docker(SandboxSettings())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "docker group" in told.stderr.splitlines()[-1]


def test_an_image_that_cannot_be_had_is_known_before_anything_is_built(sandbox: Docker) -> None:
    sandbox.ensure_image()
    with pytest.raises(SandboxError, match=r"--set sandbox\.image=NAME"):
        Docker(SandboxSettings(image="127.0.0.1:1/nowhere:1")).ensure_image()


def test_a_runtime_that_is_not_registered_is_named(
    settings: SandboxSettings, environment: Environment, tmp_path: Path
) -> None:
    sandbox = Docker(settings.model_copy(update={"runtime": "no-such-runtime"}))
    with pytest.raises(SandboxError, match=r"no-such-runtime.*sandbox\.runtime"):
        sandbox.run(Job(environment, ("true",), {}, tmp_path, Limits()))


def test_an_image_that_was_removed_is_an_error_of_the_engine(
    sandbox: Docker, environment: Environment, tmp_path: Path
) -> None:
    gone = environment.model_copy(update={"reference": "autoresearch-env:0000"})
    with pytest.raises(SandboxError, match="autoresearch-env:0000"):
        sandbox.run(Job(gone, ("true",), {}, tmp_path, Limits()))


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's own files are readable to it")
def test_inputs_that_nobody_may_read_are_named_before_anything_runs(run: Run, work: Path) -> None:
    (work / "private.csv").touch(mode=0o600)
    with pytest.raises(SandboxError, match=r"private\.csv.*chmod"):
        run("pass")


# --- what it asks for ---------------------------------------------------------------------------


def test_gpus_are_asked_for_by_name_and_never_by_number() -> None:
    assert device_requests(()) == []
    (named,) = device_requests((Gpu("GPU-a", "", 0), Gpu("GPU-b", "", 0)))
    assert named["DeviceIDs"] == ["GPU-a", "GPU-b"]
    assert named["Capabilities"] == [["gpu", "compute", "utility"]]
    assert "Count" not in named  # engines refuse both, and the same first devices answer a number


def test_more_processors_than_the_engine_has_are_all_it_has(run: Run) -> None:
    assert run("pass", cpus=4096).succeeded


def test_memory_that_a_child_used_up_ends_the_program_that_would_go_on_without_it(run: Run) -> None:
    ended = run(
        "import subprocess, sys, time\n"
        "subprocess.run([sys.executable, '-c', 'x = bytearray(10**9)'])\n"
        "time.sleep(20)"
    )
    assert ended.ended is Ended.memory
    assert "256.0 MiB" in ended.reason
    assert ended.seconds < 10


def test_files_of_no_mode_come_back_and_a_socket_does_not(run: Run, tmp_path: Path) -> None:
    closed = run(
        "import os; os.makedirs('/out/deep/er'); open('/out/deep/er/a', 'w').write('x' * 70000)\n"
        "os.chmod('/out/deep/er/a', 0); os.chmod('/out/deep', 0)"
    )
    assert closed.files == ("deep/er/a",)
    assert (tmp_path / "out/deep/er/a").read_text() == "x" * 70000
    bound = run("import socket; socket.socket(socket.AF_UNIX).bind('/out/s')")
    assert bound.ended is Ended.refused


def test_what_is_deleted_but_open_counts_as_disk(run: Run) -> None:
    code = (
        "import os, time; f = open('/out/a', 'wb'); os.remove('/out/a')\n"
        "f.write(bytes(3 * 2**20)); f.flush(); time.sleep(20)"
    )
    assert run(code, disk=2 * 2**20).ended is Ended.disk
