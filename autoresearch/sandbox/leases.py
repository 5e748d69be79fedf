"""Leases on GPUs and processors: a device is given to one experiment at a time, by whichever process
asks; processors too, as long as there are enough of them."""

import contextlib
import fcntl
import math
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from autoresearch.errors import SandboxError

_POLL_SECONDS = 0.2
_LEVELS = 64  # experiments that share a processor, before chance decides


def list_gpus() -> tuple[str, ...] | None:
    """Identifiers of the GPUs that may be used: CUDA_VISIBLE_DEVICES where set, else all there are.

    None when this machine cannot tell, for want of a driver.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = (name.strip() for name in visible.split(","))
        return tuple(name for name in names if name and not name.startswith("-"))
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = [program, "--query-gpu=uuid", "--format=csv,noheader"]
    listed = subprocess.run(query, capture_output=True, text=True, timeout=60)
    return tuple(listed.stdout.split()) if listed.returncode == 0 else None


@contextlib.contextmanager
def lease(identifiers: tuple[str, ...], count: int, folder: Path) -> Iterator[tuple[str, ...]]:
    """Wait for `count` of the devices and hold them: one locked file in `folder` for each.

    The locks end with the process that holds them. Raises SandboxError when there are too few.
    """
    if count > len(identifiers):
        raise SandboxError(
            f"the task wants {count} GPUs and this machine offers {len(identifiers)}: lower "
            "gpus in task.toml or widen CUDA_VISIBLE_DEVICES"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SandboxError(f"{folder} cannot be made: {error.strerror}") from None
    while True:
        with contextlib.ExitStack() as held:
            free: list[str] = []
            for name in identifiers:
                if len(free) < count and _try_lock(held.enter_context(_open(folder, name))):
                    free.append(name)
            if len(free) == count:
                yield tuple(free)
                return
        # All or none: two experiments that each hold a part would wait for each other.
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


def _open(folder: Path, name: str) -> IO[str]:
    return (folder / f"{name.replace('/', '-')}.lock").open("w")


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
