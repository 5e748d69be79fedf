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
from pathlib import Path
from typing import IO, Any

from autoresearch.config import SandboxSettings
from autoresearch.errors import SandboxError
from autoresearch.records import Ended, Execution, Limits
from autoresearch.sandbox import Environment, Job
from autoresearch.sandbox.engine import OWNER, Engine, frames
from autoresearch.sandbox.environments import PREFIX, cache_folder, docker_environment
from autoresearch.sandbox.leases import lease, list_gpus
from autoresearch.sandbox.protocol import Reply, Request, with_files
from autoresearch.sandbox.results import collect_tar
from autoresearch.sandbox.scratch import check_readable, current_owner, has_ended
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

    Raises SandboxError when no engine answers. What ended processes left in it is removed first.
    """

    def __init__(self, settings: SandboxSettings) -> None:
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
            gpus: tuple[str, ...] = ()
            present = list_gpus() if job.limits.gpus else None
            if present is not None:
                locks = cache_folder(self._settings) / "gpus"
                gpus = held.enter_context(lease(present, job.limits.gpus, locks))
            container = self._engine.create(self._describe(job, gpus))
            held.callback(self._engine.remove, container)
            archive = held.enter_context(tempfile.TemporaryFile(buffering=0))
            execution = self._converse(container, job, archive)
            if archive.tell() == 0:
                return execution
            archive.seek(0)
            return with_files(execution, lambda: collect_tar(archive, job.outputs, job.limits))

    def _check_readable(self, *folders: Path) -> None:
        if self._user[0] == NOBODY:
            for folder in filter(Path.exists, folders):  # the engine says which are missing
                check_readable(folder)

    def _describe(self, job: Job, gpus: tuple[str, ...]) -> dict[str, Any]:
        """The container of a job, in the words of the Engine API."""
        limits = job.limits
        sources = {PROGRAM: _PROGRAM}
        sources |= {f"/{name}": folder for name, folder in job.inputs.items()}
        return {
            "Image": job.environment.reference,
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

    def _converse(self, container: str, job: Job, archive: IO[bytes]) -> Execution:
        """Start the container, give it its request and read until its status has come."""
        request = Request(
            command=job.command,
            cwd="/work" if "work" in job.inputs else "/tmp",
            environment=self._engine.variables(job.environment.reference) | _variables(job),
            limits=job.limits,
            rlimits={"fsize": job.limits.file, "core": 0},
            container={"out": OUT, "disk": job.limits.disk},
        )
        reply = Reply(request, archive)
        started = time.monotonic()
        connection = self._engine.attach(container)
        try:
            self._engine.start(container)
            lost = _read(connection, reply)
        finally:
            # Before anything is asked of the engine: it waits for a reader that has stopped.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        seconds = time.monotonic() - started
        if reply.status is not None:
            return reply.execution(self.name, seconds)
        state = self._engine.state(container)
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
        **job.variables,
    }


# --- what comes back ----------------------------------------------------------------------------


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
