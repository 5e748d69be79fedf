"""Claims that stand are tried together: what git can merge, measured and refuted like any idea."""

from pathlib import Path

import pytest

from autoresearch.assembly import open_lab
from autoresearch.loop import research
from autoresearch.records import Agenda, Claims, Lesson, Opening, Outcome, Trial
from autoresearch.report import rows_of
from autoresearch.store import Run, list_runs, read
from tests.bench.claims.cheats.planted import STANDS, Planted
from tests.bench.claims.cheats.runs import try_out
from tests.falsify import lines

STEPS = Planted("more-steps", "More steps.", (("STEPS = 40", "STEPS = 80"),), (STANDS,), "honest")
SLOPE = Planted(
    "a-faster-slope", "A larger step of the slope alone.",
    (("            LEARNING_RATE\n", "            1.5 * LEARNING_RATE\n"),), (STANDS,), "honest",
)  # fmt: skip
RATE = Planted(  # beside the line that STEPS changes: git does not merge the two
    "a-larger-step", "A larger learning rate.",
    (("LEARNING_RATE = 0.05", "LEARNING_RATE = 0.06"),), (STANDS,), "honest",
)  # fmt: skip


def planted(folder: Path, *programs: Planted) -> Run:
    try_out(lines.task(folder), programs, folder / "runs", "local")
    return Run(list_runs(folder / "runs")[0])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return planted(tmp_path_factory.mktemp("combined"), STEPS, SLOPE, RATE)


def test_claims_that_merge_are_measured_together_and_compared_with_the_best_of_them(
    run: Run,
) -> None:
    row = rows_of(run)[-1]
    assert (row.round, row.idea.slug, row.idea.parent) == (1, "combined", "more-steps")
    assert row.idea.title == "Combined: more-steps + a-faster-slope"
    verdict = read(row.folder / "feedback.json", Lesson).verdict
    assert verdict.outcome is Outcome.improved
    assert verdict.over_parent is not None and verdict.over_parent > 0
    trial = read(row.folder / "practice.json", Trial)
    assert "+STEPS = 80" in trial.diff and "+            1.5 * LEARNING_RATE" in trial.diff
    assert "LEARNING_RATE = 0.06" not in trial.diff
    best = read(run.folder / "round-00" / "0-more-steps" / "practice.json", Trial)
    gains = [
        float(mine.value or 0.0) - float(theirs.value or 0.0)
        for mine, theirs in zip(trial.measurements, best.measurements, strict=True)
    ]
    assert verdict.over_parent == pytest.approx(sum(gains) / len(gains))


def test_the_combination_is_a_claim_that_falsifiers_and_the_sealed_split_are_tried_on(
    run: Run,
) -> None:
    claims = read(run.folder / "claims.json", Claims).claims
    combined = claims[-1]
    assert combined.name == "round-01/0-combined" and not combined.refuted
    assert "fresh seeds" in combined.survived and combined.test_effect is not None
    ablation = next(each for each in combined.evidence if each.falsifier == "ablation")
    assert "over the idea that it was built on" in ablation.reason
    opening = read(run.folder / "seal.json", Opening)
    assert [name for name, _ in opening.ideas] == [claim.name for claim in claims]


def test_going_on_after_a_crash_measures_no_combination_again(run: Run) -> None:
    entries = (run.folder / "ledger.jsonl").read_text()
    claims = (run.folder / "claims.json").read_text()
    for name in (
        "claims.json",
        "round-01/0-combined/practice.json",
        "round-01/0-combined/feedback.json",
    ):
        (run.folder / name).unlink()
    lab = open_lab(run)
    try:
        research(lab)
    finally:
        lab.close()
    again = (run.folder / "ledger.jsonl").read_text()
    assert (run.folder / "claims.json").read_text() == claims and again == entries


def test_what_does_not_merge_is_not_combined_and_that_is_on_disk(tmp_path: Path) -> None:
    run = planted(tmp_path, STEPS, RATE)
    assert all(not claim.refuted for claim in read(run.folder / "claims.json", Claims).claims)
    assert read(run.folder / "round-01" / "think.json", Agenda).candidates == ()
    assert [row.idea.slug for row in rows_of(run)] == ["more-steps", "a-larger-step"]
