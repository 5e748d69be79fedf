"""Experiments on this machine without a daemon: Landlock and seccomp, with bubblewrap's namespaces or not.

With bubblewrap the experiment sees /usr, its interpreter, its inputs and three file systems in memory;
it has a network, processes and users of its own. Without, the same supervisor and the same kernel
walls stand around a child of this process, and $OUT is a private folder that is watched.
"""

import contextlib
import math
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from autoresearch.config import SandboxSettings
from autoresearch.errors import BadInput, SandboxError
from autoresearch.records import Execution, Limits
from autoresearch.sandbox import Environment, Follow, Job, Watch, show_nothing
from autoresearch.sandbox.confine import closed_folder, landlock_version
from autoresearch.sandbox.host import check_landlock, experiment_user, find_bubblewrap
from autoresearch.sandbox.leases import processors
from autoresearch.sandbox.protocol import STOP, Reply, Request, with_files
from autoresearch.sandbox.results import collect, collect_tar
from autoresearch.sandbox.scratch import check_readable, remove_abandoned, scratch
from autoresearch.sandbox.shelf import Shelf, cache_folder
from autoresearch.sandbox.venvs import local_environment
from autoresearch.sandbox.view import (
    View,
    bubblewrap_view,
    check_inputs,
    compile_supervisor,
    plain_view,
)

MARGIN = 60.0  # seconds for the supervisor to start, to end everything and to hand over files
ENTRIES = 100_000  # files and folders that an experiment may have at a time


class _Here:
    _shelf: Shelf

    def check(self, limits: Limits) -> None:
        if limits.gpus:  # docs/decisions/0012-gpus.md
            raise BadInput(
                "the local sandbox hands out no GPUs: choose --sandbox docker, or set gpus = 0 in the "
                "task"
            )

    def environment(self, folder: Path) -> Environment:
        return local_environment(folder, self._shelf)

    def close(self) -> None:
        """Nothing is started ahead here."""


