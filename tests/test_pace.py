"""When a run is clearly behind the baseline's, and when it is not."""

import pytest

from autoresearch.pace import Pace, curve_of, value_at
from autoresearch.records import Direction, Ended

BASELINE = [
    tuple((step / 10, 0.1 + 0.08 * step + shift) for step in range(1, 11))
    for shift in (-0.01, 0.0, 0.01)
]


def lines(values: list[float | str]) -> bytes:
    total = len(values)
    return "".join(f"progress: {n}/{total} {v}\n" for n, v in enumerate(values, 1)).encode()


def along(values: list[float | str], direction: Direction = Direction.maximize) -> Ended | None:
    baseline = BASELINE
    if direction is Direction.minimize:
        baseline = [tuple((share, -value) for share, value in curve) for curve in BASELINE]
    stop = Pace(baseline, direction)(lines(values))
    return stop[0] if stop else None


def test_a_curve_is_read_from_what_was_printed() -> None:
    said = "epoch 1\nprogress: 1/4 0.5\nprogress: 2/4 6e-1\r\n progress: 3/4 0.7\nprogress: 2/4 9\nprogress: 4/4 0.8"
    assert curve_of(said) == ((0.25, 0.5), (0.5, 0.6), (1.0, 0.8))
    nonsense = "progress: 1/0 1\nprogress: 5/4 1\nprogress: a/b c\nprogress: 1/4\nprogress: 1/4 x\n"
    assert curve_of(nonsense) == ()
    assert curve_of("progress: " + "9" * 400 + "/1 1\n") == ()


def test_between_reports_a_curve_is_a_line() -> None:
    curve = ((0.2, 1.0), (0.6, 3.0))
    assert [value_at(curve, share) for share in (0.1, 0.2, 0.4, 0.6, 0.9)] == [1, 1, 2, 3, 3]


def test_what_is_far_behind_is_ended_and_says_where_it_was() -> None:
    stop = Pace(BASELINE, Direction.maximize)(lines([0.1] * 10))
    assert stop and stop[0] is Ended.behind
    assert stop[1].startswith("stopped at 40% of its work: it reported 0.1 where the baseline's 3")


@pytest.mark.parametrize(
    "values",
    [
        [0.1 + 0.08 * step for step in range(1, 11)],
        [0.06 + 0.08 * step for step in range(1, 11)],  # a little behind all the way
        [0.1, 0.1, 0.1, 0.5, 0.6, 0.7, 0.8, 0.8, 0.8, 0.8],  # a slow start
        [0.9, 0.9, 0.9, 0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.9],  # unsteady, never three in a row
        [0.1] * 2,  # too few reports to tell
    ],
)
def test_what_is_not_clearly_behind_goes_on(values: list[float]) -> None:
    assert along(list(values)) is None


def test_the_direction_of_the_metric_counts() -> None:
    assert along([-0.1] * 10, Direction.minimize) is Ended.behind
    assert along([-0.9] * 10, Direction.minimize) is None


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_what_is_no_number_any_more_is_ended_at_once(value: str) -> None:
    assert along([0.2, value]) is Ended.diverged
    assert Pace([], Direction.maximize)(lines([value])) is not None  # whatever the baseline said


def test_without_two_baselines_that_reported_nothing_is_behind() -> None:
    assert Pace(BASELINE[:1], Direction.maximize)(lines([0.0] * 10)) is None
    assert Pace([(), ()], Direction.maximize)(lines([0.0] * 10)) is None


def test_output_may_come_in_any_pieces_and_be_hostile() -> None:
    data = b"x" * 10_000 + b"\n" + lines([0.1] * 10)
    for size in (1, 7, 5000):
        pace = Pace(BASELINE, Direction.maximize)
        stops = [pace(data[at : at + size]) for at in range(0, len(data), size)]
        assert next(filter(None, stops))[0] is Ended.behind
    pace = Pace(BASELINE, Direction.maximize)
    for _ in range(200):
        assert pace(b"\xff\x00progress: " * 1000) is None
    assert len(pace._line) <= 300
