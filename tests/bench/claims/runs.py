"""Whole runs over a known truth: the product's own floor, stopping rule, levels and verdict decide, on
measurements that are drawn instead of run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

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
from tests.bench.claims.falsified import Claim, Fate, Scored, Stand
from tests.bench.claims.worlds import Array, Program, World, baseline, change, run, score, shared
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
LEAKY = ((0.66, 0.0, "told"), (0.1, 2.0, "leaked"), *FEW[1:])
MIXES = {"few": FEW, "many": MANY, "none": NONE, "leaky": LEAKY}
Level = Callable[[Floor, Sequence[Lesson]], float]


@dataclass(frozen=True)
class Tried:
    """One idea: its true effect, what size was asked for (in the smallest gain told; None where it does not
    count), the verdict on it, the seeds run, what the rules of the field make of it, and, where it
    improved, what the falsifiers did."""

    effect: float
    size: float | None
    outcome: Outcome
    seeds: int
    one_run: bool
    mean: bool
    leaked: bool = False
    fate: Fate | None = None

    @property
    def claimed(self) -> bool:
        """Whether it is a claim that stands at the end."""
        return self.fate is not None and self.fate.by is None


def simulate(
    world: World, runs: int, level: Level = level_of, stop: bool = True, seed: int = 0
) -> Iterator[list[Tried]]:
    """`runs` runs of 3 rounds of 10 ideas, each with a baseline of its own."""
    for number in range(runs):
        yield _run(world, (seed, number), level, stop)


@dataclass
class _Search:
    """What a run has measured of its baseline, and what of the ideas it will claim."""

    world: World
    random: np.random.Generator
    base: Claim
    common: Array
    floor: Floor
    stop: bool
    claims: list[Claim] = field(default_factory=list)


def _run(world: World, seed: tuple[int, int], level: Level, stop: bool) -> list[Tried]:
    random = np.random.default_rng(seed)
    start, common = baseline(world, random), shared(world, random, world.seeds)
    ran = run(world, random, start, common)
    base = Claim(start, ran, score(world, random, start, ran))
    drawn = tuple(_measurement(base.scored, seed) for seed in range(world.seeds))
    floor = _floor(drawn, base.scored[0].tolist())
    search = _Search(world, random, base, common, floor, stop)
    memory: list[Lesson] = []
    tried: list[Tried] = []
    for _ in range(SETTINGS.rounds):
        held, parents = level(floor, memory), [claim.program for claim in search.claims]
        turn = [_try(search, held, parents) for _ in range(SETTINGS.ideas)]
        memory += [lesson for _, lesson in turn]
        tried += [idea for idea, _ in turn]
    # Falsifiers draw from a source of their own: whatever they do, the search finds the same.
    fates = iter(Stand(world, np.random.default_rng((*seed, 1)), base).falsify(search.claims))
    improved = Outcome.improved
    return [replace(x, fate=next(fates)) if x.outcome is improved else x for x in tried]


def _try(search: _Search, level: float, parents: list[Program]) -> tuple[Tried, Lesson]:
    """One idea, from the baseline or from one of the parents, to its verdict."""
    world, random, base = search.world, search.random, search.base
    builds = bool(parents) and random.random() < BUILDS_ON
    parent = parents[random.integers(len(parents))] if builds else base.program
    program, size = _idea(world, random, search.floor, parent)
    ran = run(world, random, program, search.common)
    claim = Claim(program, ran, score(world, random, program, ran))
    trial = _trial(search, claim.scored, level)
    verdict = judge(trial, search.floor, TASK)
    if verdict.outcome is Outcome.improved:
        search.claims.append(claim)
    mine, theirs = claim.scored[0], base.scored[0]
    tried = Tried(
        effect=program.effect,
        size=None if builds or program.capped else size,
        outcome=verdict.outcome,
        seeds=len(trial.measurements),
        one_run=bool(mine[0] > theirs[0]),
        mean=bool(mine.mean() > theirs.mean()),
        leaked=program.leaked > 0,
    )
    of = IDEA.model_copy(update={"parent": "found" if builds else None})
    return tried, Lesson.model_construct(name="round-00/0-x", verdict=verdict, idea=of)


def _idea(
    world: World, random: np.random.Generator, floor: Floor, parent: Program
) -> tuple[Program, float | None]:
    """A change of the parent, and its size where that is in what the run was told."""
    mix = MIXES[world.works]
    _, size, unit = mix[random.choice(len(mix), p=[share for share, _, _ in mix])]
    told = floor.smallest_gain
    assert told is not None
    if unit == "leaked":
        idea = change(world, random, parent, parent.effect)
        return replace(idea, leaked=size * told), None
    worth = size * (told if unit == "told" else world.spread)
    return change(world, random, parent, parent.effect + worth), size if unit == "told" else None


def _measurement(scored: Scored, seed: int) -> Measurement:
    values, examples = scored
    rows = () if examples is None else tuple(examples[seed].tolist())
    drawn = Score.model_construct(
        metric="accuracy", split="validation", value=float(values[seed]), examples=rows, reason=""
    )
    return Measurement.model_construct(seed=seed, execution=RAN, score=drawn)


class _Floor(Floor):
    """A floor is looked up by what it holds, thousands of numbers, many times over; here by which it is."""

    __hash__ = object.__hash__


def _floor(drawn: tuple[Measurement, ...], values: list[float]) -> Floor:
    floor = floor_of("c" * 40, drawn, values, SETTINGS)
    return _Floor.model_construct(**dict(floor))


def _trial(search: _Search, scored: Scored, level: float) -> Trial:
    """The seeds in order, for as long as practice would run them."""
    seen: tuple[Measurement, ...] = ()
    for seed in range(search.world.seeds):
        if search.stop and seen and not is_worth_more(search.floor, TASK, seen, level):
            break
        seen = (*seen, _measurement(scored, seed))
    return Trial.model_construct(
        name="round-00/0-x", idea=IDEA, parent=None, attempts=(), measurements=seen, commit="c", level=level,
        diff="",
    )  # fmt: skip
