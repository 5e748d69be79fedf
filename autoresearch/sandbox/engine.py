"""A Docker engine, spoken to in the words of its HTTP interface; the only door to the SDK.

Containers are described by the plain objects of the Engine API (`Image`, `Cmd`, `HostConfig`, ...).
Every failure of the engine is a SandboxError of one line; DOCKER_HOST chooses the engine.
"""

import contextlib
import io
import os
import socket
import tarfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from autoresearch.errors import SandboxError

OWNER = "autoresearch.owner"  # label of what must not outlive the process that made it
PULL_SECONDS = 1800.0

_WITHOUT = (
    "or choose --sandbox local: no daemon, but the same kernel, and no namespaces of its own where "
    "bubblewrap is not installed"
)
_NO_GPU = (
    "Docker has no NVIDIA runtime: install nvidia-container-toolkit, run `nvidia-ctk runtime "
    "configure --runtime=docker` and restart Docker, or set gpus = 0 in the task"
)


class Engine:
    """One engine, safe to use from several threads. Making one pings it: SandboxError if it is away."""

    def __init__(self, seconds: float = 60.0) -> None:
        """`seconds` bounds the wait for any one answer of the engine."""
        import docker

        try:
            self._api: Any = docker.from_env(timeout=int(seconds), max_pool_size=64).api
            about = self._api.info()
        except (docker.errors.DockerException, OSError) as error:
            raise SandboxError(_explain_absence(str(error))) from None
        self.version = str(about["ServerVersion"]).partition("+")[0]
        self.runtime = str(about.get("DefaultRuntime", "runc"))
        self.cpus = int(about["NCPU"])
        _check_limits(about)

    def patient(self) -> "Engine":
        """The same engine with time for builds and downloads."""
        return Engine(seconds=PULL_SECONDS)

    # --- containers

    def create(self, config: Mapping[str, Any]) -> str:
        """Create a container and return its id."""
        with _errors("cannot create a container"):
            made: dict[str, Any] = self._api.create_container_from_config(dict(config))
            return str(made["Id"])

    def attach(self, container: str) -> socket.socket:
        """A socket with the container's standard input and multiplexed output (see `frames`).

        Attach before `start`, and shut it down before `kill`: an engine with an attached reader
        that has stopped reading waits for it on kill, inspect and remove.
        """
        with _errors("cannot attach to a container"):
            wanted = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            stream = self._api.attach_socket(container, params=wanted)
        connection = getattr(stream, "_sock", stream)
        if not isinstance(connection, socket.socket):
            raise SandboxError("DOCKER_HOST over ssh cannot be used: give the engine's own socket")
        return connection

    def start(self, container: str) -> None:
        with _errors("cannot start a container"):
            self._api.start(container)

    def state(self, container: str) -> dict[str, Any]:
        """`State` of the container: Running, ExitCode, OOMKilled, Error, ..."""
        with _errors("cannot inspect a container"):
            state: dict[str, Any] = self._api.inspect_container(container)["State"]
            return state

    def remove(self, container: str) -> None:
        """Kill and remove a container; one that is gone already is fine."""
        import docker

        with _errors("cannot remove a container"):
            try:
                self._api.remove_container(container, force=True, v=True)
            except docker.errors.APIError as error:
                if error.status_code not in (404, 409):  # 409: it is being removed already
                    raise

    def owned(self) -> dict[str, str]:
        """Every container that has an owner label, running or not: its id and its owner."""
        with _errors("cannot list containers"):
            listed = self._api.containers(all=True, filters={"label": OWNER})
            owners = {entry["Id"]: str(entry["Labels"][OWNER]) for entry in listed}
        return {container: owner for container, owner in owners.items() if owner}

    def execute(
        self, container: str, command: list[str], log: IO[bytes], env: Mapping[str, str]
    ) -> int:
        """Run a command as root in a running container, its output into `log`; its exit code."""
        with _errors("cannot run a command in a container"):
            made = self._api.exec_create(container, command, user="0:0", environment=dict(env))
            for chunk in self._api.exec_start(made["Id"], stream=True):
                log.write(chunk)
            # The output may end a little before the engine knows how the command ended.
            while (code := self._api.exec_inspect(made["Id"])["ExitCode"]) is None:
                time.sleep(0.01)
            return int(code)

    # --- images

    def labels(self, image: str) -> dict[str, str] | None:
        """The labels of an image, None when the engine does not have it."""
        found = self._find(image)
        return None if found is None else dict(found["Config"].get("Labels") or {})

    def variables(self, image: str) -> dict[str, str]:
        """The environment that an image sets."""
        found = self._find(image)
        if found is None:
            raise SandboxError(f"the image {image} is gone: run again to build it")
        return dict(each.split("=", 1) for each in found["Config"].get("Env") or ())

    def image(self, name: str) -> str:
        """The id of an image, which is pulled when the engine does not have it."""
        found = self._find(name)
        if found is None:
            self._pull(name)
            found = self._find(name)
        if found is None:
            raise SandboxError(_no_image(name, "it was pulled and is not there"))
        return str(found["Id"])

    def build(self, files: Mapping[str, bytes], arguments: Mapping[str, str], log: Path) -> str:
        """Build the `Dockerfile` among `files` (the whole context) and return the image's id.

        "" when it does not build: `log` then says why. The classic builder: every engine has it.
        """
        image = ""
        options = {"rm": True, "forcerm": True, "decode": True, "custom_context": True}
        with _errors("cannot build an image"), log.open("ab") as out:
            for event in self._api.build(fileobj=_tar(files), buildargs=dict(arguments), **options):
                out.write(event.get("stream", event.get("error", "")).encode())
                image = "" if "error" in event else event.get("aux", {}).get("ID", image)
        return image

    def commit(self, container: str, tag: str, config: Mapping[str, Any]) -> None:
        """Keep a container's files as the image `tag`, with `config` merged over its own."""
        repository, _, version = tag.partition(":")
        with _errors("cannot keep an image"):
            self._api.commit(container, repository, version, conf=dict(config))

    def _find(self, image: str) -> dict[str, Any] | None:
        import docker

        with _errors("cannot inspect an image"):
            try:
                found: dict[str, Any] = self._api.inspect_image(image)
                return found
            except docker.errors.NotFound:
                return None

    def _pull(self, name: str) -> None:
        import docker

        deadline = time.monotonic() + PULL_SECONDS
        try:
            for event in self.patient()._api.pull(name, stream=True, decode=True):
                if "error" in event:
                    raise SandboxError(_no_image(name, event["error"]))
                if time.monotonic() > deadline:
                    raise SandboxError(
                        _no_image(name, f"the download took over {PULL_SECONDS:.0f} s")
                    )
        except docker.errors.APIError as error:
            raise SandboxError(_no_image(name, error.explanation or str(error))) from None
        except OSError as error:
            raise SandboxError(_no_image(name, str(error))) from None


