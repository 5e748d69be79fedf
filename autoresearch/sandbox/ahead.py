"""Containers that are started before their job is known: used once like any other, without the wait.

A container can be started without its command, its variables and its small inputs: these come when it
is needed, the inputs as copies in folders of the host that are mounted empty. So a pool only moves the
start to a time when nobody waits for it; no two jobs ever share a container.
"""

import contextlib
import select
import shutil
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from autoresearch.errors import SandboxError
from autoresearch.records import Limits
from autoresearch.sandbox import Job
from autoresearch.sandbox.scratch import scratch_folder

SMALL = 2**24  # bytes of an input that is copied rather than mounted where it is
FEW = 1000  # files and folders of one


@dataclass(frozen=True)
class Shape:
    """What has to be known of a job to start its container. `inputs` are its host folders by name, None
    where a copy comes later."""

    image: str
    limits: Limits
    inputs: tuple[tuple[str, Path | None], ...]


@dataclass(frozen=True)
class Started:
    """A container whose supervisor waits for its request; closing `held` removes all of it."""

    container: str
    connection: socket.socket
    folders: Mapping[str, Path]  # the empty folders of the inputs that are copied
    held: contextlib.ExitStack


Start = Callable[[Shape, Mapping[str, Path], contextlib.ExitStack], tuple[str, socket.socket]]


def exact_shape(job: Job) -> Shape:
    """The shape of a job whose inputs are all mounted where they are."""
    inputs = tuple((name, path.resolve()) for name, path in job.inputs.items())
    return Shape(job.environment.reference, job.limits, inputs)


def start(shape: Shape, begin: Start) -> Started:
    """Start a container of this shape. Raises SandboxError."""
    with contextlib.ExitStack() as held:
        empty = [name for name, path in shape.inputs if path is None]
        folders = {}
        if empty:
            place = held.enter_context(scratch_folder(empty))
            folders = {name: place / name for name in empty}
        container, connection = begin(shape, folders, held)
        return Started(container, connection, folders, held.pop_all())


class Pool:
    """Keeps `most` containers started for each of the shapes that were asked for last.

    Safe to use from several threads. `close` removes those that were not used.
    """

    SHAPES = 3  # experiments, scorers, and one that changes

    def __init__(self, begin: Start, most: int) -> None:
        self._begin, self._most = begin, most
        self._lock = threading.Lock()
        self._waiting: dict[
            Shape, deque[Future[Started]]
        ] = {}  # the last one asked for is the last
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="containers")

    def take(self, job: Job) -> Started:
        """A container for the job, with its inputs in it. Raises SandboxError."""
        shape = _shape(job)
        with self._lock:
            waiting = self._waiting.pop(shape, deque())
            self._waiting[shape] = waiting
            ready = waiting.popleft() if waiting else None
            unused = [self._waiting.pop(old) for old in list(self._waiting)[: -self.SHAPES]]
            while len(waiting) < self._most:
                waiting.append(self._starter.submit(start, shape, self._begin))
        for future in (future for each in unused for future in each):
            _discard(future)
        started = _result(ready) if ready else None
        if started and select.select([started.connection], [], [], 0)[0]:
            started.held.close()  # it has ended, or complained: the engine may have been restarted
            started = None
        started = started or start(shape, self._begin)
        try:
            for name, folder in started.folders.items():
                shutil.copytree(job.inputs[name], folder, symlinks=True, dirs_exist_ok=True)
        except (OSError, shutil.Error) as error:
            started.held.close()
            raise SandboxError(f"{name}: cannot be copied for its sandbox: {error}") from None
        return started

    def close(self) -> None:
        with self._lock:
            waiting = [future for each in self._waiting.values() for future in each]
            self._waiting.clear()
        for future in waiting:
            _discard(future)
        self._starter.shutdown()


def _shape(job: Job) -> Shape:
    inputs = tuple(
        (name, None if _is_small(path) else path.resolve()) for name, path in job.inputs.items()
    )
    return Shape(job.environment.reference, job.limits, inputs)


def _is_small(folder: Path) -> bool:
    left, files = SMALL, FEW
    for path in folder.rglob("*"):
        left, files = left - path.lstat().st_size, files - 1
        if left < 0 or files < 0:
            return False
    return folder.is_dir()


def _result(future: Future[Started]) -> Started | None:
    """None where it could not be started: who asks for one now is told why."""
    try:
        return future.result()
    except SandboxError:
        return None


def _discard(future: Future[Started]) -> None:
    if not future.cancel() and (started := _result(future)):
        started.held.close()
