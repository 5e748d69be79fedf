"""Bad input: one line that says what to do, exit code 2, nothing created or lost."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import there

ROOT = Path(__file__).parents[1]
SLOPE = ROOT / "tests" / "tasks" / "slope"


def autoresearch(
    *arguments: str, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}
    return subprocess.run(
        [sys.executable, "-m", "autoresearch", *arguments],
        cwd=cwd, env=inherited | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def broken_task(folder: Path) -> str:
    shutil.copytree(SLOPE, folder / "broken")
    path = folder / "broken" / "task.toml"
    path.write_text(path.read_text().replace('timeout = "20s"', 'timeout = "soonish"'))
    return str(folder / "broken")


def typo_task(folder: Path) -> str:
    shutil.copytree(SLOPE, folder / "typo")
    path = folder / "typo" / "task.toml"
    path.write_text(path.read_text().replace("direction", "directoin"))
    return str(folder / "typo")


RUN = ("run", "--task", str(SLOPE), "--model", "offline", "--sandbox", "local")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--task", "nope", "--model", "offline"), "unknown task 'nope'.*one of: digits"),
        ((*RUN, "--rounds", "0"), "rounds: .*greater than or equal to 1, not 0"),
        ((*RUN, "--ideas", "-3"), "ideas: .*not -3"),
        ((*RUN, "--set", "rounds"), "--set wants key=value"),
        ((*RUN, "--set", "roundz=3"), "roundz: is not a known key"),
        ((*RUN, "--sandbox", "jail"), "sandbox.kind: .*'jail'"),
        ((*RUN, "--papers", "no-such-folder"), "no-such-folder"),
        ((*RUN, "--set", "prompts=no-such-folder"), "no-such-folder is not a folder"),
        ((*RUN, "--runs", "/proc/nowhere"), "cannot write /proc/nowhere"),
        (("run", "--task", str(SLOPE), "--model", "openai/some-model", "--sandbox", "local"), "OPENAI_API_KEY"),
        (("run", "--task", str(SLOPE), "--model", "anthropic/some-model", "--sandbox", "local"), "ANTHROPIC_API_KEY"),
        (("run", "--task", str(SLOPE), "--model", "replay:never-ran", "--sandbox", "local"), "no run 'never-ran'"),
        (("resume", "never-ran"), "no run 'never-ran'"),
        (("show", "never-ran"), "no run 'never-ran'"),
        (("task", "check", "nope"), "unknown task 'nope'"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_creates_nothing(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = autoresearch(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert re.search(said, done.stderr) and done.stderr.count("\n") == 1
    assert not [path for path in tmp_path.rglob("*") if path.name != "runs"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (broken_task, r"task\.toml: experiment: 'soonish' is not a duration"),
        (typo_task, r"task\.toml, line \d+: metric\.direct"),
    ],
)
def test_a_broken_task_file_is_one_line_with_key_and_line(
    tmp_path: Path, make: object, said: str
) -> None:
    folder = make(tmp_path)  # type: ignore[operator]
    done = autoresearch(
        "run", "--task", folder, "--model", "offline", "--sandbox", "local", cwd=tmp_path
    )
    assert done.returncode == 2 and re.search(said, done.stderr) and done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_without_an_engine_docker_stops_and_names_what_to_install_and_the_flag_for_local(
    tmp_path: Path,
) -> None:
    done = autoresearch(
        "run",
        "--task",
        str(SLOPE),
        "--model",
        "offline",
        cwd=tmp_path,
        DOCKER_HOST="unix:///no/engine.sock",
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "--sandbox local" in done.stderr and "install" in done.stderr.lower()
    assert not list(tmp_path.rglob("run.toml"))


def test_no_sandbox_at_all_is_refused_for_a_language_model_without_the_long_flag(
    tmp_path: Path,
) -> None:
    done = autoresearch(
        "run",
        "--task",
        str(SLOPE),
        "--model",
        "openai/x",
        "--sandbox",
        "none",
        cwd=tmp_path,
        OPENAI_API_KEY="sk-test",
    )
    assert done.returncode == 2 and "--i-trust-generated-code" in done.stderr


def test_a_plain_process_runs_under_its_own_name_only_and_says_that_it_is_none(
    tmp_path: Path,
) -> None:
    arguments = ("--task", str(SLOPE), "--model", "offline", "--rounds", "1", "--ideas", "1")
    done = autoresearch("run", *arguments, "--sandbox", "none", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "NOT a sandbox" in done.stdout


def test_a_corrupted_record_stops_the_resume_naming_the_file_and_deleting_it_recovers(
    tmp_path: Path,
) -> None:
    arguments = (
        "--task",
        str(SLOPE),
        "--model",
        "offline",
        "--rounds",
        "1",
        "--ideas",
        "1",
        "--sandbox",
        "local",
    )
    assert autoresearch("run", *arguments, cwd=tmp_path).returncode == 0
    (folder,) = (tmp_path / "runs").glob("*slope*")
    (folder / "claims.json").unlink()
    (lesson,) = folder.glob("round-00/*/feedback.json")
    whole = lesson.read_text()
    lesson.write_text(whole[: len(whole) // 2])
    stopped = autoresearch("resume", folder.name, cwd=tmp_path)
    assert (
        stopped.returncode == 2 and "feedback.json" in stopped.stderr and "delete" in stopped.stderr
    )
    lesson.unlink()
    assert autoresearch("resume", folder.name, cwd=tmp_path).returncode == 0
    assert lesson.read_text() == whole


def test_a_full_disk_stops_in_one_line_and_leaves_no_half_a_run(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(disk)], check=True)
    try:
        done = autoresearch(*RUN, "--runs", str(disk), cwd=tmp_path)
        assert done.returncode == 2 and "No space left on device" in done.stderr
        assert done.stderr.count("\n") == 1 and not list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_fills_up_during_a_run_loses_nothing_and_the_run_goes_on_later(
    tmp_path: Path,
) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=320k", "tmpfs", str(disk)], check=True)
    try:
        done = autoresearch(
            *RUN, "--rounds", "1", "--ideas", "2", "--runs", str(disk), cwd=tmp_path
        )
        assert done.returncode == 2 and "No space left on device" in done.stderr, done.stderr
        (folder,) = disk.glob("*slope*")
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        resumed = autoresearch("resume", str(folder), cwd=tmp_path)
        assert resumed.returncode == 0, resumed.stderr
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_ctrl_c_ends_at_once_and_says_how_to_go_on(tmp_path: Path) -> None:
    import signal
    import time

    task = tmp_path / "slow"
    shutil.copytree(SLOPE, task)
    train = task / "baseline" / "train.py"
    train.write_text("import time\ntime.sleep(15)\n" + train.read_text())
    child = subprocess.Popen(
        [sys.executable, "-m", "autoresearch", "run", "--task", str(task), "--model", "offline", "--sandbox", "local"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not there(tmp_path, "runs/*/data.json") and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    assert child.wait(10) == 130 and time.monotonic() - began < 2
    assert "go on with: autoresearch resume" in child.stderr.read()


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['autoresearch', '--help']\n"
        "from autoresearch.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'litellm', 'docker', 'pymupdf', 'arxiv', 'git', 'numpy', 'scipy', 'torch', 'pydantic', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stderr.strip() == "[]"
