"""The debugging benchmark: its cases fail as recorded, its check tells repaired programs from others, and the
product's excerpts hold what its targets promise."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.errors import SandboxError
from autoresearch.harness import Lab
from autoresearch.llm import Answer, Request
from autoresearch.practice.crashes import FILE, read_crash
from autoresearch.practice.tracebacks import failure_of
from autoresearch.records import Failure, Measurement
from autoresearch.textedits import edits_between
from tests.bench.debugging.arms import Shown, everything_shown, lines_shown
from tests.bench.debugging.cases import (
    Case,  # fmt: skip
    baseline,
    candidates,
    case_of,
    honest_ideas,
    keeps_idea,
    patched,
)
from tests.bench.debugging.live import figures, repair, wilson
from tests.bench.debugging.operators import CATEGORIES, OPERATORS
from tests.bench.debugging.recording import (
    TOLERANCE,
    Recorded,
    lab_of,
    recorded,
    repaired,
    run_program,
)

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
    assert sum(inherited) >= 0.8 * len(inherited)
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
    kept = _digits(operator)
    case = case_of(kept.mistake)
    measured, witnessed = run_program(digits, case.name, case.broken)
    before = Measurement(seed=0, execution=kept.execution, score=kept.score)
    assert _failure(measured, witnessed, tmp_path) == _failure(before, kept.witnessed, tmp_path)
    assert not repaired(case.honest, case.broken, measured.value, 0.0)


def _digits(operator: str) -> Recorded:
    kept = (each for each in recorded().cases if each.mistake.operator == operator)
    return next(each for each in kept if each.mistake.honest.startswith("digits/"))


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


class Knowing:
    """A model that knows the honest program of one case."""

    def __init__(self, case: Case) -> None:
        self.asked = 0
        self._edits = edits_between("train.py", case.broken["train.py"], case.whole["train.py"])

    def answer(self, request: Request) -> Answer:
        self.asked += 1
        blocks = [
            f"### file: {e.path}\n<<<<<<< SEARCH\n{e.search}=======\n{e.replace}>>>>>>> REPLACE\n"
            for e in self._edits
        ]
        text = "The mistake is mended.\n" + "\n".join(blocks)
        return Answer(text=text, model="knows", tokens_in=0, tokens_out=0, dollars=0.0, seconds=0.0)


def test_a_model_is_asked_with_the_products_own_code_and_its_repair_is_checked(digits: Lab) -> None:
    kept = _digits(SAMPLED[0])
    case = case_of(kept.mistake)
    model = Knowing(case)
    lab = dataclasses.replace(digits, model=model)
    outcome = repair(lab, case, kept)
    assert outcome.repaired_by == 1 and outcome.failures == () and model.asked == 1
    assert repair(lab, case, kept) == outcome and model.asked == 1  # all of it is on disk
    figures_shown = "\n".join(figures([outcome], 4))
    assert "| 1 | 4 | 1 | 100.0% | 20.7% to 100.0% |" in figures_shown


def test_intervals_are_wilsons() -> None:
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert wilson(0, 10)[0] == 0.0 and wilson(0, 10)[1] == pytest.approx(0.2775, abs=1e-3)
