"""What goes wrong with a Docker engine, each as one line that says what to do."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from autoresearch.errors import BadInput, SandboxError

_WITHOUT = (
    "or choose --sandbox local: no daemon, but the same kernel, and no namespaces of its own where "
    "bubblewrap is not installed"
)
_GPU_SIGNS = (
    "could not select device driver",
    "runtime specified nvidia",
    "nvidia-container",
    "unresolvable CDI devices",
)
_NO_GPU = (
    "Docker has no NVIDIA runtime: install nvidia-container-toolkit, run `nvidia-ctk runtime "
    "configure --runtime=docker` and restart Docker, or set gpus = 0 in the task"
)


def check_limits(about: Mapping[str, Any]) -> None:
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
def engine_errors(doing: str) -> Iterator[None]:
    """Turn every failure of the engine or of the way to it into a SandboxError."""
    import docker
    import urllib3

    try:
        yield
    except docker.errors.APIError as error:
        reason = error.explanation or str(error)
        if any(sign in reason for sign in _GPU_SIGNS):
            raise BadInput(_NO_GPU) from None
        raise SandboxError(_explain_refusal(doing, reason)) from None
    except (docker.errors.DockerException, OSError, urllib3.exceptions.HTTPError) as error:
        reason = _shorten(str(error))
        raise SandboxError(f"Docker: {doing}: {reason}; is the engine still running?") from None


def _explain_refusal(doing: str, reason: str) -> str:
    if "nknown runtime specified" in reason or "nknown or invalid runtime" in reason:
        return f"Docker: {_shorten(reason)}; register it with the engine or unset sandbox.runtime"
    if "bind source path does not exist" in reason:
        return (
            f"Docker: {_shorten(reason)}: the engine must share this machine's files "
            "(DOCKER_HOST names another machine, or the engine's virtual machine does not share them)"
        )
    return f"Docker: {doing}: {_shorten(reason)}"


def explain_absence(reason: str) -> str:
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


def no_image(name: str, reason: str) -> str:
    return (
        f"the image {name} is not here and cannot be pulled ({_shorten(reason)}): name one that is "
        "with --set sandbox.image=NAME, or choose --sandbox local"
    )


def _shorten(message: str) -> str:
    """One line of an engine's message."""
    return " ".join(message.split())[:300]
