"""Turns at a provider's server, for all runs and campaigns of this machine: no more calls a minute than it
allows, and none while it has asked one of them to wait.

One small file for each server says when the next call may be made. It is locked for as long as that
takes to read and write; a process that dies gives the lock back. Nothing has to run for this.
"""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

LONGEST = 600.0  # seconds: what says more is of a clock that was set back


def turns_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "autoresearch" / "turns"


class Turns:
    """Whose turn it is at the server `name` (a provider, or an address). `per_minute` None: no rate of
    ours, only the pauses that it asks for. Where no file can be written each process is on its own."""

    def __init__(self, name: str, per_minute: float | None, folder: Path | None = None) -> None:
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]  # an address may hold a password
        self._file, self._per_minute = (folder or turns_folder()) / digest, per_minute

    def wait(self) -> float:
        """Take the next turn, then wait until it has come; the seconds that took."""
        step = 60 / self._per_minute if self._per_minute else 0.0
        with self._held() as file:
            now, free = time.time(), _read(file)
            mine = free if now < free < now + LONGEST else now
            if step:
                _write(file, mine + step)
        time.sleep(mine - now)
        return mine - now

    def hold_off(self, seconds: float) -> None:
        """The server has asked for a pause: nobody asks it before that is over."""
        with self._held() as file:
            _write(file, max(_read(file), time.time() + min(seconds, LONGEST)))

    @contextlib.contextmanager
    def _held(self) -> Iterator[IO[str] | None]:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            file = self._file.open("a+")
        except OSError:
            yield None
            return
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file


def _read(file: IO[str] | None) -> float:
    """When the server is free again, in seconds since the epoch; 0 where nobody knows."""
    if file is None:
        return 0.0
    file.seek(0)
    try:
        return float(file.read(40) or 0)
    except ValueError:
        return 0.0


def _write(file: IO[str] | None, free: float) -> None:
    if file is None:
        return
    with contextlib.suppress(OSError):  # a full disk: others may then ask too early
        file.truncate(0)
        file.write(f"{free:.6f}")
        file.flush()
