"""Every backend that can be had here, each with an environment that its programs run in."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from autoresearch.config import SandboxSettings
from autoresearch.errors import SandboxError
from autoresearch.records import Execution, Limits
from autoresearch.sandbox import Environment, Job, Sandbox
from autoresearch.sandbox.local import Local
from tests.engine import BASE_IMAGE, docker_or_skip

LIMITS = Limits(timeout=20, memory=2**29, processes=64, disk=2**24, file=2**23, output=2**20)


@dataclass(frozen=True)
class Backend:
    """A sandbox, an environment it built, and a folder for inputs and outputs."""

    sandbox: Sandbox
    environment: Environment
    folder: Path

    def run(self, program: str, *arguments: str, **limits: float) -> Execution:
        """Run a Python program with $WORK and $DATA; what it leaves comes to `outputs`."""
        return self.sandbox.run(self.job(program, *arguments, **limits))

    def job(self, program: str, *arguments: str, **limits: float) -> Job:
        (self.folder / "work" / "program.py").write_text(textwrap.dedent(program))
        return Job(
            environment=self.environment,
            command=("python", "program.py", *arguments),
            inputs={"work": self.folder / "work", "data": self.folder / "data"},
            outputs=self.outputs,
            limits=LIMITS.model_copy(update=limits),
        )

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"


def _with_bubblewrap(cache: Path) -> tuple[Sandbox, Environment]:
    return Local(SandboxSettings(), bubblewrap=True), bare_environment(cache)


def _without_bubblewrap(cache: Path) -> tuple[Sandbox, Environment]:
    return Local(SandboxSettings(), bubblewrap=False), bare_environment(cache)


def _in_docker(cache: Path) -> tuple[Sandbox, Environment]:
    sandbox = docker_or_skip(SandboxSettings(image=BASE_IMAGE, cache=cache))
    task = cache / "task"
    task.mkdir()
    return sandbox, sandbox.environment(task)


BACKENDS: dict[str, Callable[[Path], tuple[Sandbox, Environment]]] = {
    "bubblewrap": _with_bubblewrap,
    "landlock": _without_bubblewrap,
    "docker": _in_docker,
}


def bare_environment(cache: Path) -> Environment:
    """A virtual environment of this interpreter without any packages."""
    folder = cache / "environment"
    command = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(command, check=True)
    version = ".".join(map(str, sys.version_info[:3]))
    return Environment(key="bare", reference=str(folder), python=version, packages=())


@pytest.fixture(scope="session", params=BACKENDS)
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Sandbox, Environment]:
    cache = tmp_path_factory.mktemp(request.param)
    try:
        return BACKENDS[request.param](cache)
    except SandboxError as absent:
        if os.environ.get(f"AUTORESEARCH_REQUIRE_{request.param.upper()}") == "1":
            raise
        pytest.skip(f"NO {request.param.upper()}: {absent}")


@pytest.fixture
def backend(engine: tuple[Sandbox, Environment], tmp_path: Path) -> Iterator[Backend]:
    folder = tmp_path / "backend"
    for name in ("work", "data"):
        (folder / name).mkdir(parents=True)
    (folder / "data" / "rows.txt").write_text("1 2 3\n")
    yield Backend(*engine, folder)


def restore(name: str) -> Sandbox:
    """The sandbox of this name again, in another process."""
    if name.startswith("local"):
        return Local(SandboxSettings(), bubblewrap="bubblewrap" in name)
    from autoresearch.sandbox.docker import Docker

    return Docker(SandboxSettings())
