"""A run whose power fails: `python -m tests.power RUN EVENTS LOG`.

Works on the run like `autoresearch resume`, writes a line to LOG for each model call that is paid and
each sandbox run that is made, and kills its own process with SIGKILL when event EVENTS is about to
begin (0: never).
"""

import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoresearch.assembly import open_lab
from autoresearch.journal import Recorded
from autoresearch.loop import research
from autoresearch.offline import Offline
from autoresearch.store import Run


class Meter:
    """Counts events; the power fails before the last one that is allowed."""

    def __init__(self, folder: Path, allowed: int, log: Path):
        self.folder, self.allowed, self.log, self.count = folder, allowed, log, 0
        self.lock = threading.Lock()

    def event(self, what: str) -> None:
        with self.lock:
            self.count += 1
            if self.count == self.allowed:
                os.kill(os.getpid(), signal.SIGKILL)
            with self.log.open("a") as file:
                file.write(what + "\n")


class Metered:
    """A model or a sandbox whose every use is an event."""

    def __init__(self, inner: Any, meter: Meter):
        self.inner, self.meter, self.name = inner, meter, getattr(inner, "name", "")

    def answer(self, request: Any) -> Any:
        self.meter.event(f"call {request.where} {request.prompt}")
        return self.inner.answer(request)

    def run(self, job: Any) -> Any:
        self.meter.event(f"run {job.outputs.relative_to(self.meter.folder)}")
        return self.inner.run(job)


def main(folder: Path, allowed: int, log: Path) -> None:
    run = Run(folder)
    with run.locked():
        lab = open_lab(run)
        meter = Meter(folder, allowed, log)
        model = Recorded(Metered(Offline(run.settings.seed), meter), folder / "calls.jsonl")
        research(replace(lab, model=model, sandbox=Metered(lab.sandbox, meter)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
