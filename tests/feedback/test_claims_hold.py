"""Few claims are false and large gains are found, over whole runs on tasks whose truth is known: by the
verdicts, and by what the falsifiers leave of them."""

import pytest

from autoresearch.feedback.analysis import WARNING
from autoresearch.records import Outcome
from tests.bench.claims.falsified import COPIES, FRESH, LABELS, ORDER, SEALED
from tests.bench.claims.runs import simulate
from tests.bench.claims.table import LEAST_FOUND, MOST_FALSE, tally
from tests.bench.claims.worlds import LEAKS, WORLDS

BY_NAME = {world.name: world for world in (*WORLDS, *LEAKS)}


@pytest.mark.parametrize(
    "name", ["values only, 5 seeds", "0/1, 300 rows, 5 seeds", "0/1, nothing works, 5 seeds"]
)
def test_false_claims_are_few_large_gains_are_found_and_seeds_are_saved(name: str) -> None:
    found = tally(BY_NAME[name], simulate(BY_NAME[name], 40))
    assert (
        found.verdicts[1] <= MOST_FALSE and found.verdicts[0] <= 2 * MOST_FALSE
    )  # of only 40 runs
    assert found.claims[0] <= MOST_FALSE  # over 1,000 runs: 0.0 %
    assert found.standing[2.0] is None or found.standing[2.0] >= LEAST_FOUND
    assert found.lost is None or found.lost <= 0.06  # over 1,000 runs: 0.5 and 0.8 %
    assert found.seeds < 0.7 and found.wrongly_declined <= WARNING
    assert found.one_run[0] > 0.8 and found.mean[0] > 0.8  # what the rules of the field would claim


@pytest.mark.parametrize(("leak", "rule"), [
    ("copies", COPIES), ("validation", SEALED), ("seeds", FRESH), ("order", ORDER), ("labels", LABELS),
])  # fmt: skip
def test_each_leak_is_ended_by_the_falsifier_that_can_see_it_and_true_gains_stay(
    leak: str, rule: str
) -> None:
    world = BY_NAME[f"leak: {leak}"]
    found = tally(world, simulate(world, 30))
    assert found.verdicts[0] > 0.7  # nearly every run has such a verdict
    assert found.leaking[rule] >= 0.95 * found.leaking.total() > 50
    assert found.claims[0] <= 4 * MOST_FALSE  # of only 30 runs; over 1,000: at most 5 %
    assert found.lost is not None and found.lost <= 0.1


def test_falsifiers_end_most_false_claims_even_without_the_correction_for_many_ideas() -> None:
    world = BY_NAME["0/1, nothing works, 5 seeds"]
    found = tally(world, simulate(world, 30, level=lambda floor, memory: 0.2))
    assert found.verdicts[0] > 0.6
    assert found.unsealed[0] > found.claims[0]  # luck on the validation rows: reruns do not see it
    assert found.claims[0] <= 3 * MOST_FALSE


def test_without_the_correction_most_runs_hold_a_false_claim() -> None:
    world = BY_NAME["values only, nothing works, 5 seeds"]
    plain = tally(world, simulate(world, 30, level=lambda floor, memory: 0.05))
    assert plain.verdicts[0] > 0.5
    held = tally(world, simulate(world, 30))
    assert held.verdicts[0] <= 2 * MOST_FALSE


def test_stopping_early_makes_no_claim_that_all_seeds_would_not_make() -> None:
    world = BY_NAME["0/1, 300 rows, 5 seeds"]
    both = zip(simulate(world, 15), simulate(world, 15, stop=False), strict=True)
    pairs = [pair for stopped, whole in both for pair in zip(stopped[:10], whole[:10], strict=True)]
    assert any(one.seeds < world.seeds for one, _ in pairs)
    claimed = [(one, all_seeds) for one, all_seeds in pairs if one.outcome is Outcome.improved]
    assert claimed
    for one, all_seeds in claimed:  # of the first round: later ones build on what it found
        assert one.seeds == world.seeds and all_seeds.outcome is Outcome.improved
