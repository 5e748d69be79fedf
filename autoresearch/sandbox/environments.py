"""Environments: the interpreter and packages a task's programs run with, built once from its recipe.

A task folder may hold a `Dockerfile` (the system layer) and a `requirements.txt`, which is installed on
top into a virtual environment; with a `requirements.lock`, exactly that is. All are trusted: building
is the one moment with a network. An environment is named by the hash of its recipe; what it holds is
written next to it, so that finding one again starts no process. `images.py` and `venvs.py` build them;
here is what both do.
"""

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autoresearch.errors import BuildFailed, SandboxError
from autoresearch.sandbox import Environment
from autoresearch.sandbox.recipes import LOCK, Recipe, can_report, lock_of
from autoresearch.sandbox.shelf import Shelf

FORMAT = "2"  # of what is on the shelf: raised when an older one will not do
QUIET = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}

_LAST = 8  # lines of a log that are shown
_PIP = ("-m", "pip", "install", "--no-input", "--no-cache-dir", "--compile")
_DESCRIBE = """
import importlib.metadata, json, platform, sys
found = {f"{d.name}=={d.version}": d for d in importlib.metadata.distributions() if d.name}
own = [name for name, d in found.items() if str(d.locate_file("")).startswith(sys.prefix)]
own = [name for name in own if name.split("==")[0] not in ("pip", "setuptools")]
print(json.dumps({"python": platform.python_version(), "packages": sorted(found), "installed": own,
    "machine": platform.machine()}))
"""


class Place(ABC):
    """Where an environment is being built: its python, and how a command is run there."""

    python: str

    @abstractmethod
    def run(self, *command: str) -> bytes:
        """What it prints, whatever its exit code."""

    @abstractmethod
    def run_logged(self, *command: str) -> bool:
        """Whether it went well; what it prints goes into the log."""

    @abstractmethod
    def show(self, file: Path) -> str:
        """The path there of a file of this machine."""

    @abstractmethod
    def report(self) -> str:
        """A path there that pip may write to."""


class Build:
    """One build of a recipe as `reference`, which ends in its key."""

    def __init__(self, recipe: Recipe, shelf: Shelf, key: str, reference: str) -> None:
        self.recipe, self.key, self.reference = recipe, key, reference
        self.log, self._saved = shelf.file(key, "log"), shelf.file(key, "requirements")

    def wanted(self) -> Path | None:
        """The file that pip installs; None where there is nothing to install."""
        if self.recipe.lock is not None:
            return self.recipe.folder / LOCK
        if self._saved.is_file():  # of the same recipe, built before
            return self._saved
        return None if self.recipe.requirements is None else self.recipe.folder / "requirements.txt"

    def install(self, place: Place) -> Environment:
        """Install what is wanted into a fresh virtual environment, and keep what came of it.

        Raises BuildFailed."""
        wanted, report = self.wanted(), None
        if wanted is not None:
            told = place.report() if can_report(place.run(place.python, "-m", "pip", "-V")) else ""
            options = ["--report", told] if told else []
            options += [] if wanted.name == "requirements.txt" else ["--no-deps"]
            options += ["--requirement", place.show(wanted)]
            if not place.run_logged(place.python, *_PIP, *options):
                raise self.failure()
            report = place.run("cat", told) if told else None
        return self._keep(_described(place.run(place.python, "-I", "-c", _DESCRIBE)), report)

    def _keep(self, described: Mapping[str, Any] | None, report: bytes | None) -> Environment:
        """The description of an environment; its lock also goes beside it."""
        if described is None:
            raise SandboxError(f"the environment {self.reference} has no working Python")
        saved = self._saved
        lock = lock_of(self.recipe, described, report)
        if self.recipe.lock is None and saved.is_file():
            lock = saved.read_text()
        elif self.recipe.lock is None and lock:
            aside = saved.with_suffix(".aside")
            aside.write_text(lock)
            aside.replace(saved)
        return Environment(
            key=self.key,
            reference=self.reference,
            python=described["python"],
            packages=described["packages"],
            lock=lock,
        )

    def failure(self) -> BuildFailed:
        """What failed, in the build's own last words, and what to do."""
        failure = BuildFailed(
            f"the environment of {self.recipe.folder.name} does not build: mend its requirements.txt "
            f"or Dockerfile, or the way to the package index, and run again (whole log: {self.log})"
        )
        lines = self.log.read_text(errors="replace").splitlines()
        for line in [line.rstrip()[:300] for line in lines if line.strip()][-_LAST:]:
            failure.add_note(f"  {line}")
        return failure


def parse(text: str | None) -> Environment | None:
    """A stored description; None when there is none, or one that an older version wrote."""
    with contextlib.suppress(ValidationError):
        return None if text is None else Environment.model_validate_json(text)
    return None


def _described(text: bytes) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError):
        described: dict[str, Any] = json.loads(text)
        return described
    return None
