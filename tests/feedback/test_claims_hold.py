"""Few claims are false and large gains are found, over whole runs on tasks whose truth is known."""

import pytest

from autoresearch.feedback.analysis import WARNING
from autoresearch.records import Outcome
from tests.bench.claims.runs import simulate
from tests.bench.claims.table import LEAST_FOUND, MOST_FALSE, tally
from tests.bench.claims.worlds import WORLDS

BY_NAME = {world.name: world for world in WORLDS}


@pytest.mark.parametrize(
    "name", ["values only, 5 seeds", "0/1, 300 rows, 5 seeds", "0/1, nothing works, 5 seeds"]
)
def test_false_claims_are_few_large_gains_are_found_and_seeds_are_saved(name: str) -> None:
    found = tally(BY_NAME[name], simulate(BY_NAME[name], 40))
    assert found.false[1] <= MOST_FALSE and found.false[0] <= 2 * MOST_FALSE  # of only 40 runs
    assert found.found[2.0] is None or found.found[2.0] >= LEAST_FOUND
    assert found.seeds < 0.7 and found.wrongly_declined <= WARNING
    assert found.one_run[0] > 0.8 and found.mean[0] > 0.8  # what the rules of the field would claim


def test_without_the_correction_most_runs_hold_a_false_claim() -> None:
    world = BY_NAME["values only, nothing works, 5 seeds"]
    plain = tally(world, simulate(world, 30, level=lambda floor, memory: 0.05))
    assert plain.false[0] > 0.5
    held = tally(world, simulate(world, 30))
    assert held.false[0] <= 2 * MOST_FALSE


def test_stopping_early_makes_no_claim_that_all_seeds_would_not_make() -> None:
    world = BY_NAME["0/1, 300 rows, 5 seeds"]
    both = zip(simulate(world, 15), simulate(world, 15, stop=False), strict=True)
    pairs = [pair for stopped, whole in both for pair in zip(stopped[:10], whole[:10], strict=True)]
    assert any(one.seeds < world.seeds for one, _ in pairs)
    claimed = [(one, all_seeds) for one, all_seeds in pairs if one.outcome is Outcome.improved]
    assert claimed
    for one, all_seeds in claimed:  # of the first round: later ones build on what it found
        assert one.seeds == world.seeds and all_seeds.outcome is Outcome.improved
