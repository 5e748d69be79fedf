"""The sealed test split: scored once, at the end, for what no falsifier refuted; and that is recorded.

The test score is not computed before this: the scorer is asked for one split at a time.
"""

from datetime import UTC, datetime

from autoresearch.falsify.evidence import mean
from autoresearch.harness import Lab, score_predictions
from autoresearch.paired import paired_test
from autoresearch.records import (
    Claim,
    Evidence,
    Fidelity,
    Lesson,
    Measurement,
    Opening,
    Score,
    Trial,
)
from autoresearch.store import Desk, read

SEALED = "a gain on the sealed test split"
SEEN = "a test split that chose nothing (by it an earlier run's claim was chosen that this was built on)"
NO_SEAL = "a sealed test split (none: the score is self-reported, the program's own figure)"
Tried = tuple[Lesson, tuple[Evidence, ...], Fidelity | None]


def stands(evidence: tuple[Evidence, ...]) -> bool:
    return all(each.outcome != "refuted" for each in evidence)


def open_seal(lab: Lab, tried: list[Tried]) -> tuple[Claim, ...]:
    """The claims, with test scores beside the baseline's for those that stand. A test split that was
    opened before stays closed for what was not part of that opening."""
    claims = [_claim(lab, *each) for each in tried]
    standing = [claim for claim in claims if not claim.refuted]
    if lab.task.reported or not standing:
        extra = (NO_SEAL,) if lab.task.reported else ()
        update = {"self_reported": lab.task.reported is not None}
        return tuple(
            claim.model_copy(update=update | {"untested": (*extra, *claim.untested)})
            for claim in claims
        )
    opening = lab.desk.step("seal", Opening, lambda: _opening(lab, standing))
    return tuple(claim if claim.refuted else _opened(lab, claim, opening) for claim in claims)


def _opening(lab: Lab, claims: list[Claim]) -> Opening:
    return Opening(
        opened=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        baseline=lab.floor.commit,
        ideas=tuple((claim.name, claim.commit) for claim in claims),
    )


def _opened(lab: Lab, claim: Claim, opening: Opening) -> Claim:
    if (claim.name, claim.commit) in opening.ideas and opening.baseline == lab.floor.commit:
        return _with_test(lab, claim)
    why = f"opened at {opening.opened} already, for {len(opening.ideas)} other ideas"
    lab.note(f"{claim.name}: the sealed test split stays closed: {why}")
    return claim.model_copy(
        update={"untested": (*claim.untested, f"the sealed test split ({why})")}
    )


def _claim(
    lab: Lab, lesson: Lesson, evidence: tuple[Evidence, ...], fidelity: Fidelity | None
) -> Claim:
    names: dict[str, list[str]] = {"survived": [lesson.verdict.test], "refuted": [], "untested": []}
    for each in evidence:
        named = names["survived" if each.outcome == "noted" else each.outcome]
        why = f" ({each.reason})" if each.outcome == "untested" else ""
        named.append(f"{each.falsifier}{why}")
    return Claim(
        name=lesson.name,
        slug=lesson.idea.slug,
        verdict=lesson.verdict,
        commit=str(lesson.commit),
        test_score=None,
        test_baseline=None,
        test_effect=None,
        test_interval=None,
        survived=tuple(names["survived"]),
        untested=tuple(names["untested"]),
        refuted=tuple(names["refuted"]),
        evidence=evidence,
        fidelity=fidelity,
        environment=lab.environment_hash,
        reproduce=f"autoresearch reproduce {lab.desk.folder.name} {lesson.idea.slug}",
    )


def _with_test(lab: Lab, claim: Claim) -> Claim:
    desk = lab.desk.at(claim.name)
    trial = read(desk.folder / "practice.json", Trial)
    screening = str(trial.attempts[-1].number)
    floor = {each.seed: each for each in lab.floor.measurements}
    pairs = [
        (
            _on_test(lab, desk, _name(mine, screening)),
            _on_test(lab, lab.desk.at("baseline"), _name(floor[mine.seed])),
        )
        for mine in trial.measurements
    ]
    scored = [(m.value, b.value) for m, b in pairs if m.value is not None and b.value is not None]
    if len(scored) < len(pairs):
        said = f"{SEALED} (score.py gave none)"
        return claim.model_copy(update={"untested": (*claim.untested, said)})
    if _from_carried(lab, trial):
        claim = claim.model_copy(update={"untested": (*claim.untested, SEEN)})
    gains = [lab.task.gain(mine, base) for mine, base in scored]
    test, held = paired_test(gains), mean(gains) > 0
    update = {
        "test_score": mean([m for m, _ in scored]),
        "test_baseline": mean([b for _, b in scored]),
        "test_effect": mean(gains),
        "test_interval": (test.low, test.high) if test else None,
        "survived" if held else "refuted": (*(claim.survived if held else ()), SEALED),
    }
    return claim.model_copy(update=update)


def _from_carried(lab: Lab, trial: Trial) -> bool:
    """Whether it was built on a claim of an earlier run, directly or not."""
    while trial.parent is not None:
        if trial.parent.startswith("carried/"):
            return True
        trial = read(lab.desk.at(trial.parent).folder / "practice.json", Trial)
    return False


def _name(measured: Measurement, screening: str = "seed-0") -> str:
    """The step that ran this measurement: an idea's first seed ran as its last attempt."""
    return screening if measured.seed == 0 else f"seed-{measured.seed}"


def _on_test(lab: Lab, desk: Desk, name: str) -> Score:
    return desk.step(f"{name}-test", Score, lambda: score_predictions(lab, desk, name, "test"))
