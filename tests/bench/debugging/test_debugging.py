"""The debugging benchmark: its cases fail as recorded, its check tells repaired programs from others, and the
product's excerpts hold what its targets promise."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.errors import SandboxError
from autoresearch.harness import Lab
from autoresearch.practice.crashes import FILE, read_crash
from autoresearch.practice.tracebacks import failure_of
from autoresearch.records import Failure, Measurement
from tests.bench.debugging.arms import Shown, everything_shown, lines_shown
from tests.bench.debugging.cases import (  # fmt: skip
    baseline,
    candidates,
    case_of,
    honest_ideas,
    keeps_idea,
    patched,
)
from tests.bench.debugging.live import wilson
from tests.bench.debugging.operators import CATEGORIES, OPERATORS
from tests.bench.debugging.recording import TOLERANCE, lab_of, recorded, repaired, run_program

SAMPLED = ("misspelt-name", "return-missing", "stacked-for-joined", "output-misnamed")


@pytest.fixture(scope="module")
def shown() -> list[Shown]:
    return everything_shown(("raw", "structure"))


@pytest.fixture(scope="module")
def digits() -> Iterator[Lab]:
    try:
        with lab_of("digits") as lab:
            assert lab.floor.mean > 0
            yield lab
    except SandboxError as absent:
        pytest.skip(f"NO LOCAL SANDBOX: {absent}")


def test_every_operator_has_cases_and_every_category_operators() -> None:
    cases = recorded().cases
    count = Counter(each.mistake.operator for each in cases)
    assert len(cases) >= 150 and set(count) == set(OPERATORS)
    assert {each.category for each in OPERATORS.values()} == set(CATEGORIES)
    kinds = Counter(each.mistake.kind for each in cases)
    assert kinds["patch"] >= 120 and kinds["inherited"] >= 30
    assert len({each.mistake.name for each in cases}) == len(cases)


def test_each_recorded_execution_is_a_failure() -> None:
    for each in recorded().cases:
        measured = Measurement(seed=0, execution=each.execution, score=each.score)
        assert measured.value is None and failure_of(measured) is not None


def test_a_case_differs_from_the_honest_program_where_it_says() -> None:
    for each in recorded().cases:
        case = case_of(each.mistake)
        assert case.broken != case.whole and case.fault
        if each.mistake.kind == "inherited" and each.mistake.left_out < 0:
            assert case.original != baseline(case.honest.task)


def test_operators_make_what_is_recorded() -> None:
    for each in recorded().cases[::12]:
        mistake, task = each.mistake, each.mistake.honest.partition("/")[0]
        assert mistake in set(candidates(OPERATORS[mistake.operator], mistake.kind, task))


def test_an_honest_program_keeps_its_idea_and_the_baseline_does_not_have_it() -> None:
    for honest in honest_ideas():
        assert keeps_idea(honest, patched(honest)), honest.name
        assert not keeps_idea(honest, baseline(honest.task)), honest.name


def test_the_mistake_is_shown_in_19_of_20_cases_with_half_the_tokens(shown: list[Shown]) -> None:
    ours = [each for each in shown if each.arm == "structure"]
    raw = [each for each in shown if each.arm == "raw"]
    inside = [each.inside for each in ours if each.case.mistake.kind == "patch"]
    inherited = [each.inside for each in ours if each.case.mistake.kind == "inherited"]
    assert sum(inside) >= 0.95 * len(inside)
    assert sum(inherited) >= 0.6 * len(inherited)
    assert sum(each.parts for each in ours) <= 0.5 * sum(each.parts for each in raw)
    assert all(each.inside for each in raw)


def test_lines_that_are_shown_are_told_from_those_that_are_not() -> None:
    text = "".join(f"{letter}\n" for letter in "abcab")
    assert lines_shown(text, text) == {1, 2, 3, 4, 5}
    assert lines_shown(text, "b\n[…]\na\nb\n") == {2, 4, 5}
    assert lines_shown(text, "[… def f() …]\nc\n") == {3}
    assert lines_shown(text, "x\n") == set()


@pytest.mark.parametrize("operator", SAMPLED)
def test_a_case_fails_again_as_it_was_recorded(digits: Lab, operator: str, tmp_path: Path) -> None:
    kept = next(
        each
        for each in recorded().cases
        if each.mistake.operator == operator and each.mistake.honest.startswith("digits/")
    )
    case = case_of(kept.mistake)
    measured, witnessed = run_program(digits, case.name, case.broken)
    before = Measurement(seed=0, execution=kept.execution, score=kept.score)
    assert _failure(measured, witnessed, tmp_path) == _failure(before, kept.witnessed, tmp_path)
    assert not repaired(case.honest, case.broken, measured.value, 0.0)


def _failure(measured: Measurement, witnessed: object, folder: Path) -> tuple[str, str, object]:
    (folder / FILE).write_text(json.dumps(witnessed))
    failure: Failure | None = failure_of(measured, read_crash(folder))
    assert failure is not None
    return failure.stage, failure.fingerprint, failure.places


def test_the_check_passes_the_honest_program_and_refuses_one_without_the_idea(digits: Lab) -> None:
    honest = next(each for each in honest_ideas() if each.name == "digits/shifted-copies")
    least = recorded().honest[honest.name]
    value = run_program(digits, "honest", patched(honest))[0].value
    assert repaired(honest, patched(honest), value, least)
    assert not repaired(honest, baseline("digits"), value, least)
    assert not repaired(honest, patched(honest), least - 2 * TOLERANCE, least)
    assert not repaired(honest, patched(honest), None, least)


def test_intervals_are_wilsons() -> None:
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert wilson(0, 10)[0] == 0.0 and wilson(0, 10)[1] == pytest.approx(0.2775, abs=1e-3)
