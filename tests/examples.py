"""One small valid example of each record, for tests that need something to show."""

from pathlib import Path
from typing import Any

from autoresearch.briefing import Setting, describe_limits
from autoresearch.config import Settings
from autoresearch.harness import floor_of
from autoresearch.records import (
    Analysis,
    Attempt,
    Attributes,
    Direction,
    Edit,
    Ended,
    Execution,
    Failure,
    Idea,
    Lesson,
    Limits,
    Measurement,
    Outcome,
    Paper,
    Patch,
    Review,
    Score,
    Task,
    Trial,
    Verdict,
)  # fmt: skip

TASK = Task(
    name="toy", folder=Path("toy"), topic="A toy", goal="Predict the toy.", command=("python", "train.py"),
    editable=("*.py",), limits=Limits(), metric="accuracy", direction=Direction.maximize, seeds=2,
)  # fmt: skip
EXECUTION = Execution(
    sandbox="plain", command=("python", "train.py"), ended=Ended.exited, exit_code=1, signal=None,
    reason="exit code 1", stdout="", stderr="Traceback ...\nValueError: bad", seconds=1.0, cpu_seconds=1.0,
    peak_memory=2**20,
)  # fmt: skip
IDEA = Idea(
    slug="wider-layer", title="A wider layer", hypothesis="More capacity.", plan="Set WIDTH to 64.",
    summary="Widen the hidden layer to 64 units.", cites=("arxiv:2401.00001",),
)  # fmt: skip
PAPER = Paper(id="arxiv:2401.00001", title="Wide layers", abstract="We widen layers.")
FAILURE = Failure(stage="run", message="exit code 1: ValueError: bad", detail="Traceback ...")
PATCH = Patch(
    plan="Widen.", edits=(Edit(path="train.py", search="WIDTH = 8", replace="WIDTH = 64"),)
)
VERDICT = Verdict(
    outcome=Outcome.improved, score=0.9, effect=0.1, interval=(0.05, 0.15), p=0.001, alpha=0.005, seeds=2,
    test="paired t-test over 2 seeds", reason="gain +0.1 accuracy",
)  # fmt: skip
ANALYSIS = Analysis(explanation="More capacity helped.", advice="Go wider.")
REVIEW = Review(
    summary="Fine.", strengths=("Simple.",), weaknesses=("Small.",), questions=("Why?",),
    requested_experiments=("Ablate the width.",), soundness=3, presentation=3, contribution=2, overall=6, confidence=4,
)  # fmt: skip


def measurement(seed: int, value: float) -> Measurement:
    score = Score(metric="accuracy", split="validation", value=value)
    return Measurement(seed=seed, execution=EXECUTION, score=score)


FLOOR = floor_of("c" * 40, (measurement(0, 0.8), measurement(1, 0.81)), [0.8, 0.81], Settings())
ATTEMPT = Attempt(number=0, patch=PATCH, commit="d" * 40, measurement=None, failure=FAILURE)
TRIAL = Trial(
    name="round-00/0-wider-layer", idea=IDEA, parent=None, attempts=(ATTEMPT,), measurements=(measurement(0, 0.9),),
    commit="d" * 40, diff="-WIDTH = 8\n+WIDTH = 64",
)  # fmt: skip
LESSON = Lesson(
    name=TRIAL.name, idea=IDEA, verdict=VERDICT, commit="d" * 40, diff=TRIAL.diff, attempts=1,
    failures=("run: exit code 1",), analysis=ANALYSIS, review=REVIEW,
)  # fmt: skip
SETTING = Setting(
    command="python train.py", editable="*.py", python="3.11.2", packages="numpy==2.0", limits=describe_limits(Limits()),
    time_used="under 5 %", data="train.npy: array (10, 2) float64", floor=FLOOR, seeds=2, attempts=5,
    progress=True,
)  # fmt: skip


def variables_of(prompt: str) -> dict[str, Any]:
    """Everything a prompt may use, filled in."""
    from autoresearch.prompts import VARIABLES

    everything = {
        "topic": "Small images", "task": TASK, "attributes": Attributes(input="images", output="classes"),
        "papers": (PAPER,), "setting": SETTING, "lessons": (LESSON,), "tried": (LESSON,), "count": 3, "rounds_left": 1,
        "sources": {"baseline": {"train.py": "WIDTH = 8\n"}, "wider-layer": {"train.py": "WIDTH = 64\n"}},
        "idea": IDEA, "code": {"train.py": "WIDTH = 8\n"}, "parent": None, "attempts": (ATTEMPT,),
        "failure": FAILURE, "attempts_left": 4, "again": [], "arm": "structure", "whole": {}, "map": "", "looked": (),
        "between": (), "strategy": "", "strategies": ("",), "remembered": (),
        "shown": {"baseline": {"train.py": "WIDTH = 8\n"}, "wider-layer": {"train.py": "WIDTH = 64\n"}}, "trial": TRIAL, "verdict": VERDICT, "floor": FLOOR,
    }  # fmt: skip
    everything["parent"] = TRIAL if prompt.startswith("feedback/") else None
    return {name: everything[name] for name in VARIABLES[prompt]}
