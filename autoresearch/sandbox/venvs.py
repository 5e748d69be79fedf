"""Environments as virtual environments in the cache, for the local sandbox."""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from autoresearch.config import SandboxSettings
from autoresearch.errors import BuildFailed, SandboxError
from autoresearch.sandbox import Environment
from autoresearch.sandbox.environments import FORMAT, QUIET, Build, Place, parse
from autoresearch.sandbox.recipes import read_recipe
from autoresearch.sandbox.shelf import Shelf

_FACTS = """
import platform, sys, sysconfig
print(sys.implementation.cache_tag, platform.python_version(), sysconfig.get_platform())
"""


def local_environment(folder: Path, shelf: Shelf) -> Environment:
    """The task's environment as a virtual environment in the cache, which `reference` names.

    Made with `sandbox.python`, or the interpreter that runs this; another one of the same version
    finds it too. A Dockerfile's system layer cannot be built here: with requirements beside it that
    is left out, without them it is an error. Raises BuildFailed with the last lines of the build.
    """
    python = _interpreter(shelf.settings)
    recipe = read_recipe(folder)
    if recipe.dockerfile is not None and recipe.requirements is None and recipe.lock is None:
        raise BuildFailed(
            f"{folder.name} needs its Dockerfile, which --sandbox local cannot build: choose "
            "--sandbox docker, or say in a requirements.txt which packages it needs"
        )
    key = recipe.key(f"local {FORMAT}", _facts(python, shelf))
    place = shelf.folder / key
    record = place / "environment.json"
    shelf.use(key)
    with shelf.building(key):
        found = parse(record.read_text()) if record.is_file() else None
        if found and (place / "bin" / "python").exists():  # its interpreter may have gone
            return found
        # The record is written last: a folder without one is a build that did not end.
        shutil.rmtree(place, ignore_errors=True)
        build = Build(recipe, shelf, key, str(place))
        build.log.write_bytes(b"")
        with shelf.watch(build.log):
            environment = _build(python, build)
        aside = shelf.file(key, "json")
        aside.write_text(environment.model_dump_json())
        aside.replace(record)
        return environment


def _build(python: Path, build: Build) -> Environment:
    place = _Folder(build.reference, build.log)
    if not place.run_logged(str(python), "-m", "venv", build.reference):
        raise build.failure()
    try:
        return build.install(place)
    finally:
        Path(place.report()).unlink(missing_ok=True)


class _Folder(Place):
    """A virtual environment of this machine."""

    def __init__(self, folder: str, log: Path) -> None:
        self._folder, self._log = folder, log
        self.python = f"{folder}/bin/python"
        kept = {name: value for name, value in os.environ.items() if name[:6] != "PYTHON"}
        self._variables = kept | QUIET

    def run(self, *command: str) -> bytes:
        return subprocess.run(command, capture_output=True, env=self._variables).stdout

    def run_logged(self, *command: str) -> bool:
        with self._log.open("ab") as out:
            ran = subprocess.run(command, stdout=out, stderr=out, env=self._variables)
        return ran.returncode == 0

    def show(self, file: Path) -> str:
        return str(file)

    def report(self) -> str:
        return f"{self._folder}/report.json"


def _interpreter(settings: SandboxSettings) -> Path:
    """The real path of the interpreter that local environments are made with."""
    found = shutil.which(settings.python or sys.executable)
    if found is None:
        raise SandboxError(
            f"no Python interpreter {settings.python or sys.executable}: name one with "
            "--set sandbox.python=PATH"
        )
    return Path(found).resolve()


def _facts(python: Path, shelf: Shelf) -> str:
    """Implementation, version and platform of an interpreter; another than this one is asked once."""
    if python == Path(sys.executable).resolve():
        version = platform.python_version()
        return f"{sys.implementation.cache_tag} {version} {sysconfig.get_platform()}"
    stat = python.stat()
    name = f"python-{stat.st_dev}-{stat.st_ino}-{stat.st_size}-{stat.st_mtime_ns}"
    known = shelf.folder / name
    if not known.is_file():
        asked = subprocess.run([python, "-I", "-c", _FACTS], capture_output=True, text=True)
        if asked.returncode != 0:
            raise SandboxError(f"{python} is no working Python: name one with --set sandbox.python")
        known.write_text(asked.stdout.strip())
    return known.read_text()
