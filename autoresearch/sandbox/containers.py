"""What every container is made of, in the words of the Engine API."""

import math
from typing import Any

from autoresearch.records import Limits
from autoresearch.sandbox import Job
from autoresearch.sandbox.gpus import Gpu

OUT = "/out"
SUPERVISOR_MEMORY = 2**25  # bytes
SLACK = 2**20  # bytes that $OUT has beyond its limit, so that passing the limit can be seen


def hardening(profile: str) -> dict[str, Any]:
    """What every container gets, whatever its job. `profile` is a seccomp profile as `_seccomp` has it."""
    return {
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true", f"seccomp={profile}"],
        "IpcMode": "private",
        "LogConfig": {"Type": "none", "Config": {}},
        "Init": False,
    }


def bounds(limits: Limits, cpus: float, podman: bool = False) -> dict[str, Any]:
    """A job's limits. Swap counts as memory; `cpus` is no more than the engine has."""
    memory = limits.memory + SUPERVISOR_MEMORY
    # Programs do load code from temporary folders (compilers, torch), so these allow it.
    mounted = f"rw,exec,nosuid,nodev,mode=1777,size={limits.disk + SLACK}"
    folders = {"/tmp": mounted, OUT: mounted}
    if (
        podman
    ):  # it bounds no number of files (memory does), and mounts a /var/tmp that can be written
        folders["/var/tmp"] = "ro,nosuid,nodev,noexec,mode=755,size=65536"
    else:
        folders = {path: f"{options},nr_inodes=65536" for path, options in folders.items()}
    return {
        "Memory": memory,
        "MemorySwap": memory,
        "ShmSize": memory // 2,
        "PidsLimit": limits.processes + 1,
        "NanoCpus": int(cpus * 1e9),
        "Tmpfs": folders,
        "Ulimits": [
            {"Name": "nofile", "Soft": 4096, "Hard": 4096},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
    }


def device_requests(gpus: tuple[Gpu, ...]) -> list[dict[str, Any]]:
    """The GPUs of a container, by their identifiers.

    An engine's own count is no allocation: it gives every container the same first devices.
    """
    if not gpus:
        return []
    identifiers = [gpu.identifier for gpu in gpus]
    capabilities = [["gpu", "compute", "utility"]]
    return [{"Driver": "", "Capabilities": capabilities, "DeviceIDs": identifiers}]


def variables(job: Job) -> dict[str, str]:
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
