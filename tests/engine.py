"""The Docker engine that tests use: a real one with a base image, or a loud skip.

`.ci/engine` makes both. AUTORESEARCH_BASE_IMAGE names another image; AUTORESEARCH_REQUIRE_DOCKER=1 turns
the skip into a failure where an engine is promised.
"""

import os

import pytest

from autoresearch.config import SandboxSettings
from autoresearch.errors import SandboxError
from autoresearch.sandbox.docker import Docker

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
