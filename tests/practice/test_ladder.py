"""The ladder for failures that come back: what follows which sequence of failures."""

import pytest

from autoresearch.practice.ladder import ANEW, FURTHER, LESS, returned, strategies
from autoresearch.records import Attempt
from tests.examples import ATTEMPT, FAILURE


def attempts(marks: str) -> tuple[Attempt, ...]:
    """One failed attempt for each letter, "-" for one that has no fingerprint."""
    found = [FAILURE.model_copy(update={"fingerprint": mark.strip("-")}) for mark in marks]
    return tuple(
        ATTEMPT.model_copy(update={"number": n, "failure": each}) for n, each in enumerate(found)
    )


@pytest.mark.parametrize(
    ("marks", "again", "between", "strategy"),
    [
        ("A", (), (), ""),
        ("AB", (), (), ""),
        ("--", (), (), ""),
        ("AA", (1,), (), FURTHER),
        ("AAA", (1, 2), (), ANEW),
        ("AAAA", (1, 2, 3), (), LESS),
        ("ABA", (1,), (2,), FURTHER),
        ("ABAB", (2,), (3,), ANEW),
        ("ABABA", (1, 3), (4,), LESS),
        ("AAB", (), (), ""),
        ("A--A", (1,), (2, 3), FURTHER),
    ],
)
def test_what_follows(
    marks: str, again: tuple[int, ...], between: tuple[int, ...], strategy: str
) -> None:
    found = returned(attempts(marks), allowed=20)
    assert (found.again, found.between, found.strategy) == (again, between, strategy)


def test_the_last_attempt_is_asked_for_less_only_where_the_failure_came_back() -> None:
    assert returned(attempts("AA"), allowed=3).strategy == LESS
    assert returned(attempts("AB"), allowed=3).strategy == ""


def test_each_attempt_knows_what_it_was_asked_for() -> None:
    assert strategies(attempts("AAAA"), 20) == ("", "", FURTHER, ANEW)
    assert strategies(attempts("AAAAA"), 5) == ("", "", FURTHER, ANEW, LESS)
