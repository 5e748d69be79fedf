"""A Docker engine, spoken to in the words of its HTTP interface; the only door to the SDK.

Containers are described by the plain objects of the Engine API (`Image`, `Cmd`, `HostConfig`, ...).
Every failure of the engine is a SandboxError of one line; DOCKER_HOST chooses the engine.
"""

import io
import os
import socket
import tarfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from autoresearch.errors import SandboxError
from autoresearch.sandbox.refusals import (
    check_limits,
    engine_errors,
    explain_absence,
    no_image,
)

OWNER = "autoresearch.owner"  # label of what must not outlive the process that made it
PULL_SECONDS = 1800.0

_REMOVALS = 20  # tries


class Engine:
    """One engine, safe to use from several threads. Making one pings it: SandboxError if it is away."""

    def __init__(self, seconds: float = 60.0) -> None:
        """`seconds` bounds the wait for any one answer of the engine."""
        import docker

        try:
            self._api: Any = docker.from_env(timeout=int(seconds), max_pool_size=64).api
            about = self._api.info()
        except (docker.errors.DockerException, OSError) as error:
            raise SandboxError(explain_absence(str(error))) from None
        self.about: Mapping[str, Any] = about  # what `docker info` prints
        self.version = str(about["ServerVersion"]).partition("+")[0]
        self.runtime = str(about.get("DefaultRuntime", "runc"))
        self.podman = "BuildahVersion" in about  # which answers as Docker does, nearly

        self.cpus = int(about["NCPU"])
        self.rootless = "name=rootless" in (about.get("SecurityOptions") or ())
        check_limits(about)

    def patient(self) -> "Engine":
        """The same engine with time for builds and downloads."""
        return Engine(seconds=PULL_SECONDS)

    # --- containers

    def create(self, config: Mapping[str, Any]) -> str:
        """Create a container and return its id."""
        with engine_errors("cannot create a container"):
            made: dict[str, Any] = self._api.create_container_from_config(dict(config))
            return str(made["Id"])

    def attach(self, container: str) -> socket.socket:
        """A socket with the container's standard input and multiplexed output (see `frames`).

        Attach before `start`, and shut it down before `kill`: an engine with an attached reader
        that has stopped reading waits for it on kill, inspect and remove.
        """
        with engine_errors("cannot attach to a container"):
            wanted = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            stream = self._api.attach_socket(container, params=wanted)
        connection = getattr(stream, "_sock", stream)
        if not isinstance(connection, socket.socket):
            raise SandboxError("DOCKER_HOST over ssh cannot be used: give the engine's own socket")
        return connection

    def start(self, container: str) -> None:
        with engine_errors("cannot start a container"):
            self._api.start(container)

    def state(self, container: str) -> dict[str, Any]:
        """`State` of the container: Running, ExitCode, OOMKilled, Error, ..."""
        with engine_errors("cannot inspect a container"):
            state: dict[str, Any] = self._api.inspect_container(container)["State"]
            return state

    def remove(self, container: str) -> None:
        """Kill and remove a container; one that is gone already is fine."""
        import docker

        with engine_errors("cannot remove a container"):
            for left in reversed(range(_REMOVALS)):
                try:
                    self._api.remove_container(container, force=True, v=True)
                    return
                except docker.errors.APIError as error:
                    if error.status_code in (404, 409):  # 409: it is being removed already
                        return
                    # Podman cannot stop what stops just now.
                    if left == 0 or not self.podman:
                        raise
                    time.sleep(0.1)

    def owned(self) -> dict[str, str]:
        """Every container that has an owner label, running or not: its id and its owner.

        Of an engine over the network none: whether an owner there lives cannot be seen from here.
        """
        if not os.environ.get("DOCKER_HOST", "unix:").startswith("unix:"):
            return {}
        with engine_errors("cannot list containers"):
            listed = self._api.containers(all=True, filters={"label": OWNER})
            owners = {entry["Id"]: str(entry["Labels"][OWNER]) for entry in listed}
        return {container: owner for container, owner in owners.items() if owner}

    def execute(
        self, container: str, command: list[str], log: IO[bytes], env: Mapping[str, str]
    ) -> int:
        """Run a command as root in a running container, its output into `log`; its exit code."""
        with engine_errors("cannot run a command in a container"):
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
            raise SandboxError(no_image(name, "it was pulled and is not there"))
        return str(found["Id"])

    def build(self, files: Mapping[str, bytes], arguments: Mapping[str, str], log: Path) -> str:
        """Build the `Dockerfile` among `files` (the whole context) and return the image's id.

        "" when it does not build: `log` then says why. The classic builder: every engine has it.
        """
        image = ""
        options = {"rm": True, "forcerm": True, "decode": True, "custom_context": True}
        with engine_errors("cannot build an image"), log.open("ab") as out:
            for event in self._api.build(fileobj=_tar(files), buildargs=dict(arguments), **options):
                out.write(event.get("stream", event.get("error", "")).encode())
                image = "" if "error" in event else event.get("aux", {}).get("ID", image)
        return image

    def commit(self, container: str, tag: str, config: Mapping[str, Any]) -> None:
        """Keep a container's files as the image `tag`, with `config` merged over its own."""
        repository, _, version = tag.partition(":")
        with engine_errors("cannot keep an image"):
            if not self.podman:
                self._api.commit(container, repository, version, conf=dict(config))
                return
            # Podman takes no configuration here, but keeps that of a container.
            files = self._api.commit(container)["Id"]
            configured = self.create({**config, "Image": files})
            try:
                self._api.commit(configured, repository, version)
            finally:
                self.remove(configured)

    def images(self, repository: str) -> dict[str, dict[str, Any]]:
        """The images of a repository by their tag, each with its Size, Created and Labels."""
        with engine_errors("cannot list images"):
            listed = self._api.images(repository)
        tags = ((str(tag), each) for each in listed for tag in each.get("RepoTags") or ())
        return {tag.rpartition(":")[2]: each for tag, each in tags}

    def size(self, image: str) -> int:
        """Its bytes, with those of the images below it; 0 for one that is not there."""
        found = self._find(image)
        return 0 if found is None else int(found["Size"])

    def remove_image(self, tag: str) -> bool:
        """Whether it is gone: one that a container uses stays."""
        import docker

        with engine_errors("cannot remove an image"):
            try:
                self._api.remove_image(tag)
            except docker.errors.APIError as error:
                if error.status_code != 409:
                    raise
                return False
        return True

    def _find(self, image: str) -> dict[str, Any] | None:
        import docker

        with engine_errors("cannot inspect an image"):
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
                    raise SandboxError(no_image(name, event["error"]))
                if time.monotonic() > deadline:
                    raise SandboxError(
                        no_image(name, f"the download took over {PULL_SECONDS:.0f} s")
                    )
        except docker.errors.APIError as error:
            raise SandboxError(no_image(name, error.explanation or str(error))) from None
        except OSError as error:
            raise SandboxError(no_image(name, str(error))) from None


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
