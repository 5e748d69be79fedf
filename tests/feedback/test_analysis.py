"""Verdicts come from paired statistics, and no result is never a number."""

import numpy as np
import pytest
from scipy import stats

from autoresearch.config import Settings
from autoresearch.feedback.analysis import judge
from autoresearch.harness import floor_of
from autoresearch.paired import paired_test
from autoresearch.records import (
    Attempt,
    Direction,
    Ended,
    Execution,
    Failure,
    Idea,
    Limits,
    Measurement,
    Outcome,
    Patch,
    Score,
    Task,
    Trial,
)  # fmt: skip

EXECUTION = Execution(
    sandbox="plain", command=("x",), ended=Ended.exited, exit_code=0, signal=None, reason="exit code 0",
    stdout="", stderr="", seconds=1, cpu_seconds=1, peak_memory=1,
)  # fmt: skip
IDEA = Idea(slug="x", title="x", hypothesis="x", plan="x", summary="x")


def task(direction: str = "maximize") -> Task:
    return Task(
        name="t", folder=".", topic="t", goal="g", command=("x",), editable=("*.py",), limits=Limits(),
        metric="accuracy", direction=Direction(direction), seeds=5,
    )  # fmt: skip


def measurements(
    values: list[float | None], examples: int = 0, random: int = 0
) -> tuple[Measurement, ...]:
    generator = np.random.default_rng(random)
    made = []
    for seed, value in enumerate(values):
        rows = tuple(float(x) for x in generator.random(examples) < (value or 0))
        score = Score(metric="accuracy", split="validation", value=value, examples=rows)
        made.append(Measurement(seed=seed, execution=EXECUTION, score=score))
    return tuple(made)


def floor(values: list[float], examples: int = 0):
    return floor_of("c", measurements(values, examples, 1), values, Settings(rounds=2, ideas=5))


def trial(made: tuple[Measurement, ...], failure: Failure | None = None) -> Trial:
    attempt = Attempt(
        number=0, patch=Patch(plan="", edits=()), commit="c", measurement=None, failure=failure
    )
    return Trial(
        name="round-00/0-x",
        idea=IDEA,
        parent=None,
        attempts=(attempt,),
        measurements=made,
        commit="c",
        diff="",
    )


BASE = [0.80, 0.81, 0.79, 0.80, 0.82]


def test_a_large_steady_gain_is_improved() -> None:
    verdict = judge(
        trial(measurements([0.9, 0.91, 0.9, 0.89, 0.92], 500)), floor(BASE, 500), task()
    )
    assert verdict.outcome is Outcome.improved
    assert verdict.effect == pytest.approx(0.1)
    assert verdict.interval[0] > 0 and verdict.p < verdict.alpha == 0.05 / 11


def test_the_p_value_over_seeds_is_scipys_paired_t_test() -> None:
    mine = [0.83, 0.82, 0.80, 0.83, 0.82]
    verdict = judge(trial(measurements(mine)), floor(BASE), task())
    expected = stats.ttest_rel(mine, BASE, alternative="greater")
    assert verdict.p == pytest.approx(expected.pvalue)
    assert verdict.interval == pytest.approx(stats.ttest_rel(mine, BASE).confidence_interval())


def test_a_gain_within_noise_is_maintained() -> None:
    verdict = judge(trial(measurements([0.82, 0.80, 0.81, 0.79, 0.82])), floor(BASE), task())
    assert verdict.outcome is Outcome.maintained


def test_a_gain_steady_over_seeds_but_not_over_examples_is_not_improved() -> None:
    """Two examples of twenty-five that every seed gets right say little about other examples."""
    base = [0.0] * 25
    better = [1.0, 1.0] + [0.0] * 23

    def made(rows):
        score = Score(
            metric="accuracy", split="validation", value=sum(rows) / 25, examples=tuple(rows)
        )
        return tuple(Measurement(seed=s, execution=EXECUTION, score=score) for s in range(5))

    reference = floor_of("c", made(base), [0.0] * 5, Settings(rounds=2, ideas=5))
    verdict = judge(trial(made(better)), reference, task())
    assert verdict.outcome is Outcome.maintained and verdict.p > verdict.alpha