def frames(connection: socket.socket, deadline: float) -> Iterator[tuple[int, bytes]]:
    """(1 or 2 for stdout or stderr, bytes) as they come, until the engine ends the stream.

    Raises TimeoutError when `deadline` (as of `time.monotonic`) has passed.
    """
    buffer = bytearray()
    while True:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        piece = connection.recv(2**16)
        if not piece:
            return
        buffer += piece
        while len(buffer) >= 8:
            length = int.from_bytes(buffer[4:8], "big")
            if len(buffer) < 8 + length:
                break
            yield buffer[0], bytes(buffer[8 : 8 + length])
            del buffer[: 8 + length]


def _tar(files: Mapping[str, bytes]) -> IO[bytes]:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    stream.seek(0)
    return stream


# --- saying what is wrong -----------------------------------------------------------------------


def _check_limits(about: Mapping[str, Any]) -> None:
    """SandboxError for an engine that would take a limit and not keep it, as rootless ones may."""
    lacking = [name for name in ("MemoryLimit", "PidsLimit", "CpuCfsQuota") if not about.get(name)]
    if not any("seccomp" in option for option in about.get("SecurityOptions") or ()):
        lacking.append("seccomp")
    if lacking:
        raise SandboxError(
            f"this Docker engine cannot keep to {', '.join(lacking)} (see `docker info`): a rootless "
            f"one needs cgroup v2 with delegation; mend that, {_WITHOUT}"
        )


@contextlib.contextmanager
def _errors(doing: str) -> Iterator[None]:
    """Turn every failure of the engine or of the way to it into a SandboxError."""
    import docker
    import urllib3

    try:
        yield
    except docker.errors.APIError as error:
        raise SandboxError(_explain_refusal(doing, error.explanation or str(error))) from None
    except (docker.errors.DockerException, OSError, urllib3.exceptions.HTTPError) as error:
        reason = _shorten(str(error))
        raise SandboxError(f"Docker: {doing}: {reason}; is the engine still running?") from None


def _explain_refusal(doing: str, reason: str) -> str:
    gpu = ("could not select device driver", "runtime specified nvidia", "nvidia-container")
    if any(sign in reason for sign in gpu):
        return _NO_GPU
    if "nknown runtime specified" in reason or "nknown or invalid runtime" in reason:
        return f"Docker: {_shorten(reason)}; register it with the engine or unset sandbox.runtime"
    if "bind source path does not exist" in reason:
        return (
            f"Docker: {_shorten(reason)}: the engine must share this machine's files "
            "(DOCKER_HOST names another machine, or the engine's virtual machine does not share them)"
        )
    return f"Docker: {doing}: {_shorten(reason)}"


def _explain_absence(reason: str) -> str:
    where = f" at {os.environ['DOCKER_HOST']}" if os.environ.get("DOCKER_HOST") else ""
    if "Permission denied" in reason or "PermissionError" in reason:
        return (
            f"the Docker engine{where} may not be used by this user: add the user to the docker "
            f"group and log in again, {_WITHOUT}"
        )
    if "FileNotFoundError" in reason or "Connection refused" in reason:
        return (
            f"no Docker engine answers{where}: install and start one (Debian: apt-get install "
            f"docker.io), {_WITHOUT}"
        )
    return f"no Docker engine answers{where} ({_shorten(reason)}): start it, {_WITHOUT}"


def _no_image(name: str, reason: str) -> str:
    return (
        f"the image {name} is not here and cannot be pulled ({_shorten(reason)}): name one that is "
        "with --set sandbox.image=NAME, or choose --sandbox local"
    )


def _shorten(message: str) -> str:
    """One line of an engine's message."""
    return " ".join(message.split())[:300]