class Local(_Here):
    """Behind Landlock and seccomp; in namespaces of its own where bubblewrap is installed and works.

    `bubblewrap` True insists on it, False goes without, None takes it where it can be had. Raises
    SandboxError when the kernel cannot hold the wall that was chosen.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        bubblewrap: bool | None = None,
        watch: Watch = show_nothing,
    ) -> None:
        self._shelf = Shelf(settings, watch)
        self._bubblewrap = None if bubblewrap is False else find_bubblewrap(bool(bubblewrap))
        landlock = landlock_version()
        check_landlock(landlock, self._bubblewrap is not None)
        self.name = (
            f"local (bubblewrap, Landlock ABI {landlock}, seccomp)"
            if self._bubblewrap
            else f"local (Landlock ABI {landlock}, seccomp; no namespaces)"
        )
        compile_supervisor()
        remove_abandoned()

    def run(self, job: Job) -> Execution:
        self.check(job.limits)
        _check_job(job)
        user = experiment_user()
        if user is not None:
            for folder in job.inputs.values():
                check_readable(folder)
        with processors(job.limits.cpus, cache_folder(self._shelf.settings)) as chosen:
            return self._run(job, user, chosen)

    def _run(self, job: Job, user: int | None, chosen: Sequence[int]) -> Execution:
        if self._bubblewrap:
            return self._run_in_namespaces(job, user, self._bubblewrap, chosen)
        with scratch(user) as folder:
            view = plain_view(job, folder)
            seen = [*view.read, *view.write, *view.scratch]
            confine = {
                "reach": [path for path in seen if user is not None and closed_folder(path)],
                "uid": user,
                "namespaces": False,
                **view.rules(),
            }
            return _run_in_folder(self.name, job, view, folder, confine=confine, processors=chosen)

    def _run_in_namespaces(
        self, job: Job, user: int | None, program: str, chosen: Sequence[int]
    ) -> Execution:
        view = bubblewrap_view(job, program, as_root=user is not None)
        confine = {"reach": [], "uid": user, "namespaces": True, **view.rules()}
        walls = {"processors": chosen, "confine": confine}
        disk = {"folders": view.write + view.scratch, "bytes": None, "entries": ENTRIES}
        out = {"out": view.variables["OUT"], "disk": job.limits.disk}
        request = _request(job, view, disk=disk, container=out, **walls)
        with tempfile.TemporaryFile(buffering=0) as archive:
            execution = view.neutral(
                _converse(self.name, view.arguments, request, archive, job.follow)
            )
            if archive.tell() == 0:
                return execution
            return with_files(execution, lambda: collect_tar(archive, job.outputs, job.limits))


class Plain(_Here):
    """A plain process with resource limits, for people who trust what they run. Not a sandbox."""

    name = "none (NOT a sandbox: a plain process with resource limits)"

    def __init__(self, settings: SandboxSettings, watch: Watch = show_nothing) -> None:
        self._shelf = Shelf(settings, watch)
        compile_supervisor()
        remove_abandoned()

    def run(self, job: Job) -> Execution:
        self.check(job.limits)
        _check_job(job)
        with (
            processors(job.limits.cpus, cache_folder(self._shelf.settings)) as chosen,
            scratch(None) as folder,
        ):
            view = plain_view(job, folder)
            return _run_in_folder(self.name, job, view, folder, processors=chosen)


# --- one run ------------------------------------------------------------------------------------


def _run_in_folder(name: str, job: Job, view: View, folder: Path, **walls: Any) -> Execution:
    disk = {"folders": [str(folder)], "bytes": job.limits.disk, "entries": ENTRIES}
    request = _request(job, view, disk=disk, **walls)
    execution = view.neutral(_converse(name, view.arguments, request, None, job.follow))
    return with_files(execution, lambda: collect(folder / "out", job.outputs, job.limits))


def _request(job: Job, view: View, **walls: Any) -> Request:
    limits = job.limits
    return Request(
        command=job.command,
        cwd=view.variables.get("WORK", view.variables["TMPDIR"]),
        environment=_variables(job, view),
        limits=limits,
        rlimits={
            "fsize": limits.file,
            "core": 0,
            "nofile": 4096,
            "nproc": limits.processes + view.counted,
            # Reserved is not used: this only stops what no machine could give.
            "data": 2 * limits.memory + 2**30,
        },
        memory=limits.memory,
        **walls,
    )


def _variables(job: Job, view: View) -> dict[str, str]:
    threads = str(math.ceil(job.limits.cpus))
    numbers = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "RAYON")
    return {
        "PATH": f"{job.environment.reference}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": view.variables["TMPDIR"],
        "USER": "sandbox",  # such a user need not exist
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        **{f"{name}_NUM_THREADS": threads for name in numbers},
        **view.variables,
        **({"PYTHONPATH": view.variables["WITNESS"]} if "witness" in job.inputs else {}),
        **job.variables,
    }


def _check_job(job: Job) -> None:
    check_inputs(job)
    for folder in job.inputs.values():
        if not folder.is_dir():
            raise SandboxError(f"{folder} is to be shown to the experiment, but is no folder")


def _converse(
    name: str,
    arguments: list[str],
    request: Request,
    archive: IO[bytes] | None,
    follow: Follow | None,
) -> Execution:
    """Start a supervisor, give it its request, read to its status, and see it end."""
    reply, started = Reply(request, archive, follow), time.monotonic()
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env={"LANG": "C.UTF-8"},
            cwd="/",
            start_new_session=True,  # an interrupt from the keyboard is for this process alone
        )
        lost = ""
        try:
            lost = _read(process, reply)
        finally:
            _end(process)
        complaints.seek(0)
        said = " ".join(complaints.read(4000).decode(errors="replace").split())[-500:]
    if reply.status is None and not reply.begun and said:
        raise SandboxError(f"{name} does not start: {said}")
    return reply.execution(name, time.monotonic() - started, lost or said)


def _read(process: subprocess.Popen[bytes], reply: Reply) -> str:
    """Feed `reply` until it has the status; else what is known of why there is none."""
    assert process.stdin is not None and process.stdout is not None
    deadline = time.monotonic() + reply.request.limits.timeout + MARGIN
    try:
        process.stdin.write(reply.request.line())
        process.stdin.flush()
    except BrokenPipeError:
        return ""
    while (left := deadline - time.monotonic()) > 0:
        if select.select([process.stdout], [], [], left)[0]:
            data = os.read(process.stdout.fileno(), 2**16)
            if not data:
                return ""
            if not reply.feed(data):
                return "" if reply.status else "it did not keep to the protocol"
            if reply.wants_stop():
                with contextlib.suppress(BrokenPipeError):  # it has just ended by itself
                    process.stdin.write(STOP)
                    process.stdin.flush()
    return "its supervisor did not answer in time"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let go: at the end of its input the supervisor ends everything, and then itself."""
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(MARGIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
