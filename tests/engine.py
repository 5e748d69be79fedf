"""The Docker engine that tests use: a real one with a base image, or a loud skip.

`.ci/engine` makes both. AUTORESEARCH_BASE_IMAGE names another image; AUTORESEARCH_REQUIRE_DOCKER=1 turns
the skip into a failure where an engine is promised.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from autoresearch.config import SandboxSettings
from autoresearch.errors import SandboxError
from autoresearch.sandbox.docker import Docker
from autoresearch.store import digest

TASKS = Path(__file__).parents[1] / "sandboxes"
BASE_IMAGE = os.environ.get("AUTORESEARCH_BASE_IMAGE", "autoresearch-base:bookworm")


def docker_or_skip(settings: SandboxSettings | None = None) -> Docker:
    """A Docker sandbox whose base image is there."""
    try:
        sandbox = Docker(settings or SandboxSettings(image=BASE_IMAGE))
        sandbox.ensure_image()
    except SandboxError as absent:
        if os.environ.get("AUTORESEARCH_REQUIRE_DOCKER") == "1":
            raise
        pytest.skip(f"NO DOCKER ENGINE WITH A BASE IMAGE (sudo .ci/engine makes one): {absent}")
    return sandbox


def torch_image() -> str:
    """The base image with the torch that this machine's pip finds (without CUDA where it can choose),
    made once and then found by what it is made of. Tasks that require torch build on it in seconds."""
    requirements = (TASKS / "image2d" / "requirements.txt").read_text().split()
    base = _docker("image", "inspect", "--format", "{{.Id}}", BASE_IMAGE)
    tag = f"autoresearch-torch:{digest(' '.join([base, *requirements]))[:16]}"
    if _docker("images", "--quiet", tag):
        return tag
    python = _docker("run", "--rm", BASE_IMAGE, "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")  # fmt: skip
    with tempfile.TemporaryDirectory() as wheels:
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-cache-dir",
            "--dest",
            wheels,
        ]
        pip += ["--python-version", python, "--only-binary", ":all:", *requirements]
        subprocess.run(pip, check=True)
        Path(wheels).chmod(0o755)
        install = ["python3", "-m", "pip", "install", "--quiet", "--no-cache-dir", "--no-index"]
        install += ["--break-system-packages", "--find-links", "/tmp/wheels", *requirements]
        mount = f"type=bind,source={wheels},target=/tmp/wheels,readonly"
        container = _docker("create", "--network", "none", "--mount", mount, BASE_IMAGE, *install)
        try:
            _docker("start", "--attach", container)
            _docker("commit", "--change", 'CMD ["python3"]', container, tag)
        finally:
            _docker("rm", "--force", container)
    return tag


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
