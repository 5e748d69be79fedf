"""The sealed test split: scored once, at the end, for what no falsifier refuted; and that is recorded.

The test score is not computed before this: the scorer is asked for one split at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from autoresearch.falsify.evidence import Sealed, mean, on_test
from autoresearch.harness import Lab, score_predictions
from autoresearch.paired import Pair, example_gains, gains_of
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


@dataclass(frozen=True)
class Scored:
    """A claim with its runs on the test split, each beside the baseline's with that seed."""

    claim: Claim
    pairs: list[Pair]


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
    opened = [claim if claim.refuted else _opened(lab, claim, opening) for claim in claims]
    return tuple(_decided(lab, opened))


def _opening(lab: Lab, claims: list[Claim]) -> Opening:
    return Opening(
        opened=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        baseline=lab.floor.commit,
        ideas=tuple((claim.name, claim.commit) for claim in claims),
    )


def _opened(lab: Lab, claim: Claim, opening: Opening) -> Claim | Scored:
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


def _with_test(lab: Lab, claim: Claim) -> Claim | Scored:
    desk = lab.desk.at(claim.name)
    trial = read(desk.folder / "practice.json", Trial)
    screening = str(trial.attempts[-1].number)
    floor = {each.seed: each for each in lab.floor.measurements}
    pairs = [
        (
            _on_test(lab, desk, mine, _name(mine, screening)),
            _on_test(lab, lab.desk.at("baseline"), floor[mine.seed], _name(mine)),
        )
        for mine in trial.measurements
    ]
    if any(each.value is None for pair in pairs for each in pair):
        said = f"{SEALED} (score.py gave none)"
        return claim.model_copy(update={"untested": (*claim.untested, said)})
    if _from_carried(lab, trial):
        claim = claim.model_copy(update={"untested": (*claim.untested, SEEN)})
    return Scored(claim, pairs)


def _decided(lab: Lab, opened: list[Claim | Scored]) -> Iterator[Claim]:
    """The claims in their order, those with test scores decided together."""
    scored = [each for each in opened if isinstance(each, Scored)]
    gains = [gains_of(each.pairs, lab.task) for each in scored]
    rows = [example_gains(each.pairs) for each in scored]
    found = iter(zip(gains, on_test(list(zip(gains, rows, strict=True))), strict=True))
    for each in opened:
        yield each if isinstance(each, Claim) else _held(each, *next(found))


def _held(scored: Scored, gains: list[float], found: Sealed) -> Claim:
    claim, test = scored.claim, found.test
    passed = ("survived", claim.survived) if found.holds else ("refuted", claim.refuted)
    update = {
        "test_score": mean([float(mine.value or 0.0) for mine, _ in scored.pairs]),
        "test_baseline": mean([float(base.value or 0.0) for _, base in scored.pairs]),
        "test_effect": mean(gains),
        "test_interval": (test.low, test.high) if test else None,
        "test_p": found.p,
        "test_level": found.level,
        passed[0]: (*passed[1], SEALED),
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


def _on_test(lab: Lab, desk: Desk, measured: Measurement, name: str) -> Measurement:
    """The same run with its score on the test split, examples too."""
    score = desk.step(f"{name}-test", Score, lambda: score_predictions(lab, desk, name, "test"))
    return measured.model_copy(update={"score": score})
