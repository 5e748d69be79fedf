"""A run directory: what is on disk is the state of the run.

A step is done when its file exists; files are written aside, synced and renamed, so a power cut loses
at most the step in flight, and running again is resuming.
"""

import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import socket
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, TypeVar

import tomli_w
from pydantic import ValidationError

from autoresearch.config import Settings
from autoresearch.errors import BadInput, RecordError, RunFailed, RunLocked
from autoresearch.records import Record

FORMAT = 1  # of a run directory; a change that old files do not follow gets a new number
T = TypeVar("T", bound=Record)


def write(path: Path, data: str) -> None:
    """Write a file so that it is either whole or not there, also after a power cut.

    Raises BadInput when the disk is full or the folder cannot be written.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("x") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except OSError:
            aside.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> BadInput:
    """The one line for a disk that is full or not ours to write."""
    remedy = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "mend that"
    return BadInput(f"cannot write {path}: {error.strerror}; {remedy}, then run or resume again")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path, record: type[T]) -> T:
    """Read one record. Raises RecordError naming the file and how to recover."""
    try:
        return record.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        problem = (
            str(error).splitlines()[-1] if isinstance(error, OSError) else first_problem(error)
        )
        raise RecordError(
            f"{path}: not a readable {record.__name__} ({problem}); "
            "delete that file and resume: only its step is done again"
        ) from None


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong with a record, as "field: what"."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]


class Desk:
    """A folder of the run where one worker works. `name` is its place in the run."""

    def __init__(self, folder: Path, name: str = "", stopping: threading.Event | None = None):
        self.folder = folder
        self.name = name
        self.stopping = stopping or threading.Event()

    def at(self, name: str) -> "Desk":
        """The desk in a folder below this one."""
        place = f"{self.name}/{name}" if self.name else name
        return Desk(self.folder / name, place, self.stopping)

    def where(self, name: str) -> str:
        """A step's place in the run: "round-00/0-label-smoothing/0-patch"."""
        return f"{self.name}/{name}" if self.name else name

    def step(self, name: str, record: type[T], make: Callable[[], T]) -> T:
        """The record in `name`.json, made first where it is not there yet."""
        path = self.folder / f"{name}.json"
        if path.exists():
            return read(path, record)
        if self.stopping.is_set():
            raise RunFailed("stopped because another part of the run failed; resume goes on here")
        made = make()
        write(path, made.model_dump_json(indent=1))
        return made


