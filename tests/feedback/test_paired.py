"""One paired test over seeds and examples, levels that grow with what was found, seeds that are worth running."""

import numpy as np
import pytest
from scipy import stats

from autoresearch.config import Settings
from autoresearch.floors import floor_of
from autoresearch.levels import first_level, level_of
from autoresearch.paired import paired_test
from autoresearch.records import Lesson, Measurement, Outcome
from autoresearch.stopping import FUTILE, is_worth_more, outlook
from tests.examples import FLOOR, LESSON, TASK, measurement


def drawn(
    random: np.random.Generator, seeds: float, examples: float, cells: float
) -> tuple[list[float], np.ndarray]:
    """The gains of a change that is worth nothing, with these deviations over 5 seeds and 60 examples."""
    shape = (5, 60)
    gains = seeds * random.standard_normal((5, 1)) + examples * random.standard_normal(60)
    gains = gains + cells * random.standard_normal(shape)
    return gains.mean(axis=1).tolist(), gains


@pytest.mark.parametrize(
    ("seeds", "examples", "cells"),
    [(0.1, 0.3, 0.0), (0.13, 1.0, 1.0), (0.3, 0.3, 1.0), (0.0, 1.0, 0.5)],
)
def test_a_change_worth_nothing_is_called_a_gain_as_often_as_the_level_says(
    seeds: float, examples: float, cells: float
) -> None:
    """Neither a test over the seeds alone nor one over the examples alone holds this."""
    random = np.random.default_rng(0)
    tests = [paired_test(*drawn(random, seeds, examples, cells)) for _ in range(3000)]
    for level, most in ((0.05, 0.062), (0.01, 0.0155)):
        assert sum(test is not None and test.p < level for test in tests) / 3000 < most


def test_without_noise_from_the_examples_it_is_the_paired_t_test_over_seeds() -> None:
    gains = [0.01, 0.03, 0.02, 0.04, 0.0]
    test, same = paired_test(gains), paired_test(gains, np.array(gains)[:, None] * np.ones(50))
    expected = stats.ttest_1samp(gains, 0.0, alternative="greater").pvalue
    assert test is not None and test.p == pytest.approx(expected)
    assert test.loss == pytest.approx(1 - expected)
    assert same is not None and same.p == pytest.approx(expected)


def test_the_unit_of_the_examples_does_not_matter() -> None:
    gains, examples = drawn(np.random.default_rng(2), 0.1, 0.3, 0.3)
    here, scaled = paired_test(gains, examples), paired_test(gains, 100 * examples)
    assert here is not None and scaled is not None
    assert (here.p, here.low, here.high) == pytest.approx((scaled.p, scaled.low, scaled.high))


def test_a_gain_that_the_examples_deny_is_none() -> None:
    gains = [0.10, 0.11, 0.09, 0.10, 0.12]
    alone, denied = paired_test(gains), paired_test(gains, np.full((5, 50), -0.1))
    assert alone is not None and denied is not None
    assert alone.p < 0.001 and denied.p == 0.5


def lesson(outcome: Outcome, parent: str | None = None) -> Lesson:
    verdict = LESSON.verdict.model_copy(update={"outcome": outcome})
    idea = LESSON.idea.model_copy(update={"parent": parent})
    return LESSON.model_copy(update={"verdict": verdict, "idea": idea})


def test_the_level_of_an_idea_grows_with_what_earlier_rounds_found() -> None:
    settings = Settings(rounds=4, ideas=5)
    assert first_level(settings) * (4 * 5 + 1) == pytest.approx(settings.alpha)
    memory = tuple(
        lesson(outcome) for outcome in (Outcome.improved, Outcome.declined, Outcome.improved)
    )
    assert level_of(FLOOR, ()) == FLOOR.alpha
    assert level_of(FLOOR, memory) == level_of(FLOOR, memory[::-1]) == 3 * FLOOR.alpha
    variants = memory + (lesson(Outcome.improved, parent="wider-layer"),) * 5
    assert level_of(FLOOR, variants) == 3 * FLOOR.alpha


BASE = tuple(measurement(seed, 0.80 + 0.01 * (seed % 3)) for seed in range(5))


def with_gains(*gains: float) -> tuple[Measurement, ...]:
    return tuple(
        measurement(seed, float(BASE[seed].value or 0) + gain) for seed, gain in enumerate(gains)
    )


def test_seeds_are_run_while_the_next_one_can_make_the_idea_improved() -> None:
    floor = floor_of(
        "c" * 40, BASE, [float(m.value or 0) for m in BASE], Settings(rounds=1, ideas=5)
    )
    level = floor.alpha
    assert is_worth_more(floor, TASK, with_gains(0.1), level)
    assert is_worth_more(floor, TASK, with_gains(0.1, 0.1, 0.1, 0.11), level)
    assert not is_worth_more(
        floor, TASK, with_gains(0.1, 0.1, 0.1, 0.11, 0.1), level
    )  # all are run
    assert not is_worth_more(floor, TASK, with_gains(-0.01), level)
    assert not is_worth_more(floor, TASK, with_gains(0.1, -0.1), level)


def test_the_chance_of_improving_is_the_share_that_comes_out_improved() -> None:
    """Of ideas that went on as the first seeds say, drawn as a Bayesian would who knew nothing before."""
    floor = floor_of(
        "c" * 40, BASE, [float(m.value or 0) for m in BASE], Settings(rounds=1, ideas=5)
    )
    gains, random = (0.03, 0.02), np.random.default_rng(0)
    pairs = list(zip(with_gains(*gains), BASE[:2], strict=True))
    chance = outlook(floor, TASK, pairs, floor.alpha).chance
    spread, mean = 2 * float(floor.deviation or 0) ** 2 * 4 + float(np.var(gains)) * 2, 0.025
    improved = 0
    for _ in range(4000):
        deviation = np.sqrt(spread / random.chisquare(5))
        others = random.normal(random.normal(mean, deviation / np.sqrt(2)), deviation, 3)
        test = paired_test([*gains, *others.tolist()])
        improved += test is not None and test.p < floor.alpha
    assert FUTILE < chance < 1 and improved / 4000 == pytest.approx(chance, abs=0.03)
