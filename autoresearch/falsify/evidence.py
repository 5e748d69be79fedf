"""How a falsifier decides: few experiments first, more only for what looks refuted.

The rules are here, apart from the experiments that they ask for: each takes a function that measures, or
what was measured. `tests.bench.claims` holds the same rules to drawn measurements.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autoresearch.paired import Test, paired_test

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

LEVEL = 0.01  # at which one claim is refuted, where what is shown is that the gain goes, or stays
ALPHA = 0.05  # of all claims of a run, where what is shown is that a gain is there
FRESH_FIRST = 3  # seeds
LOOKS = (0.25, 0.25, 0.5)  # the shares of a claim's level, for the looks at its fresh seeds
PERMUTED_FIRST, PERMUTED_MOST = 2, 6
KEPT = 0.5  # the share of the gain that, lost or kept where it should not be, refutes it


class Untestable(Exception):
    """Why a falsifier cannot be tried on a claim, in one line."""


class NoScore(Exception):
    """The idea's program failed where it should have run; why, in one line."""


@dataclass(frozen=True)
class Found:
    """What was measured, one value an experiment, and whether that refutes the claim."""

    values: list[float]
    refutes: bool


def fresh_looks(searched: int) -> tuple[int, ...]:
    """After how many fresh seeds a claim is looked at that the search ran so many seeds for."""
    return FRESH_FIRST, max(searched, FRESH_FIRST + 1), 2 * max(searched, FRESH_FIRST)


def on_fresh_seeds(gain: Callable[[int], float], searched: int, claims: int) -> Found:
    """Whether the paired gain is there with fresh seeds, of which `gain` is that with the n-th: at the
    first look that shows it. The looks at all `claims` of the run share ALPHA."""
    gains: list[float] = []
    for look, share in zip(fresh_looks(searched), LOOKS, strict=True):
        gains += [gain(number) for number in range(len(gains), look)]
        if p_above_zero(gains) < ALPHA * share / claims:
            return Found(gains, False)
    return Found(gains, True)


def in_another_order(loss: Callable[[int], float], claimed: float, searched: int) -> Found:
    """Whether half of the gain that is claimed goes in another order; `loss` is what goes of it with
    the n-th seed of the search."""
    return _half(escalate(loss, 1, searched, lambda found: found >= KEPT * claimed), claimed)


def with_wrong_labels(kept: Callable[[int], float], claimed: float) -> Found:
    """Whether half of the gain that is claimed is there with the n-th permutation of the labels."""
    most = PERMUTED_MOST
    return _half(escalate(kept, PERMUTED_FIRST, most, lambda x: x >= KEPT * claimed), claimed)


def _half(values: list[float], claimed: float) -> Found:
    return Found(values, mean(values) >= KEPT * claimed and p_above_zero(values) < LEVEL)


def without_copies(gains: list[float], others: list[float]) -> bool:
    """Whether the gain is gone on the `others` of the rows, those that have no copy."""
    weak = p_above_zero(others) >= LEVEL > p_above_zero(gains)
    return mean(others) < KEPT * mean(gains) or weak


@dataclass(frozen=True)
class Sealed:
    """The gain of one claim on the test split: its paired test, the one-sided p (0 or 1 where nothing
    scatters), the level that it was held to, and whether the gain is there."""

    test: Test | None
    p: float
    level: float
    holds: bool


def on_test(tried: Sequence[tuple[Sequence[float], "Array | None"]]) -> list[Sealed]:
    """All claims that the seal was opened for, each with its gains, one a seed, and with those of its
    examples (seeds x examples). Holm's procedure: the chance that any claim without a gain there holds
    is ALPHA at most, whatever the others are worth."""
    tests = [paired_test(*each) for each in tried]
    pairs = zip(tests, tried, strict=True)
    ps = [test.p if test else p_above_zero(gains) for test, (gains, _) in pairs]
    levels, holding = [ALPHA] * len(ps), True
    for rank, number in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        if holding:
            level = ALPHA / (len(ps) - rank)
        levels[number], holding = level, holding and ps[number] < level
    rows = zip(tests, ps, levels, strict=True)
    return [Sealed(test, p, level, p < level) for test, p, level in rows]


def escalate(
    value: Callable[[int], float], first: int, most: int, suspicious: Callable[[float], bool]
) -> list[float]:
    """The values of the first few numbers; where their mean is suspicious, those of all."""
    values = [value(number) for number in range(min(first, most))]
    if suspicious(mean(values)):
        values += [value(number) for number in range(len(values), most)]
    return values


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def p_above_zero(values: Sequence[float]) -> float:
    """One-sided p of a paired t-test that the mean is above 0; 0 or 1 without scatter."""
    test = paired_test(values)
    return test.p if test is not None else float(mean(values) <= 0)
