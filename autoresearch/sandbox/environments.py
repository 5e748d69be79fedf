"""Environments: the interpreter and packages a task's programs run with, built once from its recipe.

A task folder may hold a `Dockerfile` (the system layer; it gets the build argument BASE, the
configured image, and only itself and `requirements.txt` as context) and a `requirements.txt`, which
is installed on top into a virtual environment that also sees the image's own packages. Both are
trusted: building is the one moment with a network. An environment is named by the hash of its
recipe; what it holds is written next to it, so that finding one again starts no process.
"""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from autoresearch.config import SandboxSettings
from autoresearch.errors import SandboxError, TaskError
from autoresearch.sandbox import Environment
from autoresearch.sandbox.engine import OWNER, Engine

IMAGE = "autoresearch-env"
PREFIX = "/opt/autoresearch"  # the virtual environment inside an image

_LABEL = "autoresearch.environment"
_BUILD = "/run/autoresearch"  # what a build needs and an image must not keep
_PIP = ("-m", "pip", "install", "--no-input", "--no-cache-dir", "--compile", "--requirement")
_DESCRIBE = """
import importlib.metadata, json, platform
found = {f"{d.name}=={d.version}" for d in importlib.metadata.distributions() if d.name}
print(json.dumps({"python": platform.python_version(), "packages": sorted(found)}))
"""


def docker_environment(
    engine: Engine, folder: Path, settings: SandboxSettings, owner: str
) -> Environment:
    """The task's environment as the image `autoresearch-env:<key>`, its python in PREFIX/bin.

    `owner` labels the container that builds it. Raises SandboxError with the build's last lines.
    """
    base = engine.image(settings.image)
    dockerfile, requirements = _read_recipe(folder)
    key = _hash("docker", base, dockerfile, requirements)
    tag = f"{IMAGE}:{key}"
    found = _parse((engine.labels(tag) or {}).get(_LABEL))
    if found:
        return found
    shelf = _shelf(settings)
    log = shelf / f"{key}.log"
    with _lock(shelf / f"{key}.lock"):
        found = _parse((engine.labels(tag) or {}).get(_LABEL))
        if found:
            return found
        log.write_bytes(b"")
        patient = engine.patient()
        if dockerfile is not None:
            files = {"Dockerfile": dockerfile, "requirements.txt": requirements or ""}
            context = {name: text.encode() for name, text in files.items()}
            base = patient.build(context, {"BASE": settings.image}, log)
            if not base:
                raise SandboxError(_explain(folder, log))
        return _install_into_image(patient, base, folder, log, (tag, owner))


def local_environment(folder: Path, settings: SandboxSettings) -> Environment:
    """The task's environment as a virtual environment in the cache, which `reference` names.

    Made with `settings.python`, or the interpreter that runs this. A Dockerfile's system layer
    cannot be built here: with a requirements.txt beside it that is left out, without one it is an
    error. Raises SandboxError with the last lines of the build.
    """
    python = _interpreter(settings)
    dockerfile, requirements = _read_recipe(folder)
    if dockerfile is not None and requirements is None:
        raise SandboxError(
            f"{folder.name} needs its Dockerfile, which --sandbox local cannot build: choose "
            "--sandbox docker, or say in a requirements.txt which packages it needs"
        )
    stat = python.stat()
    version = f"{python} {stat.st_size} {stat.st_mtime_ns}"
    shelf = _shelf(settings)
    key = _hash("local", version, requirements)
    place, record = shelf / key, shelf / key / "environment.json"
    with _lock(shelf / f"{key}.lock"):
        found = _parse(record.read_text()) if record.is_file() else None
        if found:
            return found
        # The record is written last: a folder without one is a build that did not end.
        shutil.rmtree(place, ignore_errors=True)
        environment = _install_into_folder(python, place, folder, shelf / f"{key}.log")
        aside = shelf / f"{key}.json"
        aside.write_text(environment.model_dump_json())
        aside.replace(record)
        return environment


# --- building -----------------------------------------------------------------------------------


def _install_into_image(
    engine: Engine, base: str, folder: Path, log: Path, made: tuple[str, str]
) -> Environment:
    """Make the virtual environment in a container of `base` and keep it as the image `made[0]`."""
    tag, owner = made
    variables, mounts = _pip_access(folder)
    container = engine.create(_building_container(base, owner, mounts))
    python = f"{PREFIX}/bin/python"
    steps = [["python3", "-m", "venv", "--system-site-packages", PREFIX]]
    if (folder / "requirements.txt").is_file():
        steps.append([python, *_PIP, f"{_BUILD}/requirements.txt"])
    try:
        engine.start(container)
        # Variables of an exec, unlike a container's, are not kept in the image: they may be secret.
        for step in steps:
            with log.open("ab") as out:
                code = engine.execute(container, step, out, variables)
            if code != 0:
                raise SandboxError(_explain(folder, log))
        described = io.BytesIO()
        engine.execute(container, [python, "-I", "-c", _DESCRIBE], described, {})
        environment = _describe(described.getvalue(), tag.partition(":")[2], tag)
        path = engine.variables(base).get("PATH", "/usr/local/bin:/usr/bin:/bin")
        engine.commit(container, tag, _image_config(environment, path))
        return environment
    finally:
        engine.remove(container)


