"""The smallest gain that is promised before a run is the one that the verdict then finds 4 times in 5."""

import numpy as np
import pytest

from autoresearch.config import Settings
from autoresearch.feedback.analysis import judge
from autoresearch.feedback.sensitivity import best_value, seeds_for
from autoresearch.floors import smallest_gain
from autoresearch.harness import floor_of
from autoresearch.records import Direction, Floor, Measurement, Outcome, Score
from tests.examples import EXECUTION, TASK, TRIAL

ROWS, TRIALS = 600, 150


def floor(scores: list[tuple[float, ...]] | list[float]) -> Floor:
    measured = tuple(measurement(seed, score) for seed, score in enumerate(scores))
    return floor_of("c" * 40, measured, [float(m.value or 0) for m in measured], Settings())


def measurement(seed: int, score: tuple[float, ...] | float) -> Measurement:
    examples = score if isinstance(score, tuple) else ()
    value = sum(score) / len(score) if isinstance(score, tuple) else score
    found = Score(metric="accuracy", split="validation", value=value, examples=examples)
    return Measurement(seed=seed, execution=EXECUTION, score=found)


def found(base: Floor, ideas: list[list[tuple[float, ...]] | list[float]]) -> float:
    """The share of ideas that the verdict calls improved."""
    outcomes = []
    for scores in ideas:
        measured = tuple(measurement(seed, score) for seed, score in enumerate(scores))
        trial = TRIAL.model_copy(update={"measurements": measured})
        outcomes.append(judge(trial, base, TASK).outcome is Outcome.improved)
    return sum(outcomes) / len(outcomes)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_over_seeds_the_promised_gain_is_found_four_times_in_five(seeds: int) -> None:
    """Also where few seeds leave the baseline's scatter in doubt."""
    random = np.random.default_rng(seeds)
    hits = []
    for _ in range(TRIALS):
        base = floor(random.normal(0.72, 0.02, seeds).tolist())
        gain = smallest_gain(base, seeds)
        assert gain is not None
        hits.append(found(base, [random.normal(0.72 + gain, 0.02, seeds).tolist()]))
    assert 0.74 < np.mean(hits) < 0.96  # more: where the baseline scatters, so do the gains


def test_over_examples_the_promised_gain_is_found_four_times_in_five() -> None:
    random = np.random.default_rng(0)
    right = (random.random(ROWS) < 0.7).astype(float)
    base = floor([tuple(right)] * 3)  # the same with each seed: only the examples can tell
    gain = smallest_gain(base, 3)
    assert gain is not None

    def idea() -> list[tuple[float, ...]]:
        mended = (random.random(ROWS) < gain / (right == 0).mean()) & (right == 0)
        return [tuple(np.where(mended, 1.0, right))] * 3

    assert 0.7 < found(base, [idea() for _ in range(TRIALS)]) < 0.95
    assert smallest_gain(base, 100) == pytest.approx(gain)  # more seeds do not make more examples


def test_the_seeds_that_would_do_are_the_fewest_that_do() -> None:
    base = floor([0.7, 0.72, 0.74])
    needed = seeds_for(base, 0.02)
    assert needed is not None
    fewer, enough = smallest_gain(base, needed - 1), smallest_gain(base, needed)
    assert fewer is not None and enough is not None and enough <= 0.02 < fewer
    assert seeds_for(base, 0.0001) is None
    assert smallest_gain(floor([0.7]), 1) is None


@pytest.mark.parametrize(
    ("value", "examples", "direction", "best"),
    [
        (0.7, (1.0, 0.0), Direction.maximize, 1.0),
        (-3.0, (-2.0, -4.0), Direction.maximize, 0.0),
        (3.0, (-2.0, -4.0), Direction.minimize, 0.0),
        (0.3, (1.0, 0.0), Direction.minimize, 0.0),
        (0.98, (), Direction.minimize, None),
        (80.0, (), Direction.maximize, None),
        (12.0, (14.0, 10.0), Direction.maximize, None),
    ],
)
def test_the_best_score_is_known_only_where_the_scores_show_it(
    value: float, examples: tuple[float, ...], direction: Direction, best: float | None
) -> None:
    score = Score(metric="m", split="validation", value=value, examples=examples)
    assert best_value(score, direction) == best
