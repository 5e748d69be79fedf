"""A lab on the slope task whose model and sandbox are timed, or take simulated time."""

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoresearch.assembly import open_lab, start
from autoresearch.config import Settings
from autoresearch.harness import Lab
from autoresearch.journal import Recorded
from autoresearch.offline import Offline

SLOPE = Path(__file__).parents[1] / "tasks" / "slope"


class Timed:
    """A model or a sandbox; adds `latency` seconds to every use and keeps the seconds spent in it."""

    def __init__(self, inner: Any, latency: float = 0.0):
        self.inner, self.latency, self.name = inner, latency, getattr(inner, "name", "")
        self.spent: dict[str, float] = {}
        self.lock = threading.Lock()

    def _use(self, where: str, call: Any, argument: Any) -> Any:
        began = time.perf_counter()
        time.sleep(self.latency)
        result = call(argument)
        with self.lock:
            self.spent[where] = self.spent.get(where, 0.0) + time.perf_counter() - began
        return result

    def answer(self, request: Any) -> Any:
        return self._use(_idea_of(request.where), self.inner.answer, request)

    def run(self, job: Any) -> Any:
        return self._use(_idea_of(str(job.outputs)), self.inner.run, job)


def _idea_of(where: str) -> str:
    """The part of a place that names the idea: "round-00/1-slug", or "" outside of any."""
    parts = where.split("/")
    place = next((i for i, part in enumerate(parts) if part.startswith("round-")), None)
    if place is None or place + 1 >= len(parts) or not parts[place + 1][0].isdigit():
        return ""
    return "/".join(parts[place : place + 2])


@contextmanager
def timed_lab(
    *, ideas: int, parallel: int, model: float = 0.0, sandbox: float = 0.0
) -> Iterator[tuple[Lab, Timed, Timed]]:
    """A lab ready to research one round, and its timers."""
    with tempfile.TemporaryDirectory() as runs:
        settings = {
            "task": str(SLOPE), "runs": runs, "rounds": 1, "ideas": ideas, "parallel": parallel,
            "sandbox": {"kind": "none"},
        }  # fmt: skip
        run = start(Settings.model_validate(settings))
        lab = open_lab(run)
        slow_model, slow_sandbox = Timed(Offline(0), model), Timed(lab.sandbox, sandbox)
        recorded = Recorded(slow_model, run.folder / "calls.jsonl")
        yield replace(lab, model=recorded, sandbox=slow_sandbox), slow_model, slow_sandbox
