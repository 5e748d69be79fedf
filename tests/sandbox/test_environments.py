"""Environments are built once from their recipe, and say why when they cannot be."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from rich.console import Console

from autoresearch.assembly import start
from autoresearch.buildlog import building
from autoresearch.cleaning import clean_up
from autoresearch.config import SandboxSettings, load_settings
from autoresearch.errors import BuildFailed, SandboxError, TaskError
from autoresearch.sandbox import Environment
from autoresearch.sandbox.engine import Engine
from autoresearch.sandbox.images import docker_environment
from autoresearch.sandbox.recipes import lock_of, read_recipe
from autoresearch.sandbox.scratch import current_owner
from autoresearch.sandbox.shelf import Shelf
from autoresearch.sandbox.venvs import local_environment
from autoresearch.store import digest
from tests.engine import BASE_IMAGE, docker_or_skip

Build = Callable[[Path], Environment]


@pytest.fixture(scope="module")
def engine() -> Engine:
    docker_or_skip()
    return Engine()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(SandboxSettings(image=BASE_IMAGE, cache=tmp_path / "cache"))


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
    task: Path, shelf: Shelf
) -> None:
    built = local_environment(task, shelf)
    assert "six==1.17.0" in built.packages
    hashed = r"^six==1\.17\.0 \\\n    --hash=sha256:[0-9a-f]{64}$"
    assert re.search(hashed, built.lock, re.MULTILINE)
    assert "://" not in built.lock  # where it was fetched from is nobody's business
    assert (Path(built.reference) / "bin" / "python").exists()
    # Were it asked again, the interpreter could not answer.
    (Path(built.reference) / "bin" / "python").unlink()
    (Path(built.reference) / "bin" / "python").symlink_to("/dev/null")
    found, seconds = timed(lambda: local_environment(task, shelf))
    assert found == built
    assert seconds < 0.05
    check_that_the_first_build_is_repeated(task, shelf, built)


def check_that_the_first_build_is_repeated(task: Path, shelf: Shelf, built: Environment) -> None:
    saved = shelf.file(built.key, "requirements")
    assert saved.read_text() == built.lock
    saved.write_text("six==1.16.0\n")  # as if that had been the newest then
    shutil.rmtree(built.reference)
    again = local_environment(task, shelf)
    assert again.key == built.key and "six==1.16.0" in again.packages
    assert again.lock == "six==1.16.0\n"


def test_a_requirement_that_does_not_exist_says_so_and_names_the_log(
    task: Path, shelf: Shelf
) -> None:
    (task / "requirements.txt").write_text("six==99.0.0\n")
    with pytest.raises(BuildFailed, match="does not build") as raised:
        local_environment(task, shelf)
    assert "No matching distribution found for six==99" in raised.value.__notes__[-1]
    log = str(raised.value).split("whole log: ")[1].split(")")[0]
    assert "six==99.0.0" in Path(log).read_text()


def test_a_build_that_did_not_end_is_built_again(task: Path, shelf: Shelf) -> None:
    (task / "requirements.txt").unlink()
    built = local_environment(task, shelf)
    (Path(built.reference) / "environment.json").unlink()
    (Path(built.reference) / "bin" / "python").unlink()
    assert local_environment(task, shelf) == built
    assert (Path(built.reference) / "bin" / "python").exists()


def test_threads_that_want_the_same_environment_wait_for_one_build(
    task: Path, shelf: Shelf
) -> None:
    (task / "requirements.txt").unlink()
    built: list[Environment] = []
    folders: list[float] = []

    def build() -> None:
        environment = local_environment(task, shelf)
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


def test_a_task_with_only_a_dockerfile_cannot_be_local(task: Path, shelf: Shelf) -> None:
    (task / "requirements.txt").unlink()
    (task / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
    with pytest.raises(BuildFailed, match="--sandbox docker"):
        local_environment(task, shelf)


def test_an_interpreter_that_is_not_there_is_named(task: Path, tmp_path: Path) -> None:
    shelf = Shelf(SandboxSettings(python="/nowhere/python3", cache=tmp_path))
    with pytest.raises(SandboxError, match=r"/nowhere/python3.*sandbox\.python"):
        local_environment(task, shelf)


# --- locks --------------------------------------------------------------------------------------


def test_a_task_with_a_lock_gets_exactly_that_and_nothing_with_other_contents(
    task: Path, shelf: Shelf
) -> None:
    keys = {read_recipe(task).key("local", "")}
    # python-dateutil needs six: what is not in the lock is not installed.
    (task / "requirements.lock").write_text("python-dateutil==2.9.0.post0\n")
    keys.add(read_recipe(task).key("local", ""))
    built = local_environment(task, shelf)
    assert "python-dateutil==2.9.0.post0" in built.packages
    assert not [each for each in built.packages if each.startswith("six")]
    assert built.lock == (task / "requirements.lock").read_text()
    (task / "requirements.lock").write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n")
    keys.add(read_recipe(task).key("local", ""))
    with pytest.raises(BuildFailed) as raised:
        local_environment(task, shelf)
    assert "Expected sha256" in str(raised.value.__notes__)
    assert len(keys) == 3


def test_a_lock_of_other_requirements_says_how_to_make_it_again(task: Path) -> None:
    recipe = read_recipe(task)
    described = {"python": "3.11.2", "machine": "x86_64", "installed": ["six==1.17.0"]}
    lock = lock_of(recipe, described, None)  # a pip that cannot report: versions without hashes
    (task / "requirements.lock").write_text(lock)
    assert read_recipe(task).lock == lock
    (task / "requirements.txt").write_text("six\n")
    with pytest.raises(TaskError, match="autoresearch task lock"):
        read_recipe(task)


def test_one_package_without_an_archive_leaves_all_hashes_out_since_pip_checks_all_or_none(
    task: Path,
) -> None:
    archive = {"url": "https://index.invalid/six.whl", "archive_info": {"hash": "sha256=ab12"}}
    six = {"metadata": {"name": "six", "version": "1.17.0"}, "download_info": archive}
    source = {"vcs": "git", "commit_id": "c0ffee"}
    direct = {"url": "https://forge.invalid/tool", "vcs_info": source}
    tool = {"metadata": {"name": "Tool", "version": "1"}, "download_info": direct}
    described = {"python": "3.11.2", "machine": "x86_64"}

    def locked(*items: dict[str, object]) -> list[str]:
        report = json.dumps({"install": items}).encode()
        return lock_of(read_recipe(task), described, report).splitlines()[2:]

    assert locked(six) == ["six==1.17.0 \\", "    --hash=sha256:ab12"]
    from_source = "Tool @ git+https://forge.invalid/tool@c0ffee"
    assert locked(tool | {"is_direct": True}, six) == ["six==1.17.0", from_source]


def test_a_lock_is_written_into_the_task_and_its_environment_into_the_run(tmp_path: Path) -> None:
    task = tmp_path / "slope"
    shutil.copytree(Path(__file__).parents[1] / "tasks" / "slope", task)
    (task / "requirements.txt").write_text("six<1.17\n")
    cache = f"sandbox.cache={tmp_path / 'cache'}"
    told = command("task", "lock", str(task), "--sandbox", "local", "--set", cache)
    assert told.returncode == 0, told.stderr
    assert "Successfully installed six-1.16.0" in told.stdout
    lock = (task / "requirements.lock").read_text()
    assert "six==1.16.0" in lock
    run = start(
        load_settings(
            tmp_path,
            {"task": str(task), "runs": str(tmp_path / "runs"), "sandbox.kind": "local"},
            [cache],
        )
    )
    assert (run.folder / "environment.lock").read_text() == lock
    assert run.manifest["sandbox"]["lock"] == digest(lock)


# --- a build on screen --------------------------------------------------------------------------


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autoresearch", *arguments], capture_output=True, text=True
    )


@pytest.mark.parametrize("terminal", [False, True])
def test_a_build_is_shown_while_it_goes_on(tmp_path: Path, terminal: bool) -> None:
    screen, log = io.StringIO(), tmp_path / "log"
    console = Console(file=screen, force_terminal=terminal, width=100, height=30)
    log.write_text("Collecting six\n")
    with building(console, log):
        wait_until(lambda: "Collecting six" in screen.getvalue())
        with log.open("a") as file:
            file.write("Installing \x1b[2Jsix\n")
        wait_until(lambda: "Installing [2Jsix" in screen.getvalue())
    assert re.search(r"built in \d+ s", screen.getvalue())


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_run_whose_environment_does_not_build_ends_before_it_has_begun(tmp_path: Path) -> None:
    task = tmp_path / "slope"
    shutil.copytree(Path(__file__).parents[1] / "tasks" / "slope", task)
    (task / "requirements.txt").write_text("six==99.0.0\n")
    runs, cache = tmp_path / "runs", f"sandbox.cache={tmp_path / 'cache'}"
    options = ["--sandbox", "local", "--runs", str(runs), "--set", cache]
    failed = command("run", "--task", str(task), *options)
    assert failed.returncode == 2
    first, *last = failed.stderr.splitlines()
    assert first.startswith("error: the environment of slope does not build: mend its requirements")
    assert last[-1] == "  ERROR: No matching distribution found for six==99.0.0"
    assert "No matching distribution found" in failed.stdout  # as it was built
    assert not runs.exists()


# --- Docker -------------------------------------------------------------------------------------


def test_an_image_has_the_packages_is_built_once_and_keeps_nothing_of_the_build(
    engine: Engine, task: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_TRUSTED_HOST", "user-secret-host.invalid")
    # A comment makes the recipe, and so the image, this test's own.
    (task / "requirements.txt").write_text(f"six<1.17\n# {time.time_ns()}\n")
    built = docker_environment(engine, task, shelf, current_owner())
    try:
        assert "six==1.16.0" in built.packages
        assert "six==1.16.0 \\\n    --hash=sha256:" in built.lock
        found, seconds = timed(lambda: docker_environment(engine, task, shelf, current_owner()))
        assert found == built
        assert seconds < 0.5
        assert "user-secret-host" not in str(docker.from_env().api.inspect_image(built.reference))
        assert current_owner() not in engine.owned().values()
        check_that_clean_removes(built, shelf)
    finally:
        if engine.size(built.reference):
            docker.from_env().images.remove(built.reference)


def check_that_clean_removes(built: Environment, shelf: Shelf) -> None:
    """Here, because an image of one's own takes seconds to build."""
    engine, settings = Engine(), shelf.settings

    def cleaned(age: str, dry_run: bool) -> str:
        lines = list(clean_up(settings, age, everything=False, dry_run=dry_run))
        return "\n".join(line for line in lines if built.key in line or "free" in line)

    assert re.match(r"kept +image \w+ +\d.*last used today\nfreed 0 bytes", cleaned("30d", False))
    assert cleaned("0s", False).startswith("in use")  # by this process
    shelf.leave()
    os.utime(shelf.file(built.key, "used"), (1.6e9, 1.6e9))
    assert cleaned("30d", True).startswith("would remove")
    assert engine.size(built.reference) > 0
    container = engine.create({"Image": built.reference})
    assert cleaned("30d", False).startswith("in use")  # by a container of whomever
    engine.remove(container)
    told = cleaned("30d", False)
    assert re.match(r"removed +image \w+ +\d+\.\d MiB +last used \d{4} days ago\nfreed \d", told)
    assert engine.size(built.reference) == 0
    assert not shelf.file(built.key, "log").exists()
    assert shelf.file(built.key, "requirements").read_text() == built.lock
    assert engine.size(BASE_IMAGE) > 0


