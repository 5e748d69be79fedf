"""Ending runs early, tried on recorded curves: what it saves, and how often it is wrong.

python -m tests.bench.pace             from the curves that were recorded
python -m tests.bench.pace --record    record them again: baselines on all seeds, and single changes of them, each on
                                       the first seed (an hour or so)
"""

import json
import lzma
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoresearch.assembly import open_lab, start
from autoresearch.config import Settings
from autoresearch.harness import Lab, in_parallel, measure
from autoresearch.mutations import Mutation, mutations
from autoresearch.pace import Curve, Pace, curve_of
from autoresearch.practice.coder import read_sources
from autoresearch.records import Direction, Measurement
from tests.bench.intervals import wilson
from tests.engine import TASKS

RECORDED = Path(__file__).with_name("pace.json.xz")
TASKS_WITH_CURVES = ("image2d", "points3d", "sentiment")
CHANGES = 40  # of each task


@dataclass(frozen=True)
class Run:
    """One finished run: what it reported as it went, its score in the end, its seconds."""

    name: str
    curve: Curve
    score: float | None
    seconds: float


@dataclass(frozen=True)
class Ended:
    """What would have come of one run: the share of its work after which it is ended, 1.0 if never,
    and whether its score would have earned it more seeds."""

    run: Run
    share: float
    good: bool


def tried(baseline: list[Run], changed: list[Run], direction: Direction) -> Iterator[Ended]:
    scores = [run.score for run in baseline if run.score is not None]
    mean = sum(scores) / len(scores)
    scatter = (sum((score - mean) ** 2 for score in scores) / (len(scores) - 1)) ** 0.5
    for run in changed:
        if run.score is None or len(run.curve) < 2:
            continue
        pace = Pace([each.curve for each in baseline], direction)
        stops = (share for share, value in run.curve if pace(_line(share, value)))
        better = 1 if direction is Direction.maximize else -1
        good = better * (run.score - scores[0]) >= -scatter * 2**0.5  # as `looks_no_worse`
        yield Ended(run, next(stops, 1.0), good)


def _line(share: float, value: float) -> bytes:
    return f"progress: {share:.6f}/1 {value}\n".encode()


def lines() -> Iterator[str]:
    yield "| task | runs | worse than the baseline | of these ended | wrongly ended (95 % interval) | compute saved |"
    yield "|---|---|---|---|---|---|"
    everything: list[Ended] = []
    for name, (baseline, changed) in load().items():
        found = list(tried(baseline, changed, Direction.maximize))
        everything += found
        yield f"| `{name}` | {_cells(found)} |"
    yield f"| all | {_cells(everything)} |"


def _cells(found: list[Ended]) -> str:
    worse = [each for each in found if not each.good]
    caught = sum(each.share < 1 for each in worse)
    wrong = sum(each.share < 1 for each in found if each.good)
    low, high = wilson(wrong, len(found) - len(worse))
    total = sum(each.run.seconds for each in found)
    saved = sum(each.run.seconds * (1 - each.share) for each in found)
    return (
        f"{len(found)} | {len(worse)} | {caught} | {wrong} of {len(found) - len(worse)} "
        f"({low:.1%} to {high:.1%}) | {saved / total:.1%}"
    )


def load() -> dict[str, tuple[list[Run], list[Run]]]:
    """(the baseline's runs, the changed programs' runs) of each task, as recorded."""
    data = json.loads(lzma.decompress(RECORDED.read_bytes()))
    return {
        name: tuple([_run(each) for each in data[name][kind]] for kind in ("baseline", "changed"))
        for name in data
    }  # type: ignore[return-value]


def _run(fields: dict[str, Any]) -> Run:
    return Run(**fields | {"curve": tuple(map(tuple, fields["curve"]))})


# --- recording ----------------------------------------------------------------------------------


def record(name: str) -> dict[str, list[dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as runs:
        settings = Settings.model_validate(
            {"task": str(TASKS / name), "runs": runs, "sandbox": {"kind": "local"}}
        )
        found = start(settings)
        with found.locked():
            lab = open_lab(found)
            baseline = [_kept("baseline", measured) for measured in lab.floor.measurements]
            code = read_sources(lab.workspace.export(lab.floor.commit), lab.task.editable)
            chosen = mutations(code, 0)[:CHANGES]
            changed = in_parallel(lab, lambda n: _try(lab, chosen[n], n), range(len(chosen)))
            lab.close()
    return {"baseline": baseline, "changed": [each for each in changed if each["curve"]]}


def _try(lab: Lab, mutation: Mutation, number: int) -> dict[str, Any]:
    desk = lab.desk.at(f"change-{number}")
    with lab.workspace.worktree(f"change-{number}", lab.floor.commit) as tree:
        for path, text in mutation.applied(read_sources(tree, lab.task.editable)).items():
            (tree / path).write_text(text)
        kept = _kept(mutation.slug, measure(lab, desk, "run", tree, 0))
    print(mutation.slug, kept["score"], kept["curve"][-1:], file=sys.stderr, flush=True)
    return kept


def _kept(name: str, measured: Measurement) -> dict[str, Any]:
    execution = measured.execution
    seconds = round(execution.cpu_seconds or execution.seconds, 2)
    curve = [(round(share, 6), value) for share, value in curve_of(execution.stdout)]
    return {"name": name, "curve": curve, "score": measured.value, "seconds": seconds}


def main() -> Iterator[str]:
    if "--record" in sys.argv:
        made = {name: record(name) for name in TASKS_WITH_CURVES}
        RECORDED.write_bytes(lzma.compress(json.dumps(made).encode()))
    yield from lines()


if __name__ == "__main__":
    for each in main():
        print(each)
