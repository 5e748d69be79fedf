"""Whole runs over a known truth: the product's own floor, stopping rule, levels and verdict decide, on
measurements that are drawn instead of run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from autoresearch.config import Settings
from autoresearch.feedback.analysis import judge
from autoresearch.floors import floor_of
from autoresearch.levels import level_of
from autoresearch.records import (
    Ended,
    Execution,
    Floor,
    Lesson,
    Measurement,
    Outcome,
    Score,
    Trial,
)
from autoresearch.stopping import is_worth_more
from tests.bench.claims.worlds import Array, Program, World, baseline, change, measure, shared
from tests.examples import IDEA, TASK

SETTINGS = Settings(rounds=3, ideas=10)
RAN = Execution(
    sandbox="drawn", command=(), ended=Ended.exited, exit_code=0, signal=None, reason="exit code 0",
    stdout="", stderr="", seconds=1.0, cpu_seconds=1.0, peak_memory=None,
)  # fmt: skip
BUILDS_ON = 0.2  # how often an idea starts from one that improved, where there is one
# How often an idea adds how much: in units of the smallest gain that the run was told it could find
# ("told"), or of the baseline's scatter over the seeds ("spread").
FEW = (
    (0.76, 0.0, "told"), (0.07, -1.5, "spread"), (0.07, -6.0, "spread"),
    (0.02, 0.5, "told"), (0.03, 1.0, "told"), (0.05, 2.0, "told"),
)  # fmt: skip
MANY = (
    (0.5, 0.0, "told"),
    (0.1, -1.5, "spread"),
    (0.1, 0.5, "told"),
    (0.1, 1.0, "told"),
    (0.2, 2.0, "told"),
)
NONE = ((1.0, 0.0, "told"),)
MIXES = {"few": FEW, "many": MANY, "none": NONE}
Level = Callable[[Floor, Sequence[Lesson]], float]


@dataclass(frozen=True)
class Tried:
    """One idea: its true effect, what size was asked for (in the smallest gain told; None where it does not
    count), the verdict on it, the seeds run, and what the rules of the field make of it."""

    effect: float
    size: float | None
    outcome: Outcome
    seeds: int
    one_run: bool
    mean: bool


def simulate(
    world: World, runs: int, level: Level = level_of, stop: bool = True, seed: int = 0
) -> Iterator[list[Tried]]:
    """`runs` runs of 3 rounds of 10 ideas, each with a baseline of its own."""
    for number in range(runs):
        yield list(_run(world, np.random.default_rng((seed, number)), level, stop))


def _run(world: World, random: np.random.Generator, level: Level, stop: bool) -> Iterator[Tried]:
    start, common = baseline(world, random), shared(world, random)
    values, examples = measure(world, random, start, common)
    base = _measurements(values, examples)
    floor = floor_of("c" * 40, base, values.tolist(), SETTINGS)
    memory: list[Lesson] = []
    improved: list[Program] = []
    for _ in range(SETTINGS.rounds):
        held, found, lessons = level(floor, memory), [], []
        for _ in range(SETTINGS.ideas):
            builds = bool(improved) and random.random() < BUILDS_ON
            parent = improved[random.integers(len(improved))] if builds else start
            worth, size = _worth(world, random, floor)
            idea = change(world, random, parent, parent.effect + worth)
            mine, rows = measure(world, random, idea, common)
            trial = _trial(floor, _measurements(mine, rows), held, stop)
            verdict = judge(trial, floor, TASK)
            of = IDEA.model_copy(update={"parent": "found" if builds else None})
            lessons.append(Lesson.model_construct(name="round-00/0-x", verdict=verdict, idea=of))
            if verdict.outcome is Outcome.improved:
                found.append(idea)
            counts = None if builds or idea.capped else size
            ahead = bool(mine[0] > values[0]), bool(mine.mean() > values.mean())
            yield Tried(idea.effect, counts, verdict.outcome, len(trial.measurements), *ahead)
        memory += lessons
        improved += found


def _worth(world: World, random: np.random.Generator, floor: Floor) -> tuple[float, float | None]:
    """What an idea adds, and its size where that is in what the run was told."""
    mix = MIXES[world.works]
    _, size, unit = mix[random.choice(len(mix), p=[share for share, _, _ in mix])]
    told = floor.smallest_gain
    assert told is not None
    return (size * told, size) if unit == "told" else (size * world.spread, None)


def _measurements(values: Array, examples: Array | None) -> tuple[Measurement, ...]:
    rows = [()] * len(values) if examples is None else map(tuple, examples.tolist())
    return tuple(
        Measurement.model_construct(
            seed=seed,
            execution=RAN,
            score=Score.model_construct(
                metric="accuracy", split="validation", value=value, examples=row, reason=""
            ),
        )
        for seed, (value, row) in enumerate(zip(values.tolist(), rows, strict=True))
    )


def _trial(floor: Floor, drawn: tuple[Measurement, ...], level: float, stop: bool) -> Trial:
    """The seeds in order, for as long as practice would run them."""
    seen = drawn[:1] if stop else drawn
    while len(seen) < len(drawn) and is_worth_more(floor, TASK, seen, level):
        seen = drawn[: len(seen) + 1]
    return Trial.model_construct(
        name="round-00/0-x", idea=IDEA, parent=None, attempts=(), measurements=seen, commit="c", level=level,
        diff="",
    )  # fmt: skip
