"""What is particular to the local sandboxes: whom they trust, what they clean up, what they say."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from autoresearch.config import SandboxSettings
from autoresearch.errors import BadInput, SandboxError
from autoresearch.records import Ended, Limits
from autoresearch.sandbox import Environment, Job
from autoresearch.sandbox.local import Local, Plain
from autoresearch.sandbox.probe import probe
from autoresearch.sandbox.scratch import current_owner, has_ended, remove_tree, scratch
from tests.sandbox.conftest import LIMITS, Backend, bare_environment

SETTINGS = SandboxSettings()
TRUSTING = SandboxSettings(kind="none", i_trust_generated_code=True)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return bare_environment(tmp_path)


def job(environment: Environment, outputs: Path, program: str, **more: object) -> Job:
    fields = {"inputs": {}, "limits": LIMITS, **more}
    command = ("python", "-c", program)
    return Job(environment=environment, command=command, outputs=outputs, **fields)  # type: ignore[arg-type]


@contextlib.contextmanager
def path(folder: Path):
    before = os.environ["PATH"]
    os.environ["PATH"] = str(folder)
    try:
        yield
    finally:
        os.environ["PATH"] = before


# --- which wall it is ---------------------------------------------------------------------------


def test_its_name_says_what_it_stands_on() -> None:
    name = Local(SETTINGS, bubblewrap=False).name
    assert name.startswith("local (Landlock ABI ") and name.endswith("; no namespaces)")


def test_bubblewrap_that_is_insisted_on_and_missing_is_an_error(tmp_path: Path) -> None:
    with path(tmp_path):
        with pytest.raises(SandboxError, match="not installed"):
            Local(SETTINGS, bubblewrap=True)
        assert "no namespaces" in Local(SETTINGS).name


def test_bubblewrap_that_does_not_work_is_not_used(tmp_path: Path) -> None:
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho no permissions >&2\nexit 1\n")
    program.chmod(0o755)
    with path(tmp_path):
        assert "no namespaces" in Local(SETTINGS).name
        with pytest.raises(SandboxError, match="no permissions"):
            Local(SETTINGS, bubblewrap=True)


def test_gpus_are_an_error_that_says_where_to_get_them(
    environment: Environment, tmp_path: Path
) -> None:
    limits = LIMITS.model_copy(update={"gpus": 1})
    with pytest.raises(BadInput, match="--sandbox docker"):
        Local(SETTINGS).run(job(environment, tmp_path / "o", "", limits=limits))


def test_an_environment_without_an_interpreter_is_an_error(tmp_path: Path) -> None:
    gone = Environment(key="x", reference=str(tmp_path / "gone"), python="3.11", packages=())
    with pytest.raises(SandboxError, match="no interpreter"):
        Local(SETTINGS).run(job(gone, tmp_path / "o", ""))


def test_an_input_that_would_cover_the_system_is_an_error(
    environment: Environment, tmp_path: Path
) -> None:
    for name in ("usr", "lib64", "../etc", "out", "Data"):
        wanted = job(environment, tmp_path / "o", "", inputs={name: tmp_path})
        with pytest.raises(ValueError, match="cannot be named"):
            Local(SETTINGS).run(wanted)


@pytest.mark.parametrize("bubblewrap", [None, False])
def test_as_root_the_experiment_is_a_user_of_its_own_each_time(
    environment: Environment, tmp_path: Path, bubblewrap: bool | None
) -> None:
    sandbox, users = Local(SETTINGS, bubblewrap), set()
    for _ in range(2):
        execution = sandbox.run(
            job(environment, tmp_path / "o", "import os; print(*os.getresuid())")
        )
        users.add(execution.stdout)
    if os.geteuid() == 0:
        assert len(users) == 2 and all(int(user.split()[0]) > 10**9 for user in users)
    else:
        assert len(users) == 1


@pytest.mark.parametrize("bubblewrap", [None, False])
def test_an_interpreter_and_inputs_in_a_closed_home_work_and_the_rest_of_it_is_not_seen(
    tmp_path: Path, bubblewrap: bool | None
) -> None:
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    (home / "data" / "rows").write_text("rows")
    (home / "key").write_text("secret")
    (home / "key").chmod(0o644)
    environment = bare_environment(home)
    home.chmod(0o700)
    execution = Local(SETTINGS, bubblewrap).run(
        job(
            environment,
            tmp_path / "o",
            "import os, sys; print(open(os.environ['DATA'] + '/rows').read(), sys.prefix)\n"
            f"try: print(open({str(home / 'key')!r}).read())\nexcept OSError: print('closed')",
            inputs={"data": home / "data"},
        )
    )
    assert execution.stdout == "rows /environment\nclosed\n", execution
    assert (home / "key").read_text() == "secret"


def test_as_root_inputs_that_others_cannot_read_are_an_error_that_says_what_to_do(
    environment: Environment, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows").touch(0o600)
    wanted = job(environment, tmp_path / "o", "", inputs={"data": tmp_path / "data"})
    if os.geteuid() == 0:
        with pytest.raises(SandboxError, match="chmod -R"):
            Local(SETTINGS).run(wanted)
    else:
        assert Local(SETTINGS).run(wanted).succeeded


def test_processes_of_python_work_where_memory_can_be_shared(backend: Backend) -> None:
    if "no namespaces" in backend.sandbox.name:
        program = "import subprocess as s; print(s.run(['echo', '9'], capture_output=True).stdout)"
        assert backend.run(program).stdout == "b'9\\n'\n"
        return
    execution = backend.run("""
        import multiprocessing as m
        from multiprocessing import shared_memory
        def square(x):
            return x * x
        if __name__ == "__main__":
            for method in ("fork", "spawn", "forkserver"):
                with m.get_context(method).Pool(2) as pool:
                    print(pool.map(square, [1, 2, 3]))
            memory = shared_memory.SharedMemory(create=True, size=100)
            memory.unlink()
        """)
    assert execution.stdout == "[1, 4, 9]\n" * 3, execution


# --- none ---------------------------------------------------------------------------------------


def test_no_sandbox_says_so_and_still_bounds_and_ends_what_it_runs(
    environment: Environment, tmp_path: Path
) -> None:
    sandbox = Plain(TRUSTING)
    assert "NOT a sandbox" in sandbox.name
    assert not probe(sandbox, environment).holds
    told = sandbox.run(
        job(environment, tmp_path / "o", "import os; open(os.environ['OUT'] + '/x', 'w')")
    )
    assert told.succeeded and told.files == ("x",)
    limits = LIMITS.model_copy(update={"memory": 2**27, "timeout": 5.0})
    hungry = "kept = []\nwhile True: kept.append(bytearray(b'x' * 2**20))"
    assert (
        sandbox.run(job(environment, tmp_path / "o", hungry, limits=limits)).ended is Ended.memory
    )
    left = "import os, time\nif os.fork() == 0: os.setsid(); time.sleep(60)"
    assert sandbox.run(job(environment, tmp_path / "o", left)).left_behind == 1


def test_no_sandbox_passes_no_variables_of_the_host(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "do-not-tell")
    shown = Plain(TRUSTING).run(job(environment, tmp_path / "o", "import os; print(os.environ)"))
    assert shown.succeeded and "do-not-tell" not in shown.stdout


# --- cleaning up --------------------------------------------------------------------------------


def test_a_tree_of_any_depth_width_and_modes_is_removed(tmp_path: Path) -> None:
    # In memory: the journal of a disk needs a minute for so many folders, whoever removes them.
    top = Path(tempfile.mkdtemp(dir="/dev/shm"))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (top / "link").symlink_to(outside)
    (top / "many").mkdir()
    for number in range(3000):
        (top / "many" / str(number)).touch()
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(top)
        for _ in range(20_000):
            os.mkdir("d")
            os.chdir("d")
        os.symlink(outside, "link")
    finally:
        os.fchdir(here)
        os.close(here)
    closed = top / "closed" / "inside"
    closed.mkdir(parents=True)
    (closed / "file").touch(0o000)
    closed.chmod(0)
    closed.parent.chmod(0)
    started = time.monotonic()
    remove_tree(top)
    assert not top.exists() and (outside / "kept").read_text() == "kept"
    assert time.monotonic() - started < 20


def test_folders_of_killed_runs_are_removed_at_the_next_start_and_those_of_live_ones_kept() -> None:
    program = (
        "import os; from autoresearch.sandbox.scratch import scratch\n"
        "with scratch(None) as folder:\n"
        " (folder / 'tmp' / 'x').mkdir(0); print(folder, flush=True); os.kill(os.getpid(), 9)"
    )
    root = str(Path(__file__).parents[2])
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, sys.path)])}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=paths)
    abandoned = Path(ran.stdout.strip())
    assert abandoned.is_dir(), ran
    with scratch(None) as mine:
        Local(SETTINGS, bubblewrap=False)
        assert not abandoned.exists() and mine.is_dir()
    assert not mine.exists()


def test_an_owner_is_told_from_a_later_process_with_the_same_number() -> None:
    boot, namespace, process, ticks = current_owner().split(":")
    assert not has_ended(current_owner())
    assert has_ended(f"{boot}:{namespace}:{process}:{int(ticks) - 1}")
    assert has_ended(f"another-boot:{namespace}:{process}:{ticks}")
    assert not has_ended(f"{boot}:1:{process}:1")  # a container's: cannot be seen from here


def test_a_folder_of_that_name_that_is_a_link_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    link = Path(tempfile.gettempdir()) / "autoresearch-old-boot:1:2:3:4"
    link.symlink_to(tmp_path)
    try:
        with contextlib.suppress(OSError, SandboxError):
            Local(SETTINGS, bubblewrap=False)
        assert (tmp_path / "kept").exists()
    finally:
        link.unlink(missing_ok=True)


def test_the_start_is_cheap(environment: Environment, tmp_path: Path) -> None:
    def milliseconds(run) -> float:
        times = []
        for _ in range(5):
            started = time.monotonic()
            run()
            times.append(time.monotonic() - started)
        return 1000 * min(times)

    python = f"{environment.reference}/bin/python"
    bare = milliseconds(lambda: subprocess.run([python, "-c", "pass"]))
    for bubblewrap in (None, False):
        sandbox = Local(SETTINGS, bubblewrap)
        one = milliseconds(lambda s=sandbox: s.run(job(environment, tmp_path / "o", "pass")))
        # The aim is 60 ms with namespaces and 30 without, on a quiet machine; this one is shared.
        assert one - bare < 600, (sandbox.name, bare, one)


def test_results_appear_even_from_a_program_that_failed(
    environment: Environment, tmp_path: Path
) -> None:
    program = "import os, sys; open(os.environ['OUT'] + '/half', 'w').write('h'); sys.exit(2)"
    execution = Local(SETTINGS).run(job(environment, tmp_path / "o", program))
    assert (execution.exit_code, execution.files) == (2, ("half",))
    shutil.rmtree(tmp_path / "o")


def test_deep_folders_end_the_run_without_namespaces(
    environment: Environment, tmp_path: Path
) -> None:
    program = """
import os, time
os.chdir(os.environ["OUT"])
for _ in range(20_000):
    os.mkdir("d")
    os.chdir("d")
time.sleep(30)
"""
    limits = Limits(timeout=25, memory=2**29)
    execution = Local(SETTINGS, bubblewrap=False).run(
        job(environment, tmp_path / "o", program, limits=limits)
    )
    assert execution.ended is Ended.disk and "nested" in execution.reason, execution
    assert not list(Path(tempfile.gettempdir()).glob(f"autoresearch-{current_owner()}*"))
