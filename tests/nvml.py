"""A shared library that stands in for the NVIDIA driver's, for machines without a GPU."""

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "sandbox" / "standin_nvml.c"


@functools.cache
def _folder() -> str:
    folder = tempfile.mkdtemp(prefix="standin-nvml-")
    command = ["gcc", "-shared", "-fPIC", "-o", f"{folder}/libnvidia-ml.so.1", str(SOURCE)]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        if os.environ.get("AUTORESEARCH_REQUIRE_DOCKER") == "1":
            raise
        pytest.skip("NO GCC to compile the stand-in for NVML with")
    return folder


def machine(gpus: int, **variables: str) -> dict[str, str]:
    """The variables of a process that finds so many GPUs."""
    hidden = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    return hidden | {"LD_LIBRARY_PATH": _folder(), "STANDIN_GPUS": str(gpus), **variables}


def python(code: str, environment: dict[str, str], *arguments: str) -> str:
    """What a Python program prints, or the last line of what it dies with."""
    command = [sys.executable, "-c", code, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    return ran.stdout.strip() if ran.returncode == 0 else ran.stderr.strip().splitlines()[-1]
