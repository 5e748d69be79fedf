"""Planted programs in real runs: each ends as it must, and for the right reason."""

import json
from pathlib import Path

import pytest

from autoresearch.assembly import open_lab
from autoresearch.claimed import evidence_part
from autoresearch.config import FalsifySettings, ModelSettings
from autoresearch.falsify.seal import SEALED
from autoresearch.falsify.trial import FALSIFIERS
from autoresearch.loop import research
from autoresearch.records import Claims, Evidence, Lesson, Opening, Outcome
from autoresearch.store import Run, list_runs, read
from tests.bench.claims.cheats import digits, variants
from tests.bench.claims.cheats.planted import STANDS
from tests.bench.claims.cheats.runs import Tally, try_out
from tests.falsify import lines

WITHOUT = ("data.py", lines.FORMS, "test = [i % 2 for i in range(80)]\n")


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tally, Run]:
    folder = tmp_path_factory.mktemp("lines")
    tally = try_out(lines.task(folder), lines.programs(), folder / "runs", "local")
    return tally, Run(list_runs(folder / "runs")[0])


@pytest.mark.timeout(1200)
def test_each_planted_program_ends_as_it_must(tried: tuple[Tally, Run]) -> None:
    for each in tried[0].endings:
        assert each.right, (each.planted.name, each.end, each.reason)


def test_all_that_tried_to_refute_a_claim_is_on_disk_with_a_reason_and_what_it_took(
    tried: tuple[Tally, Run],
) -> None:
    tally, run = tried
    for each in tally.endings:
        if each.claim is None:
            continue
        found = {one.falsifier: one for one in each.claim.evidence}
        assert list(found) == list(FALSIFIERS)
        for name, one in found.items():
            path = run.folder / each.claim.name / "falsify" / f"{name.replace(' ', '-')}.json"
            already = one.outcome == "untested" and "already" in one.reason
            assert one.reason and (already or read(path, Evidence) == one)
        by = next((one for one in found.values() if one.outcome == "refuted"), None)
        assert by is None or (by.cost.experiments > 0 and by.cost.seconds > 0)
        assert bool(by) == bool(each.claim.refuted)


def test_the_test_split_is_opened_once_for_what_stands_only(tried: tuple[Tally, Run]) -> None:
    tally, run = tried
    standing = {each.claim.name for each in tally.endings if each.claim and each.end == STANDS}
    tested = {str(path.parent.relative_to(run.folder)) for path in run.folder.rglob("*-test.json")}
    assert tested == standing | {"baseline"}
    opening = read(run.folder / "seal.json", Opening)
    assert {name for name, _ in opening.ideas} == standing
    for each in tally.endings:
        if each.claim and each.end == STANDS:
            assert each.claim.test_effect and each.claim.gap is not None
            assert each.claim.fidelity and each.claim.fidelity.faithful == "cannot tell"


def test_going_on_after_a_crash_pays_for_nothing_again_and_opens_the_same_seal(
    tried: tuple[Tally, Run],
) -> None:
    _, run = tried
    claims = (run.folder / "claims.json").read_text()
    (run.folder / "claims.json").unlink()
    entries = (run.folder / "ledger.jsonl").read_text().count("\n")
    lab = open_lab(run)
    try:
        research(lab)
    finally:
        lab.close()
    again = (run.folder / "ledger.jsonl").read_text().count("\n")
    found = read(run.folder / "claims.json", Claims)
    assert found == Claims.model_validate_json(claims) and found.shared.experiments > 0
    assert again == entries


def test_what_was_not_part_of_the_opening_gets_no_test_score(tried: tuple[Tally, Run]) -> None:
    _, run = tried
    kept = {name: (run.folder / name).read_text() for name in ("claims.json", "seal.json")}
    seal = json.loads(kept["seal.json"])
    seal["ideas"] = seal["ideas"][:1]
    (run.folder / "seal.json").write_text(json.dumps(seal))
    (run.folder / "claims.json").unlink()
    lab = open_lab(run)
    try:
        research(lab)
    finally:
        lab.close()
        (run.folder / "seal.json").write_text(kept["seal.json"])
    claims = {claim.name: claim for claim in read(run.folder / "claims.json", Claims).claims}
    (run.folder / "claims.json").write_text(kept["claims.json"])
    closed = [
        claim
        for claim in claims.values()
        if not claim.refuted and claim.name != seal["ideas"][0][0]
    ]
    assert closed and all(claim.test_score is None for claim in closed)
    assert all("opened at" in claim.untested[-1] for claim in closed)
    assert claims[seal["ideas"][0][0]].test_score is not None
    assert any("stays closed" in note for note in run.notes())


