"""The run directory is the state: whole files or none, one process at a time, errors that name the file."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoresearch.config import Settings
from autoresearch.errors import BadInput, RecordError, RunFailed, RunLocked
from autoresearch.records import Query
from autoresearch.store import Desk, Run, create_run, find_run, list_runs, write

DIGITS = Path(__file__).parents[1] / "sandboxes" / "digits"


def new_run(folder: Path) -> Run:
    return create_run(Settings(runs=folder, topic="t"), DIGITS, {"task": "digits", "version": "1"})


def test_a_step_is_done_once_and_then_read(tmp_path: Path) -> None:
    made = []

    def make() -> Query:
        made.append(1)
        return Query(query="x y")

    desk = Desk(tmp_path).at("round-00")
    assert desk.step("think", Query, make) == desk.step("think", Query, make) == Query(query="x y")
    assert made == [1] and desk.where("think") == "round-00/think"


def test_a_step_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        Desk(tmp_path).step("think", Query, lambda: 1 / 0)
    assert list(tmp_path.iterdir()) == []


def test_nothing_new_is_begun_once_the_run_is_stopping(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.step("old", Query, lambda: Query(query="x"))
    desk.stopping.set()
    assert desk.at("").step("old", Query, lambda: Query(query="y")).query == "x"
    with pytest.raises(RunFailed):
        desk.step("new", Query, lambda: Query(query="x"))


def test_a_file_is_whole_or_not_there_when_the_writer_is_killed_mid_write(tmp_path: Path) -> None:
    program = (
        "import sys, itertools; from pathlib import Path; from autoresearch.store import write\n"
        "for n in itertools.count(): write(Path(sys.argv[1]) / 'x.json', str(n % 10) * 3_000_000)"
    )
    for delay in (0.35, 0.4, 0.47, 0.55):
        child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
        deadline = time.monotonic() + 20
        while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(delay - 0.35)
        child.kill()
        child.wait()
        path = tmp_path / "x.json"
        if path.exists():
            text = path.read_text()
            assert len(text) == 3_000_000 and len(set(text)) == 1


@pytest.mark.parametrize(
    "damage", [b"", b"{", b'{"query": 3}', b'{"query": "x", "extra": 1}', b"\xff\xfe"]
)
def test_a_corrupted_record_is_named_with_the_way_to_recover(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "think.json").write_bytes(damage)
    with pytest.raises(RecordError, match=r"think\.json.*delete that file and resume") as caught:
        Desk(tmp_path).step("think", Query, lambda: Query(query="x"))
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)


def test_two_processes_never_hold_one_run_and_the_second_says_who_does(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    program = (
        "import sys, time; from pathlib import Path; from autoresearch.store import Run\n"
        "with Run(Path(sys.argv[1])).locked(): print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(run.folder)], stdout=subprocess.PIPE
    )
    assert child.stdout.readline() == b"held\n"
    try:
        assert run.is_held()
        with pytest.raises(RunLocked, match=f"process {child.pid} on "), run.locked():
            pass
    finally:
        child.kill()
        child.wait()
    with run.locked():  # a killed holder leaves nothing behind
        assert run.is_held()


def test_a_new_run_is_frozen_whole_with_its_task(tmp_path: Path) -> None:
    run = new_run(tmp_path / "deep" / "runs")
    assert (run.task_folder / "baseline" / "train.py").is_file()
    assert Run(run.folder).settings.topic == "t" and list_runs(tmp_path / "deep" / "runs") == [
        run.folder
    ]


def test_a_run_inside_its_own_task_does_not_copy_itself(tmp_path: Path) -> None:
    task = tmp_path / "task"
    shutil.copytree(DIGITS, task)
    for _ in range(2):
        run = create_run(Settings(runs=task / "runs", topic="t"), task, {"task": "t"})
    assert not (run.task_folder / "runs").exists() and (run.task_folder / "task.toml").is_file()


def test_a_run_of_another_format_is_refused_with_the_version_to_use(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    manifest = run.folder / "run.toml"
    manifest.write_text(manifest.read_text().replace("format = 1", "format = 99"))
    with pytest.raises(BadInput, match="run format 99"):
        Run(run.folder)


@pytest.mark.parametrize("text", ["format = ", "format = 1\ncreated = 'x'"])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    run = new_run(tmp_path)
    (run.folder / "run.toml").write_text(text)
    with pytest.raises(RecordError, match=r"run\.toml"):
        Run(run.folder)


def test_a_run_is_found_by_a_part_of_its_name_that_is_not_ambiguous(tmp_path: Path) -> None:
    first, second = new_run(tmp_path), new_run(tmp_path)
    assert find_run(first.folder.name[-4:], tmp_path) == first.folder
    assert find_run(str(second.folder), tmp_path) == second.folder
    with pytest.raises(BadInput, match="several"):
        find_run("digits", tmp_path)
    with pytest.raises(BadInput, match="no run"):
        find_run("other", tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path):
    """A real file system of 200 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_said_in_one_line_and_loses_nothing(small_disk: Path) -> None:
    write(small_disk / "old.json", "kept")
    with pytest.raises(BadInput, match="No space left on device; free some space") as caught:
        write(small_disk / "new.json", "x" * 400_000)
    assert caught.value.exit_code == 2
    assert [path.name for path in small_disk.iterdir()] == ["old.json"]
    assert (small_disk / "old.json").read_text() == "kept"


def test_a_run_that_does_not_fit_on_the_disk_is_not_created(
    small_disk: Path, tmp_path: Path
) -> None:
    task = tmp_path / "task"
    task.mkdir()
    (task / "data.bin").write_bytes(b"0" * 500_000)
    with pytest.raises(BadInput):
        create_run(Settings(runs=small_disk, topic="t"), task, {"task": "t"})
    assert list(small_disk.iterdir()) == []
