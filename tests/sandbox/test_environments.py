"""Environments are built once from their recipe, and say why when they cannot be."""

import io
import threading
import time
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from autoresearch.config import SandboxSettings
from autoresearch.errors import SandboxError
from autoresearch.sandbox import Environment
from autoresearch.sandbox.engine import Engine
from autoresearch.sandbox.environments import docker_environment, local_environment
from tests.engine import BASE_IMAGE, docker_or_skip

Build = Callable[[Path], Environment]


@pytest.fixture(scope="module")
def engine() -> Engine:
    docker_or_skip()
    return Engine()


@pytest.fixture
def settings(tmp_path: Path) -> SandboxSettings:
    return SandboxSettings(image=BASE_IMAGE, cache=tmp_path / "cache")


@pytest.fixture
def task(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "requirements.txt").write_text("six==1.17.0\n")
    return folder


def timed(build: Callable[[], Environment]) -> tuple[Environment, float]:
    started = time.monotonic()
    return build(), time.monotonic() - started


# --- local --------------------------------------------------------------------------------------


def test_a_local_environment_has_its_packages_and_is_found_again_without_a_process(
    task: Path, settings: SandboxSettings
) -> None:
    built = local_environment(task, settings)
    assert "six==1.17.0" in built.packages
    assert (Path(built.reference) / "bin" / "python").exists()
    # Were it asked again, the interpreter could not answer.
    (Path(built.reference) / "bin" / "python").unlink()
    found, seconds = timed(lambda: local_environment(task, settings))
    assert found == built
    assert seconds < 0.05


def test_a_requirement_that_does_not_exist_says_so_and_names_the_log(
    task: Path, settings: SandboxSettings
) -> None:
    (task / "requirements.txt").write_text("six==99.0.0\n")
    with pytest.raises(SandboxError, match=r"No matching distribution found for six==99") as raised:
        local_environment(task, settings)
    log = str(raised.value).split("whole log: ")[1].split(")")[0]
    assert "six==99.0.0" in Path(log).read_text()


def test_a_build_that_did_not_end_is_built_again(task: Path, settings: SandboxSettings) -> None:
    (task / "requirements.txt").unlink()
    built = local_environment(task, settings)
    (Path(built.reference) / "environment.json").unlink()
    (Path(built.reference) / "bin" / "python").unlink()
    assert local_environment(task, settings) == built
    assert (Path(built.reference) / "bin" / "python").exists()


def test_threads_that_want_the_same_environment_wait_for_one_build(
    task: Path, settings: SandboxSettings
) -> None:
    (task / "requirements.txt").unlink()
    built: list[Environment] = []
    folders: list[float] = []

    def build() -> None:
        environment = local_environment(task, settings)
        built.append(environment)
        folders.append((Path(environment.reference) / "pyvenv.cfg").stat().st_mtime_ns)

    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 3
    assert len(set(built)) == 1
    assert len(set(folders)) == 1


def test_a_task_with_only_a_dockerfile_cannot_be_local(
    task: Path, settings: SandboxSettings
) -> None:
    (task / "requirements.txt").unlink()
    (task / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
    with pytest.raises(SandboxError, match="--sandbox docker"):
        local_environment(task, settings)


def test_an_interpreter_that_is_not_there_is_named(task: Path, tmp_path: Path) -> None:
    settings = SandboxSettings(python="/nowhere/python3", cache=tmp_path)
    with pytest.raises(SandboxError, match=r"/nowhere/python3.*sandbox\.python"):
        local_environment(task, settings)


# --- Docker -------------------------------------------------------------------------------------


def test_an_image_has_the_packages_is_built_once_and_keeps_nothing_of_the_build(
    engine: Engine, task: Path, settings: SandboxSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_TRUSTED_HOST", "user-secret-host.invalid")
    # A comment makes the recipe, and so the image, this test's own.
    (task / "requirements.txt").write_text(f"six==1.17.0\n# {time.time_ns()}\n")
    built = docker_environment(engine, task, settings, "nobody")
    try:
        assert "six==1.17.0" in built.packages
        found, seconds = timed(lambda: docker_environment(engine, task, settings, "nobody"))
        assert found == built
        assert seconds < 0.5
        assert "user-secret-host" not in str(docker.from_env().api.inspect_image(built.reference))
        assert "nobody" not in engine.owned().values()
    finally:
        docker.from_env().images.remove(built.reference)


def test_the_dockerfile_is_the_layer_below_the_requirements(
    engine: Engine, task: Path, settings: SandboxSettings
) -> None:
    plain = docker_environment(engine, task, settings, "nobody")
    recipe = (
        "ARG BASE\nFROM ${BASE}\n"
        "RUN echo '__version__ = 7' "
        "> $(python3 -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))')/systemlayer.py\n"
    )
    (task / "Dockerfile").write_text(recipe)
    layered = docker_environment(engine, task, settings, "nobody")
    assert layered.key != plain.key
    code = "import six, systemlayer; print(six.__version__, systemlayer.__version__)"
    assert run_in(engine, layered.reference, code) == "1.17.0 7\n"


def test_what_fails_in_a_dockerfile_or_in_pip_is_shown(
    engine: Engine, task: Path, settings: SandboxSettings
) -> None:
    (task / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nRUN echo no such luck >&2; exit 3\n")
    with pytest.raises(SandboxError, match="no such luck"):
        docker_environment(engine, task, settings, "nobody")
    (task / "Dockerfile").unlink()
    (task / "requirements.txt").write_text("six==99.0.0\n")
    with pytest.raises(SandboxError, match="No matching distribution found for six==99"):
        docker_environment(engine, task, settings, "nobody")


def test_an_image_that_cannot_be_pulled_says_what_to_choose_instead(
    engine: Engine, task: Path, tmp_path: Path
) -> None:
    settings = SandboxSettings(image="127.0.0.1:1/nowhere:1", cache=tmp_path)
    with pytest.raises(SandboxError, match=r"127\.0\.0\.1:1/nowhere:1.*--set sandbox\.image=NAME"):
        docker_environment(engine, task, settings, "nobody")


def run_in(engine: Engine, image: str, code: str) -> str:
    """What a Python program prints in a plain container of an image."""
    container = engine.create({"Image": image, "Cmd": ["sleep", "60"], "User": "0:0"})
    try:
        engine.start(container)
        out = io.BytesIO()
        engine.execute(container, ["python", "-c", code], out, {})
        return out.getvalue().decode()
    finally:
        engine.remove(container)
