"""How a falsifier decides: few experiments first, more only for what looks refuted."""

from collections.abc import Callable, Sequence

from autoresearch.paired import paired_test

LEVEL = 0.01  # of one test of one claim


class Untestable(Exception):
    """Why a falsifier cannot be tried on a claim, in one line."""


class NoScore(Exception):
    """The idea's program failed where it should have run; why, in one line."""


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
