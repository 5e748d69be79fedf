"""The wall: where generated code runs, and the one contract that every backend keeps.

A job's command runs as an unprivileged child of a small trusted supervisor, with no network, no host
environment, nothing writable but $OUT and a temporary folder, and bounded memory, processes, output,
disk and time. The whole process tree is gone before anything it left is read, also when the
orchestrator is killed. A failing experiment is an `Execution`; a broken engine raises SandboxError.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from autoresearch.records import Ended, Execution, Limits, Record

Purpose = Literal["experiment", "scorer", "recipe", "probe"]
Stop = tuple[Ended, str]  # how and why, in one line, an experiment is ended before its time
Follow = Callable[[bytes], Stop | None]  # reads along what it prints, in any pieces
Note = Callable[[str], None]  # is told what a person should know
Watch = Callable[[Path], AbstractContextManager[None]]  # shows a build's log while it grows


def say_nothing(text: str) -> None:
    """A Note to nobody."""


def show_nothing(log: Path) -> AbstractContextManager[None]:
    """A Watch of nobody."""
    return nullcontext()


class Environment(Record):
    """The interpreter and packages that a task's programs run with, named by the hash of its recipe."""

    key: str  # content hash of the recipe: base, Dockerfile, requirements, lock, interpreter
    reference: str  # what the backend runs: an image tag, or the folder of a virtual environment
    python: str  # "3.11.2"
    packages: tuple[str, ...]  # "numpy==2.4.6", sorted
    lock: str = ""  # a requirements file of exactly what was installed; "" where nothing was


@dataclass(frozen=True)
class Job:
    """One command to run.

    `inputs` are host folders, mounted read-only: the command sees the folder `data` as the path in
    $DATA (which is /data wherever the backend has a mount namespace); it starts in the folder `work`.
    `outputs` is a host folder, made if missing, that receives the regular files the command left in
    $OUT, and nothing else. `variables` are added to an otherwise minimal environment. `follow` is given
    what it prints on standard output while it runs, and may ask for its end.
    """

    environment: Environment
    command: tuple[str, ...]
    inputs: Mapping[str, Path]
    outputs: Path
    limits: Limits
    variables: Mapping[str, str] = field(default_factory=dict)
    purpose: Purpose = "experiment"  # for the ledger; a probe waits for no lease
    follow: Follow | None = None


class Sandbox(Protocol):
    """A place to run untrusted programs. `name` says what it is and what it stands on."""

    name: str

    def check(self, limits: Limits) -> None:
        """Raises BadInput where a job with these limits cannot run here, for want of GPUs."""
        ...

    def environment(self, folder: Path) -> Environment:
        """The environment of the task in `folder`, built once and then found by its hash.

        Raises BuildFailed with the last lines of the build and what to do.
        """
        ...

    def run(self, job: Job) -> Execution:
        """Run the job to its end. Safe to call from several threads at once."""
        ...

    def close(self) -> None:
        """End what was started ahead of its job, if anything."""
        ...
