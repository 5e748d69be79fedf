"""The Docker backend: a fresh hardened container for every experiment.

The supervisor is the container's first process and the experiment its child, as an unprivileged user
without capabilities, network or anything writable but file systems in memory of bounded size. What
is written to them counts as memory. The container's standard input is held open by this process:
when it ends, however it ends, the experiment ends.

The experiment runs as the user who runs this, or as nobody (65534) when that is root; its inputs
must then be readable by everybody, which is checked and never mended here.
"""

import contextlib
import functools
import hashlib
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from autoresearch.config import SandboxSettings
from autoresearch.errors import SandboxError
from autoresearch.records import Ended, Execution, Limits
from autoresearch.sandbox import (
    Environment,
    Job,
    Note,
    Watch,
    say_nothing,
    show_nothing,
)
from autoresearch.sandbox.ahead import Pool, Shape, Started, exact_shape, start
from autoresearch.sandbox.containers import OUT, bounds, device_requests, hardening, variables
from autoresearch.sandbox.engine import OWNER, Engine, frames
from autoresearch.sandbox.gpus import Gpu, enough_gpus
from autoresearch.sandbox.images import PREFIX, docker_environment
from autoresearch.sandbox.leases import lease
from autoresearch.sandbox.protocol import STOP, Reply, Request, with_files
from autoresearch.sandbox.results import collect_tar
from autoresearch.sandbox.scratch import (
    check_readable,
    current_owner,
    has_ended,
    remove_abandoned,
)
from autoresearch.sandbox.shelf import Shelf, cache_folder
from autoresearch.sandbox.syscalls import docker_profile

NOBODY = 65534
PROGRAM = "/autoresearch"  # the supervisor's folder inside
_PROGRAM = Path(__file__).parent  # and here
MARGIN = 120.0  # seconds for the supervisor to start and to end the experiment
HAND_OVER = 20e6  # bytes per second that it hands over at least


