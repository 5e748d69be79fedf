"""Resuming and showing a synthetic run of 10,000 attempts, and whether that grows linearly."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from autoresearch.assembly import open_lab, start
from autoresearch.config import Settings
from autoresearch.loop import research
from autoresearch.records import Agenda, Candidate, Claims, Floor, Lesson
from autoresearch.store import Run, write
from tests.bench.timed import SLOPE
from tests.examples import EXECUTION, FLOOR, LESSON

IDEAS_A_ROUND = 100


def main() -> Iterator[str]:
    for attempts in (2_500, 10_000):
        with tempfile.TemporaryDirectory() as runs:
            run = synthetic(Path(runs), attempts)
            began = time.perf_counter()
            research(open_lab(run))
            resumed = time.perf_counter() - began
            began = time.perf_counter()
            command = [sys.executable, "-m", "autoresearch", "show", str(run.folder)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            shown = time.perf_counter() - began
        yield f"{attempts:6} attempts: resume {resumed:.2f} s, show {shown:.2f} s (goal 2 s for 10,000, linear)"


def synthetic(runs: Path, attempts: int) -> Run:
    """A finished run with one idea an attempt."""
    rounds = attempts // IDEAS_A_ROUND
    settings = {
        "task": str(SLOPE), "runs": runs, "rounds": rounds, "ideas": IDEAS_A_ROUND,
        "sandbox": {"kind": "none"},
    }  # fmt: skip
    run = start(Settings.model_validate(settings))
    write(run.folder / "floor.json", Floor.model_dump_json(FLOOR))
    write(run.folder / "data.json", EXECUTION.model_dump_json())
    write(run.folder / "claims.json", Claims(claims=()).model_dump_json())
    for number in range(rounds):
        folder = run.folder / f"round-{number:02}"
        ideas = [
            LESSON.idea.model_copy(update={"slug": f"idea-{number}-{place}"})
            for place in range(IDEAS_A_ROUND)
        ]
        kept = tuple(Candidate(idea=idea, kept=True, reason="independent") for idea in ideas)
        write(folder / "think.json", Agenda(candidates=kept).model_dump_json())
        for place, idea in enumerate(ideas):
            desk = folder / f"{place}-{idea.slug}"
            desk.mkdir()
            lesson: Lesson = LESSON.model_copy(update={"idea": idea})
            (desk / "feedback.json").write_text(lesson.model_dump_json(indent=1))
    return run
