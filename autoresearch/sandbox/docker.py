"""The Docker backend: a fresh hardened container for every experiment.

The supervisor is the container's first process and the experiment its child, as an unprivileged user
without capabilities, network or anything writable but file systems in memory of bounded size. What
is written to them counts as memory. The container's standard input is held open by this process:
when it ends, however it ends, the experiment ends.

The experiment runs as the user who runs this, or as nobody (65534) when that is root; its inputs
must then be readable by everybody, which is checked and never mended here.
"""

import contextlib
import math
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from autoresearch.config import SandboxSettings
from autoresearch.errors import SandboxError
from autoresearch.records import Ended, Execution, Limits
from autoresearch.sandbox import Environment, Job
from autoresearch.sandbox.ahead import Pool, Shape, Started, exact_shape, start
from autoresearch.sandbox.engine import OWNER, Engine, frames
from autoresearch.sandbox.environments import PREFIX, cache_folder, docker_environment
from autoresearch.sandbox.leases import lease, list_gpus
from autoresearch.sandbox.protocol import Reply, Request, with_files
from autoresearch.sandbox.results import collect_tar
from autoresearch.sandbox.scratch import (
    check_readable,
    current_owner,
    has_ended,
    remove_abandoned,
)
from autoresearch.sandbox.syscalls import docker_profile

NOBODY = 65534
PROGRAM = "/autoresearch"  # the supervisor's folder inside
_PROGRAM = Path(__file__).parent  # and here
OUT = "/out"
MARGIN = 120.0  # seconds for the supervisor to start and to end the experiment
HAND_OVER = 20e6  # bytes per second that it hands over at least
SUPERVISOR_MEMORY = 2**25  # bytes
SLACK = 2**20  # bytes that $OUT has beyond its limit, so that passing the limit can be seen


class Docker:
    """The engine that DOCKER_HOST names, or this machine's own.

    `ahead` is how many containers of a kind are kept started for the next jobs, until `close`. Raises
    SandboxError when no engine answers. What ended processes left in it is removed first.
    """

    def __init__(self, settings: SandboxSettings, ahead: int = 0) -> None:
        self._settings = settings
        self._engine = Engine()
        self._user = (os.geteuid(), os.getegid()) if os.geteuid() else (NOBODY, NOBODY)
        self._check_readable(*_PROGRAM.glob("*.py"))
        self._owner = current_owner()
        self._profile = docker_profile()
        self.name = f"docker {self._engine.version} ({settings.runtime or self._engine.runtime})"
        for container, owner in self._engine.owned().items():
            if has_ended(owner):
                self._engine.remove(container)
        remove_abandoned()
        self._pool = Pool(self._start, ahead) if ahead else None

    def close(self) -> None:
        """Remove the containers that were started ahead and not used."""
        if self._pool:
            self._pool.close()

    def ensure_image(self) -> None:
        """Pull the image that environments are built from unless it is here. Raises SandboxError."""
        self._engine.image(self._settings.image)

    def environment(self, folder: Path) -> Environment:
        return docker_environment(self._engine, folder, self._settings, self._owner)

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
            archive.seek(0)
            return with_files(execution, lambda: collect_tar(archive, job.outputs, job.limits))

    def _check_readable(self, *folders: Path) -> None:
        if self._user[0] == NOBODY:
            for folder in filter(Path.exists, folders):  # the engine says which are missing
                check_readable(folder)

    @contextlib.contextmanager
    def _take(self, job: Job) -> Iterator[Started]:
        """A container whose supervisor waits for the job's request; removed in the end."""
        alike = job.purpose in ("experiment", "scorer") and not job.limits.gpus
        if self._pool and alike:
            started = self._pool.take(job)
        else:
            started = start(exact_shape(job), self._start)
        with started.held:
            yield started

    def _start(
        self, shape: Shape, folders: Mapping[str, Path], held: contextlib.ExitStack
    ) -> tuple[str, socket.socket]:
        gpus: tuple[str, ...] = ()
        present = list_gpus() if shape.limits.gpus else None
        if present is not None:
            locks = cache_folder(self._settings) / "gpus"
            gpus = held.enter_context(lease(present, shape.limits.gpus, locks))
        inputs = {name: path or folders[name] for name, path in shape.inputs}
        container = self._engine.create(self._describe(shape, inputs, gpus))
        held.callback(self._engine.remove, container)
        connection = self._engine.attach(container)
        held.callback(_hang_up, connection)
        self._engine.start(container)
        return container, connection

    def _describe(
        self, shape: Shape, inputs: Mapping[str, Path], gpus: tuple[str, ...]
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
                **hardening(self._profile),
                **bounds(limits, min(limits.cpus, self._engine.cpus)),
                **({"Runtime": self._settings.runtime} if self._settings.runtime else {}),
                "DeviceRequests": device_requests(limits.gpus, gpus),
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
            environment=self._engine.variables(job.environment.reference) | _variables(job),
            limits=job.limits,
            rlimits={"fsize": job.limits.file, "core": 0},
            container={"out": OUT, "disk": job.limits.disk},
        )
        reply = Reply(request, archive)
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


# --- the container ------------------------------------------------------------------------------


def hardening(profile: str) -> dict[str, Any]:
    """What every container gets, whatever its job. `profile` is a seccomp profile as JSON text."""
    return {
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true", f"seccomp={profile}"],
        "IpcMode": "private",
        "LogConfig": {"Type": "none", "Config": {}},
        "Init": False,
    }


def bounds(limits: Limits, cpus: float) -> dict[str, Any]:
    """A job's limits. Swap counts as memory; `cpus` is no more than the engine has."""
    memory = limits.memory + SUPERVISOR_MEMORY
    # Programs do load code from temporary folders (compilers, torch), so these allow it.
    mounted = f"rw,exec,nosuid,nodev,mode=1777,nr_inodes=65536,size={limits.disk + SLACK}"
    return {
        "Memory": memory,
        "MemorySwap": memory,
        "ShmSize": memory // 2,
        "PidsLimit": limits.processes + 1,
        "NanoCpus": int(cpus * 1e9),
        "Tmpfs": {"/tmp": mounted, OUT: mounted},
        "Ulimits": [
            {"Name": "nofile", "Soft": 4096, "Hard": 4096},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
    }


def device_requests(count: int, identifiers: tuple[str, ...]) -> list[dict[str, Any]]:
    """The GPUs of a container, by their identifiers where this machine can list its GPUs.

    An engine's own count is no allocation: it gives every container the same first devices.
    """
    if count == 0:
        return []
    chosen = {"DeviceIDs": list(identifiers)} if identifiers else {"Count": count}
    return [{"Driver": "", "Capabilities": [["gpu", "compute", "utility"]], **chosen}]


def _variables(job: Job) -> dict[str, str]:
    # A container sees all processors of the machine, and may use a share of their time.
    threads = str(math.ceil(job.limits.cpus))
    numbers = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM", "RAYON")
    return {
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "USER": "sandbox",  # such a user need not exist
        "LANG": "C.UTF-8",
        "OUT": OUT,
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        **{f"{name}_NUM_THREADS": threads for name in numbers},
        **{name.upper(): f"/{name}" for name in job.inputs},
        **({"PYTHONPATH": "/witness"} if "witness" in job.inputs else {}),
        **job.variables,
    }


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
            if kind == 2:
                complaint += data[: max(0, 2000 - len(complaint))]
    except TimeoutError:
        return "its supervisor did not answer in time"
    except ConnectionError:
        pass  # the engine is asked next, and says what is wrong with it
    return " ".join(complaint.decode(errors="replace").split())[-300:]
