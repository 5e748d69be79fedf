"""Leases on GPUs and processors: a device is given to one experiment at a time, by whichever process
asks; processors too, as long as there are enough of them."""

import contextlib
import fcntl
import math
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from autoresearch.errors import SandboxError
from autoresearch.sandbox import Note
from autoresearch.sandbox.gpus import Gpu

BUSY = 2**30  # bytes of a GPU's memory: more than a driver keeps for itself

_POLL_SECONDS = 0.2
_LEVELS = 64  # experiments that share a processor, before chance decides


@contextlib.contextmanager
def lease(gpus: tuple[Gpu, ...], count: int, folder: Path, note: Note) -> Iterator[tuple[Gpu, ...]]:
    """Wait for `count` of the devices and hold them: one locked file in `folder` for each.

    There must be so many. The locks end with the process that holds them, and each file says whose
    it is. `note` is told once whom this waits for, and of leased devices that somebody else uses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SandboxError(f"{folder} cannot be made: {error.strerror}") from None
    waiting = False
    while True:
        with contextlib.ExitStack() as held:
            free, others = _try(gpus, count, folder, held)
            if len(free) == count:
                for gpu in free:
                    if gpu.used > BUSY:
                        note(_busy(gpu))
                yield free
                return
        # All or none: two experiments that each hold a part would wait for each other.
        if not waiting:
            note(_wait(count, len(gpus), others))
        waiting = True
        time.sleep(_POLL_SECONDS)


@contextlib.contextmanager
def processors(cpus: float, cache: Path) -> Iterator[tuple[int, ...]]:
    """Whole processors of those that this process may use: `cpus` rounded up, or all there are. Held
    as long as the experiment runs; never waits: when all are given away, the least used are shared."""
    count, folder = math.ceil(cpus), cache / "processors"
    usable = sorted(os.sched_getaffinity(0))
    if count >= len(usable):
        yield tuple(usable)
        return
    with contextlib.ExitStack() as held:
        yield tuple(sorted(_least_used(usable, count, folder, held)))


def _least_used(
    usable: list[int], count: int, folder: Path, held: contextlib.ExitStack
) -> list[int]:
    """One file to lock for each processor and level; the first level that is free counts."""
    chosen: list[int] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for level in range(_LEVELS):
            for number in usable:
                if number not in chosen and _try_lock(
                    held.enter_context(_open(folder, f"{number}-{level}"))
                ):
                    chosen.append(number)
                if len(chosen) == count:
                    return chosen
    except OSError:
        pass  # no place for locks: experiments may then share where they need not
    return random.sample(usable, count)


def _try(
    gpus: tuple[Gpu, ...], count: int, folder: Path, held: contextlib.ExitStack
) -> tuple[tuple[Gpu, ...], list[str]]:
    """The devices that could be locked, `count` at most, and who holds the rest."""
    free: list[Gpu] = []
    others: list[str] = []
    for gpu in gpus:
        if len(free) == count:
            break
        file = held.enter_context(_open(folder, gpu.identifier))
        if _try_lock(file):
            free.append(gpu)
            _sign(file)
        else:
            others.append(file.read(200).strip() or "another process")
    return tuple(free), others


def _open(folder: Path, name: str) -> IO[str]:
    file = (folder / f"{name.replace('/', '-')}.lock").open("a+")
    file.seek(0)
    return file


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(file: IO[str]) -> None:
    file.truncate(0)
    file.write(f"process {os.getpid()}\n")
    file.flush()


def _wait(count: int, there: int, others: list[str]) -> str:
    own = f"process {os.getpid()}"
    holders = ["this run" if each == own else each for each in dict.fromkeys(others)]
    return f"an experiment waits for {count} of {there} GPUs; {len(others)} held by {', '.join(holders)}"


def _busy(gpu: Gpu) -> str:
    return (
        f"{gpu.identifier} ({gpu.name}) has {gpu.used / 2**30:.1f} GiB in use by somebody else: "
        "experiments on it may be slow or run out of its memory"
    )
