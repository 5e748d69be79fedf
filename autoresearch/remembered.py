"""Repairs that worked, kept beside the runs for later ones: one line of JSON each in `.repairs.jsonl`.

What a run left there is untrusted input to the next: bounded, without control characters, and shown to
models only as data. Lines that cannot be read are passed over; a run works from a copy of its own.
"""

import fcntl
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from autoresearch.records import Record

STORE, COPY = ".repairs.jsonl", "repairs.json"  # beside the runs, and in a run
LARGEST = 4 * 2**20  # bytes of the store: above it the older half goes
COPIED = 300  # repairs, the latest
MESSAGE, PLAN, DIFF = (
    500,
    800,
    2_000,
)  # characters; twice that is read, since placeholders may be longer


def plain(text: str) -> str:
    """Without control, invisible and direction-changing characters; lines stay lines."""
    return "".join(c for c in text if c in "\n\t" or c.isprintable())


_Plain = AfterValidator(plain)


class Repair(Record):
    """What made an attempt run that had failed. `name` is the trial's, `diff` the edits of the repair
    as removed and added lines."""

    version: Literal[1] = 1
    task: Annotated[str, StringConstraints(max_length=200), _Plain]
    name: Annotated[str, StringConstraints(max_length=200), _Plain]
    message: Annotated[str, StringConstraints(max_length=2 * MESSAGE), _Plain]
    fingerprint: Annotated[str, StringConstraints(min_length=1, max_length=2 * MESSAGE), _Plain]
    plan: Annotated[str, StringConstraints(max_length=2 * PLAN), _Plain]
    diff: Annotated[str, StringConstraints(min_length=1, max_length=2 * DIFF), _Plain]

    @property
    def key(self) -> tuple[str, str, str]:
        """The same for repairs that teach the same."""
        return self.task, self.fingerprint, self.diff


class Remembered(Record):
    """What a run took over from earlier ones when it started."""

    repairs: tuple[Repair, ...] = Field(default=(), max_length=COPIED)


def recall(runs: Path) -> Remembered:
    """The latest repairs kept beside the runs, each once and in an order of their own."""
    latest = {repair.key: repair for repair in _read(runs / STORE)}
    chosen = list(latest.values())[-COPIED:]
    return Remembered(repairs=tuple(sorted(chosen, key=lambda repair: repair.key)))


def keep(runs: Path, repairs: Iterable[Repair]) -> None:
    """Add what is not there yet. Safe for several processes at once; a crash costs at most what was being
    added. Raises OSError."""
    with (runs / f"{STORE}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = _read(runs / STORE)
        keys = {repair.key for repair in known}
        new = [repair for repair in repairs if repair.key not in keys]
        data = b"".join(repair.model_dump_json().encode() + b"\n" for repair in new)
        if not data:
            return
        size = (runs / STORE).stat().st_size if known else 0
        if known and size + len(data) <= LARGEST:
            _append(runs / STORE, data)
        else:
            _replace(runs / STORE, [*known, *new])


def _append(path: Path, data: bytes) -> None:
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        torn = file.read(1) != b"\n"
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + data if torn else data)
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, repairs: list[Repair]) -> None:
    """Write the store anew with the latest half of what it may hold: it is full, damaged or not there."""
    lines: list[bytes] = []
    left = LARGEST // 2
    for repair in reversed(repairs):
        line = repair.model_dump_json().encode() + b"\n"
        left -= len(line)
        if left >= 0:
            lines.append(line)
    aside = path.with_name(f"{path.name}.new")  # the lock is held: nobody else writes there
    aside.unlink(missing_ok=True)
    with aside.open("xb") as file:
        file.writelines(reversed(lines))
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def _read(path: Path) -> list[Repair]:
    """The repairs of a store that can be read; none of one that is no plain file."""
    found = []
    for line in _content(path).split(b"\n"):
        try:
            found.append(Repair.model_validate_json(line))
        except ValidationError:
            continue  # torn by a crash, damaged, or of another version
    return found


def _content(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return b""
    with open(descriptor, "rb") as file:
        return file.read(2 * LARGEST)
