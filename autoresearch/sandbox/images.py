"""Environments as images: a virtual environment on top of the configured image or a task's Dockerfile.

The Dockerfile gets the build argument BASE, the configured image, and only itself and
`requirements.txt` as context. The virtual environment also sees the image's own packages.
"""

import io
import os
from collections.abc import Mapping
from pathlib import Path

from autoresearch.sandbox import Environment
from autoresearch.sandbox.engine import OWNER, Engine
from autoresearch.sandbox.environments import FORMAT, QUIET, Build, Place, parse
from autoresearch.sandbox.recipes import read_recipe
from autoresearch.sandbox.shelf import Shelf

IMAGE = "autoresearch-env"
PREFIX = "/opt/autoresearch"  # the virtual environment inside an image
LABEL = "autoresearch.environment"
BASE = "autoresearch.base"  # label: the image that it was built on

_BUILD = "/run/autoresearch"  # what a build needs and an image must not keep
_WANTED = f"{_BUILD}/requirements.txt"


def docker_environment(engine: Engine, folder: Path, shelf: Shelf, owner: str) -> Environment:
    """The task's environment as the image `autoresearch-env:<key>`, its python in PREFIX/bin.

    `owner` labels the container that builds it. Raises BuildFailed with the build's last lines.
    """
    base = engine.image(shelf.settings.image)
    recipe = read_recipe(folder)
    key = recipe.key(f"docker {FORMAT}", base)
    tag = f"{IMAGE}:{key}"
    shelf.use(key)
    found = parse((engine.labels(tag) or {}).get(LABEL))
    if found:
        return found
    with shelf.building(key):
        found = parse((engine.labels(tag) or {}).get(LABEL))
        if found:
            return found
        build = Build(recipe, shelf, key, tag)
        build.log.write_bytes(b"")
        with shelf.watch(build.log):
            return _build(engine.patient(), build, (shelf.settings.image, base), owner)


def _build(engine: Engine, build: Build, image: tuple[str, str], owner: str) -> Environment:
    """Make the virtual environment in a container and keep that. `image` is a name and its id."""
    name, base = image
    below = _system_layer(engine, build, name) if build.recipe.dockerfile is not None else base
    variables, mounts = _pip_access()
    wanted = build.wanted()
    if wanted is not None:
        mounts[str(wanted.resolve())] = _WANTED
    container = engine.create(_building_container(below, owner, mounts))
    try:
        engine.start(container)
        place = _Container(engine, container, build.log, variables)
        if not place.run_logged("python3", "-m", "venv", "--system-site-packages", PREFIX):
            raise build.failure()
        environment = build.install(place)
        path = engine.variables(below).get("PATH", "/usr/local/bin:/usr/bin:/bin")
        engine.commit(container, build.reference, _image_config(environment, base, path))
        return environment
    finally:
        engine.remove(container)


def _system_layer(engine: Engine, build: Build, base: str) -> str:
    """The image that the Dockerfile describes."""
    recipe = build.recipe
    files = {"Dockerfile": recipe.dockerfile, "requirements.txt": recipe.requirements}
    context = {name: (text or "").encode() for name, text in files.items()}
    image = engine.build(context, {"BASE": base}, build.log)
    if not image:
        raise build.failure()
    return image


class _Container(Place):
    """A running container. Variables of an exec, unlike a container's, are not kept in the image: they
    may be secret."""

    python = f"{PREFIX}/bin/python"

    def __init__(
        self, engine: Engine, container: str, log: Path, variables: Mapping[str, str]
    ) -> None:
        self._engine, self._container = engine, container
        self._log, self._variables = log, variables

    def run(self, *command: str) -> bytes:
        said = io.BytesIO()
        self._engine.execute(self._container, list(command), said, self._variables)
        return said.getvalue()

    def run_logged(self, *command: str) -> bool:
        with self._log.open("ab", buffering=0) as out:
            code = self._engine.execute(self._container, list(command), out, self._variables)
        return code == 0

    def show(self, file: Path) -> str:
        return _WANTED

    def report(self) -> str:
        return f"{_BUILD}/report.json"


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


def _image_config(environment: Environment, base: str, path: str) -> dict[str, object]:
    return {
        # A container's labels are kept in the image and from there pass to its containers.
        "Labels": {LABEL: environment.model_dump_json(), BASE: base, OWNER: ""},
        "Env": [f"PATH={PREFIX}/bin:{path}"],
        "Entrypoint": [],
        "Cmd": ["python"],
        "User": "65534:65534",
    }


def _pip_access() -> tuple[dict[str, str], dict[str, str]]:
    """How pip reaches its index from inside a build: variables, and files to mount (host, inside)."""
    mounts = {}
    variables = dict(QUIET)
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT"):
        value = os.environ.get(name, "")
        if value and "file:" not in value:
            variables[name] = value
    authorities = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    if authorities and Path(authorities).is_file():
        mounts[str(Path(authorities).resolve())] = f"{_BUILD}/authorities.pem"
        for name in ("PIP_CERT", "SSL_CERT_FILE"):
            variables[name] = f"{_BUILD}/authorities.pem"
    return variables, mounts