def test_for_a_metric_to_minimise_lower_is_improved() -> None:
    verdict = judge(
        trial(measurements([0.7, 0.71, 0.7, 0.69, 0.72])), floor(BASE), task("minimize")
    )
    assert verdict.outcome is Outcome.improved and verdict.effect > 0


def test_a_steady_loss_is_declined() -> None:
    verdict = judge(trial(measurements([0.7, 0.71, 0.7, 0.69, 0.72])), floor(BASE), task())
    assert verdict.outcome is Outcome.declined


def test_an_idea_stopped_after_one_seed_has_an_interval_and_no_p() -> None:
    verdict = judge(trial(measurements([0.5])), floor(BASE), task())
    assert verdict.outcome is Outcome.declined and verdict.p is None
    assert verdict.test == "stopped after 1 of 5 seeds, with the baseline's scatter"
    low, high = verdict.interval
    reach = stats.t(4).ppf(0.975) * np.std(BASE, ddof=1) * 2**0.5
    assert (low, high) == pytest.approx((-0.3 - reach, -0.3 + reach))
    assert "[-0.3" in verdict.reason and "below 1 %" in verdict.reason


def test_an_idea_stopped_close_to_the_baseline_is_maintained() -> None:
    verdict = judge(trial(measurements([0.795])), floor(BASE), task())
    assert verdict.outcome is Outcome.maintained and verdict.interval[0] < 0 < verdict.interval[1]


def test_a_gain_over_the_baseline_that_falls_behind_its_parent_says_so() -> None:
    parent = trial(measurements([0.95] * 5))
    child = trial(measurements([0.90, 0.91, 0.90, 0.89, 0.92], 500))
    verdict = judge(child, floor(BASE, 500), task(), parent)
    assert verdict.outcome is Outcome.improved and verdict.over_parent == pytest.approx(-0.046)
    low, high = verdict.over_parent_interval
    assert low < -0.046 < high < 0
    assert "-0.046 [-0.06016, -0.03184] against its parent x" in verdict.reason


def test_what_never_ran_has_no_score_at_all() -> None:
    failure = Failure(stage="run", message="exit code 1: boom")
    verdict = judge(trial((), failure), floor(BASE), task("minimize"))
    assert verdict.outcome is Outcome.failed
    assert verdict.score is None and verdict.effect is None and "boom" in verdict.reason


def test_a_seed_without_a_score_fails_the_trial() -> None:
    verdict = judge(trial(measurements([0.9, None, 0.9, 0.9, 0.9])), floor(BASE), task())
    assert verdict.outcome is Outcome.failed and "seed 1" in verdict.reason


def test_a_score_of_zero_is_a_score() -> None:
    verdict = judge(trial(measurements([0.0] * 5)), floor(BASE), task("minimize"))
    assert verdict.outcome is Outcome.improved and verdict.score == 0.0


def test_one_seed_without_examples_decides_nothing() -> None:
    verdict = judge(trial(measurements([0.99])), floor([0.5]), task())
    assert verdict.outcome is Outcome.maintained and verdict.p is None


def test_seeds_that_do_not_scatter_tell_nothing_apart() -> None:
    assert paired_test([0.1, 0.1, 0.1]) is None and paired_test([0.0, 0.0]) is None
    same = [0.8] * 5
    verdict = judge(trial(measurements([0.800001] * 5)), floor(same), task())
    assert verdict.outcome is Outcome.maintained and verdict.p is None


def test_another_number_of_examples_than_the_baselines_is_a_failure() -> None:
    verdict = judge(trial(measurements([0.9] * 5, 99)), floor(BASE, 100), task())
    assert verdict.outcome is Outcome.failed and "number of examples" in verdict.reason


def test_under_the_null_few_ideas_are_called_improved() -> None:
    generator = np.random.default_rng(0)
    found = 0
    for _ in range(200):
        base, mine = (list(0.8 + 0.01 * generator.standard_normal(5)) for _ in range(2))
        reference = floor_of("c", measurements(base), base, Settings(rounds=1, ideas=1))
        found += judge(trial(measurements(mine)), reference, task()).outcome is Outcome.improved
    assert found / 200 < 0.09  # the level is 0.05