def test_the_dockerfile_is_the_layer_below_the_requirements(
    engine: Engine, task: Path, shelf: Shelf
) -> None:
    plain = docker_environment(engine, task, shelf, current_owner())
    recipe = (
        "ARG BASE\nFROM ${BASE}\n"
        "RUN echo '__version__ = 7' "
        "> $(python3 -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))')/systemlayer.py\n"
    )
    (task / "Dockerfile").write_text(recipe)
    layered = docker_environment(engine, task, shelf, current_owner())
    assert layered.key != plain.key
    code = "import six, systemlayer; print(six.__version__, systemlayer.__version__)"
    assert run_in(engine, layered.reference, code) == "1.17.0 7\n"


def test_what_fails_in_a_dockerfile_or_in_pip_is_shown(
    engine: Engine, task: Path, shelf: Shelf
) -> None:
    (task / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nRUN echo no such luck >&2; exit 3\n")
    with pytest.raises(BuildFailed) as raised:
        docker_environment(engine, task, shelf, current_owner())
    assert "no such luck" in str(raised.value.__notes__)
    (task / "Dockerfile").unlink()
    (task / "requirements.txt").write_text("six==99.0.0\n")
    with pytest.raises(BuildFailed) as raised:
        docker_environment(engine, task, shelf, current_owner())
    assert "No matching distribution found for six==99" in raised.value.__notes__[-1]


def test_an_image_that_cannot_be_pulled_says_what_to_choose_instead(
    engine: Engine, task: Path, tmp_path: Path
) -> None:
    shelf = Shelf(SandboxSettings(image="127.0.0.1:1/nowhere:1", cache=tmp_path))
    with pytest.raises(SandboxError, match=r"127\.0\.0\.1:1/nowhere:1.*--set sandbox\.image=NAME"):
        docker_environment(engine, task, shelf, current_owner())


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