def _building_container(base: str, owner: str, mounts: Mapping[str, str]) -> dict[str, object]:
    """A container that waits for commands; `mounts` are host files and their places inside."""
    return {
        "Image": base,
        "User": "0:0",
        "Entrypoint": ["sleep", "infinity"],
        "Cmd": [],
        "Labels": {OWNER: owner},
        "HostConfig": {
            # On a file system in memory, so that no mount point is left in the image.
            "Tmpfs": {_BUILD: "mode=755"},
            "Mounts": [
                {"Type": "bind", "Source": source, "Target": target, "ReadOnly": True}
                for source, target in mounts.items()
            ],
        },
    }


def _image_config(environment: Environment, path: str) -> dict[str, object]:
    return {
        # A container's labels are kept in the image and from there pass to its containers.
        "Labels": {_LABEL: environment.model_dump_json(), OWNER: ""},
        "Env": [f"PATH={PREFIX}/bin:{path}"],
        "Entrypoint": [],
        "Cmd": ["python"],
        "User": "65534:65534",
    }


def _install_into_folder(python: Path, place: Path, folder: Path, log: Path) -> Environment:
    own = str(place / "bin" / "python")
    steps = [[str(python), "-m", "venv", str(place)]]
    if (folder / "requirements.txt").is_file():
        steps.append([own, *_PIP, str(folder / "requirements.txt")])
    variables = {name: value for name, value in os.environ.items() if name[:6] != "PYTHON"}
    log.write_bytes(b"")
    for step in steps:
        with log.open("ab") as out:
            code = subprocess.run(step, stdout=out, stderr=out, env=variables).returncode
        if code != 0:
            raise SandboxError(_explain(folder, log))
    described = subprocess.run([own, "-I", "-c", _DESCRIBE], capture_output=True, env=variables)
    return _describe(described.stdout, place.name, str(place))


def _pip_access(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """How pip reaches its index from inside a build: variables, and files to mount (host, inside)."""
    mounts = {}
    variables = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT"):
        value = os.environ.get(name, "")
        if value and "file:" not in value:
            variables[name] = value
    authorities = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    if authorities and Path(authorities).is_file():
        mounts[str(Path(authorities).resolve())] = f"{_BUILD}/authorities.pem"
        for name in ("PIP_CERT", "SSL_CERT_FILE"):
            variables[name] = f"{_BUILD}/authorities.pem"
    requirements = folder / "requirements.txt"
    if requirements.is_file():
        mounts[str(requirements.resolve())] = f"{_BUILD}/requirements.txt"
    return variables, mounts


# --- recipes, the shelf and what is on it -------------------------------------------------------


def _read_recipe(folder: Path) -> tuple[str | None, str | None]:
    """The texts of Dockerfile and requirements.txt, None for one that is not there."""
    texts: list[str | None] = []
    for name in ("Dockerfile", "requirements.txt"):
        try:
            texts.append((folder / name).read_text() if (folder / name).is_file() else None)
        except (OSError, UnicodeDecodeError) as error:
            raise TaskError(f"{folder / name} cannot be read as text: {error}") from None
    return texts[0], texts[1]


def _hash(*parts: str | None) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _interpreter(settings: SandboxSettings) -> Path:
    """The real path of the interpreter that local environments are made with."""
    found = shutil.which(settings.python or sys.executable)
    if found is None:
        raise SandboxError(
            f"no Python interpreter {settings.python or sys.executable}: name one with "
            "--set sandbox.python=PATH"
        )
    return Path(found).resolve()


def cache_folder(settings: SandboxSettings) -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return settings.cache or Path(home) / "autoresearch"


def _shelf(settings: SandboxSettings) -> Path:
    """The folder of environments in the cache, made if missing."""
    shelf = cache_folder(settings) / "environments"
    try:
        shelf.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SandboxError(
            f"the cache {shelf} cannot be made ({error.strerror}): choose another with "
            "--set sandbox.cache=FOLDER"
        ) from None
    return shelf.resolve()


@contextlib.contextmanager
def _lock(file: Path) -> Iterator[None]:
    """Wait until no other process or thread builds the same environment."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _parse(text: str | None) -> Environment | None:
    """A stored description; None when there is none, or one that an older version wrote."""
    if text is None:
        return None
    try:
        return Environment.model_validate_json(text)
    except ValidationError:
        return None


def _describe(text: bytes, key: str, reference: str) -> Environment:
    try:
        described: Mapping[str, object] = json.loads(text)
    except ValueError:
        raise SandboxError(f"the environment {reference} has no working Python") from None
    return Environment.model_validate({**described, "key": key, "reference": reference})


def _explain(folder: Path, log: Path) -> str:
    """What failed, in the build's own last words, and what to do."""
    lines = log.read_text(errors="replace").splitlines()
    last = [line.strip()[:300] for line in lines if line.strip()][-5:]
    return (
        f"the environment of {folder.name} does not build: mend its requirements.txt or Dockerfile, "
        f"or the way to the package index, and run again (whole log: {log})\n  " + "\n  ".join(last)
    )