class Docker:
    """The engine that DOCKER_HOST names, or this machine's own.

    `ahead` is how many containers of a kind are kept started for the next jobs, until `close`. `note`
    is told once of each wait for GPUs; `watch` shows an environment's log while it is built. Raises
    SandboxError when no engine answers. What ended processes left in it is removed first.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        ahead: int = 0,
        note: Note = say_nothing,
        watch: Watch = show_nothing,
    ) -> None:
        self._settings, self._note, self._shelf = settings, note, Shelf(settings, watch)
        self._said: set[str] = set()
        self._engine = Engine()
        self._user = (os.geteuid(), os.getegid()) if os.geteuid() else (NOBODY, NOBODY)
        self._check_readable(*_PROGRAM.glob("*.py"))
        self._owner = current_owner()
        self._profile = docker_profile()
        engine = "docker podman" if self._engine.podman else "docker"
        self.name = f"{engine} {self._engine.version} ({settings.runtime or self._engine.runtime})"
        for container, owner in self._engine.owned().items():
            if has_ended(owner):
                self._engine.remove(container)
        remove_abandoned()
        self._pool = Pool(functools.partial(self._start, ()), ahead) if ahead else None

    def close(self) -> None:
        """Remove the containers that were started ahead and not used."""
        if self._pool:
            self._pool.close()

    def ensure_image(self) -> None:
        """Pull the image that environments are built from unless it is here. Raises SandboxError."""
        self._engine.image(self._settings.image)

    def check(self, limits: Limits) -> None:
        if limits.gpus:
            enough_gpus(limits.gpus)

    def environment(self, folder: Path) -> Environment:
        return docker_environment(self._engine, folder, self._shelf, self._owner)

    def run(self, job: Job) -> Execution:
        self._check_readable(*job.inputs.values())
        try:
            return self._run(job)
        except OSError as error:
            raise SandboxError(f"{job.outputs}: results cannot be kept: {error}") from None

    def _run(self, job: Job) -> Execution:
        with contextlib.ExitStack() as held:
            archive = held.enter_context(tempfile.TemporaryFile(buffering=0))
            started = held.enter_context(self._take(job))
            execution = self._converse(started, job, archive)
            if archive.tell() == 0:
                return execution
            return with_files(execution, lambda: collect_tar(archive, job.outputs, job.limits))

    def _leased(self, job: Job) -> contextlib.AbstractContextManager[tuple[Gpu, ...]]:
        """The GPUs of a job. A probe computes nothing on them, so it takes any and waits for none."""
        count = job.limits.gpus
        gpus = enough_gpus(count)
        if job.purpose == "probe":
            return contextlib.nullcontext(gpus[:count])
        return lease(gpus, count, cache_folder(self._settings) / "gpus", self._say_once)

    def _seccomp(self) -> str:
        """The system call filter as the engine takes it: Podman reads a file, Docker the text."""
        if not self._engine.podman:
            return self._profile
        file = (
            cache_folder(self._settings).resolve()
            / f"seccomp-{hashlib.sha256(self._profile.encode()).hexdigest()[:16]}.json"
        )
        if not file.exists():
            aside = file.with_name(f"{file.name}-{os.getpid()}-{threading.get_ident()}")
            aside.parent.mkdir(parents=True, exist_ok=True)
            aside.write_text(self._profile)
            aside.replace(file)
        return str(file)

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._note(text)

    def _check_readable(self, *folders: Path) -> None:
        if self._user[0] == NOBODY:
            for folder in filter(Path.exists, folders):  # the engine says which are missing
                check_readable(folder)

    @contextlib.contextmanager
    def _take(self, job: Job) -> Iterator[Started]:
        """A container whose supervisor waits for the job's request; removed in the end."""
        alike = job.purpose in ("experiment", "scorer") and not job.limits.gpus
        with contextlib.ExitStack() as held:
            gpus = held.enter_context(self._leased(job)) if job.limits.gpus else ()
            if self._pool and alike:
                started = self._pool.take(job)
            else:
                started = start(exact_shape(job), functools.partial(self._start, gpus))
            held.enter_context(started.held)
            yield started

    def _start(
        self,
        gpus: tuple[Gpu, ...],
        shape: Shape,
        folders: Mapping[str, Path],
        held: contextlib.ExitStack,
    ) -> tuple[str, socket.socket]:
        inputs = {name: path or folders[name] for name, path in shape.inputs}
        container = self._engine.create(self._describe(shape, inputs, gpus))
        held.callback(self._engine.remove, container)
        connection = self._engine.attach(container)
        held.callback(_hang_up, connection)
        self._engine.start(container)
        return container, connection

    def _describe(
        self, shape: Shape, inputs: Mapping[str, Path], gpus: tuple[Gpu, ...]
    ) -> dict[str, Any]:
        """A container, in the words of the Engine API."""
        limits = shape.limits
        sources = {PROGRAM: _PROGRAM} | {f"/{name}": path for name, path in inputs.items()}
        return {
            "Image": shape.image,
            "Entrypoint": [f"{PREFIX}/bin/python", "-I", "-S", f"{PROGRAM}/supervisor.py"],
            "Cmd": [],
            "User": "{}:{}".format(*self._user),
            "Hostname": "sandbox",
            "WorkingDir": "/",
            "StopSignal": "SIGKILL",
            "OpenStdin": True,
            "StdinOnce": True,  # the end of this process's connection is the end of its input
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "Labels": {OWNER: self._owner},
            "HostConfig": {
                **hardening(self._seccomp()),
                **bounds(limits, min(limits.cpus, self._engine.cpus), self._engine.podman),
                **({"Runtime": self._settings.runtime} if self._settings.runtime else {}),
                "DeviceRequests": device_requests(gpus),
                "Mounts": [
                    {"Type": "bind", "Source": str(source.resolve()), "Target": target}
                    | {"ReadOnly": True}
                    for target, source in sources.items()
                ],
            },
        }

    def _converse(self, started: Started, job: Job, archive: IO[bytes]) -> Execution:
        """Give a container its request and read until its status has come."""
        request = Request(
            command=job.command,
            cwd="/work" if "work" in job.inputs else "/tmp",
            environment=self._engine.variables(job.environment.reference) | variables(job),
            limits=job.limits,
            rlimits={"fsize": job.limits.file, "core": 0},
            container={"out": OUT, "disk": job.limits.disk},
        )
        reply = Reply(request, archive, job.follow)
        began = time.monotonic()
        try:
            lost = _read(started.connection, reply)
        finally:
            _hang_up(started.connection)
        seconds = time.monotonic() - began
        if reply.status is not None:
            return reply.execution(self.name, seconds)
        state = self._engine.state(started.container)
        execution = reply.execution(self.name, seconds, lost or state.get("Error") or "")
        if not state["OOMKilled"]:
            return execution
        reason = "killed: out of memory, and its supervisor with it"
        return execution.model_copy(update={"ended": Ended.memory, "reason": reason})


# --- what comes back ----------------------------------------------------------------------------


def _hang_up(connection: socket.socket) -> None:
    """Before anything is asked of the engine, which waits for a reader that has stopped."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def _read(connection: socket.socket, reply: Reply) -> str:
    """Feed `reply` until it has the status; else what is known of why there is none."""
    limits, complaint = reply.request.limits, bytearray()
    deadline = time.monotonic() + limits.timeout + MARGIN + limits.disk / HAND_OVER
    try:
        connection.settimeout(MARGIN)
        connection.sendall(reply.request.line())
        for kind, data in frames(connection, deadline):
            if kind == 1 and not reply.feed(data):
                return "it did not keep to the protocol"
            if reply.wants_stop():
                with contextlib.suppress(ConnectionError):  # it has just ended by itself
                    connection.sendall(STOP)
            if kind == 2:
                complaint += data[: max(0, 2000 - len(complaint))]
    except TimeoutError:
        return "its supervisor did not answer in time"
    except ConnectionError:
        pass  # the engine is asked next, and says what is wrong with it
    return " ".join(complaint.decode(errors="replace").split())[-300:]