class Run:
    """An open run directory: its frozen configuration, and the lock that keeps others out."""

    def __init__(self, folder: Path):
        """Raises BadInput where there is no run, or one of another format."""
        self.folder = folder.resolve()
        self.desk = Desk(self.folder)
        manifest = self.folder / "run.toml"
        if not manifest.is_file():
            raise BadInput(
                f"{folder} is not a run directory (no run.toml); see `autoresearch list`"
            )
        try:
            self.manifest: dict[str, Any] = tomllib.loads(manifest.read_text())
            found = self.manifest.get("format")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RecordError(f"{manifest}: {error}; restore it from a copy of the run") from None
        if found != FORMAT:
            raise BadInput(
                f"{folder} has run format {found}, this version reads {FORMAT}: "
                f"use autoresearch {self.manifest.get('version', 'of that time')}"
            )
        try:
            self.settings = Settings.model_validate(self.manifest["settings"])
        except (ValidationError, KeyError) as error:
            raise RecordError(
                f"{manifest}: settings: {str(error).splitlines()[-1].strip()}"
            ) from None

    @property
    def task_folder(self) -> Path:
        return self.folder / "task"

    @property
    def task_name(self) -> str:
        return str(self.manifest["task"])

    @property
    def created(self) -> str:
        return str(self.manifest["created"])

    def note(self, text: str) -> None:
        """Tell the user something that is not a result; shown live and kept in notes.jsonl."""
        line = json.dumps({"at": _now(), "note": text}) + "\n"
        with (self.folder / "notes.jsonl").open("a") as file:
            file.write(line)

    def notes(self) -> list[str]:
        path = self.folder / "notes.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [str(json.loads(line)["note"]) for line in lines if _is_whole(line)]

    def is_held(self) -> bool:
        """Whether some process is working in this run now."""
        path = self.folder / "lock"
        if not path.exists():
            return False
        with path.open() as file:
            return not _take(file, fcntl.LOCK_SH)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process. Raises RunLocked naming the process that has it."""
        with (self.folder / "lock").open("a+") as file:
            if not _take(file, fcntl.LOCK_EX):
                file.seek(0)
                holder = file.read().strip() or "a process"
                raise RunLocked(
                    f"{self.folder} is being worked on by {holder}; wait for it or stop it"
                )
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}, since {_now()}\n")
            file.flush()
            yield


def _is_whole(line: str) -> bool:
    """Not one that a crash cut short."""
    try:
        return "note" in json.loads(line)
    except ValueError:
        return False


def _take(file: IO[str], kind: int) -> bool:
    """Take the lock; tried for a moment, since `is_held` in another process holds it briefly."""
    for _ in range(5):
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return True
        except OSError:
            time.sleep(0.02)
    return False


def create_run(
    settings: Settings,
    task_folder: Path,
    facts: Mapping[str, Any],
    files: Mapping[str, str] = MappingProxyType({}),
    fill: Callable[[Path], None] | None = None,
) -> Run:
    """Make a new run directory under `settings.runs`, whole or not at all.

    `facts` (the task's name, versions, prompt hashes, the sandbox as probed) go into run.toml beside
    the settings; `files` are texts to lie beside it, and `fill` adds what is no text.
    """
    now = _now()
    names = (f"{now[:10]}-{facts['task']}-{secrets.token_hex(2)}" for _ in iter(int, 1))
    name = next(each for each in names if not (settings.runs / each).exists())  # hundreds a day
    aside, folder = settings.runs / f".{name}", settings.runs / name
    manifest = {
        "format": FORMAT,
        "created": now,
        **facts,
        "settings": settings.model_dump(mode="json", exclude_none=True),
    }
    try:
        aside.mkdir(parents=True)
        try:
            shutil.copytree(task_folder, aside / "task", ignore=not_of_the_task(settings.runs))
            for text_name, text in files.items():
                write(aside / text_name, text)
            if fill is not None:
                fill(aside)
            write(aside / "run.toml", tomli_w.dumps(manifest))
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)  # nothing is there any more when all went well
    except shutil.Error as error:
        raise BadInput(f"cannot copy the task to {folder}: {error.args[0][0][2]}") from None
    except OSError as error:
        raise cannot_write(folder, error) from None
    return Run(folder)


def not_of_the_task(runs: Path) -> Callable[[str, list[str]], set[str]]:
    """What a copy of a task leaves out: also the runs themselves, where they lie inside of it."""
    usual = shutil.ignore_patterns("__pycache__", ".git")
    inside = runs.resolve()

    def left_out(folder: str, names: list[str]) -> set[str]:
        return usual(folder, names) | {n for n in names if (Path(folder) / n).resolve() == inside}

    return left_out


def find_run(name: str, runs: Path) -> Path:
    """The run given as a path, a name under `runs`, or an unambiguous part of one."""
    for folder in (Path(name), runs / name):
        if (folder / "run.toml").is_file():
            return folder
    matches = [path for path in list_runs(runs) if name in path.name]
    if len(matches) == 1:
        return matches[0]
    said = "several runs match" if matches else "no run"
    raise BadInput(f"{said} {name!r} under {runs}; `autoresearch list` shows what is there")


def list_runs(runs: Path) -> list[Path]:
    """All run directories under `runs`, oldest first."""
    found = [
        path.parent for path in runs.glob("*/run.toml") if not path.parent.name.startswith(".")
    ]
    return sorted(found, key=lambda folder: (folder / "run.toml").stat().st_mtime)


def digest(text: str | bytes) -> str:
    """A content hash, short enough to read."""
    data = text.encode() if isinstance(text, str) else text
    return hashlib.sha256(data).hexdigest()[:16]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