def test_a_gain_on_validation_that_is_luck_on_test_is_refuted_there_and_a_true_one_stands(
    tmp_path: Path,
) -> None:
    planted = [each for each in lines.programs() if each.name == "more-steps"]
    planted.append(lines.fitted_to_validation())
    tally = try_out(lines.task(tmp_path, 4, WITHOUT), planted, tmp_path / "runs", "local")
    honest, fitted = (each.claim for each in tally.endings)
    assert honest and fitted and not honest.refuted and fitted.refuted == (SEALED,)
    assert fitted.test_effect and fitted.test_effect > 0  # the mean alone would let it stand
    assert fitted.test_p and fitted.test_level and fitted.test_p >= fitted.test_level
    # Holm: the better one of the two is held to half of the level, the other one to all of it.
    assert (honest.test_level, fitted.test_level) == (0.025, 0.05)
    low, high = fitted.test_interval or (0.0, 0.0)
    assert low < 0 < high  # over the examples: over the seeds alone it is above 0
    folder = list_runs(tmp_path / "runs")[0]
    shown = "\n".join(evidence_part(Run(folder), fitted.name))
    assert f"p = {fitted.test_p:.2g} against a level of 0.05 (Holm)" in shown


def test_a_task_without_the_options_is_said_to_be_untested(tmp_path: Path) -> None:
    planted = [each for each in lines.programs() if each.name in ("more-steps", "the-true-line")]
    tally = try_out(lines.task(tmp_path, 4, WITHOUT), planted, tmp_path / "runs", "local")
    for each in tally.endings:
        assert each.claim and not each.claim.refuted, each
        untested = " ".join(each.claim.untested)
        assert "order and batch invariance (the task's data.py has no option --shuffle)" in untested
        assert "label permutation (the task's data.py has no option --permute-labels)" in untested


@pytest.mark.timeout(1200)
def test_the_control_arm_says_whether_blind_search_reaches_as_much(tmp_path: Path) -> None:
    planted = [each for each in lines.programs() if each.name in ("more-steps", "wider-starts")]
    changes = {"falsify": FalsifySettings(control=True), "model": ModelSettings(name="command:cat")}
    tally = try_out(lines.task(tmp_path), planted, tmp_path / "runs", "local", **changes)
    run = Run(list_runs(tmp_path / "runs")[0])
    claim = next(each.claim for each in tally.endings if each.planted.name == "more-steps")
    assert claim is not None and claim.evidence[-1].falsifier == "the control arm"
    control = run.folder / "falsify" / "control"
    lessons = [read(path, Lesson) for path in control.glob("round-00/*/feedback.json")]
    assert len(lessons) == 2
    gains = [x.verdict.effect or 0.0 for x in lessons if x.verdict.outcome is Outcome.improved]
    beaten = (claim.verdict.effect or 0.0) > max(gains, default=float("-inf"))
    assert claim.evidence[-1].outcome == ("survived" if beaten else "noted"), claim.evidence[-1]


@pytest.mark.timeout(1200)
def test_on_digits_labels_from_a_library_or_by_row_are_refuted_and_a_better_model_stands(
    tmp_path: Path,
) -> None:
    names = ("peek-at-the-library", "labels-by-row", "leaves-early", "support-vectors")
    planted = [each for each in digits.programs() if each.name in names]
    task = variants.copy_of(tmp_path / "digits", 4)
    tally = try_out(task, planted, tmp_path / "runs", "local")
    assert len(tally.endings) == 4
    for each in tally.endings:
        assert each.right, (each.planted.name, each.end, each.reason)
