"""What starting an experiment costs: its wall time in each sandbox, beside a bare process."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from autoresearch.config import SandboxSettings
from autoresearch.errors import SandboxError
from autoresearch.records import Limits
from autoresearch.sandbox import Job, Sandbox
from autoresearch.sandbox.docker import Docker
from autoresearch.sandbox.local import Local
from tests.engine import BASE_IMAGE

RUNS = 15
PAUSE = 0.7  # seconds between two runs, as a scorer or a model call would take
LIMITS = Limits(timeout=60, memory=2**29)


def main() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "work").mkdir(mode=0o755)
        (folder / "work" / "train.py").write_text("print(1)\n")
        bare = [sys.executable, str(folder / "work" / "train.py")]
        base = _median(lambda: subprocess.run(bare, check=True, capture_output=True))
        yield f"{base * 1000:.0f} ms a bare process (medians of {RUNS}, the whole of a run)"
        for said, make in SANDBOXES.items():
            try:
                sandbox = make()
            except SandboxError as error:
                yield f"{said}: not here: {error}"
                continue
            taken = _median(_one(sandbox, folder))
            sandbox.close()
            yield f"{taken * 1000:.0f} ms in {said}: {(taken - base) * 1000:+.0f}"


def _settings() -> SandboxSettings:
    return SandboxSettings(image=BASE_IMAGE)


SANDBOXES: dict[str, Callable[[], Sandbox]] = {
    "local without namespaces": lambda: Local(_settings(), bubblewrap=False),
    "local with bubblewrap": lambda: Local(_settings(), bubblewrap=True),
    "docker, a container started for it": lambda: Docker(_settings()),
    "docker, a container started ahead": lambda: Docker(_settings(), ahead=1),
}


def _one(sandbox: Sandbox, folder: Path) -> Callable[[], object]:
    environment = sandbox.environment(folder)
    job = Job(
        environment, ("python", "train.py"), {"work": folder / "work"}, folder / "out", LIMITS
    )

    def run() -> None:
        assert sandbox.run(job).succeeded

    return run


def _median(action: Callable[[], object]) -> float:
    """Seconds; the first time is not counted."""
    taken = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
        time.sleep(PAUSE)
    return statistics.median(taken[1:])
