"""Claims: what a finished search holds on to, with the sealed test split opened once, at the end.

The test score is not computed before this: the scorer is asked for one split at a time.
"""

from autoresearch.harness import Lab, score_predictions
from autoresearch.paired import paired_test
from autoresearch.records import Claim, Claims, Lesson, Measurement, Outcome, Score, Trial
from autoresearch.store import Desk, read

UNTESTED = (
    "fresh seeds",
    "order and batch invariance",
    "label permutation",
    "leakage through duplicates, ids or order",
    "compute parity",
    "ablation",
    "the control arm",
)
NO_SEAL = "a sealed test split (none: the score is self-reported, the program's own figure)"


def open_seal(lab: Lab, memory: tuple[Lesson, ...]) -> Claims:
    """A claim for each idea that improved, with its test score beside the baseline's; without one
    where the program reports its own score."""
    improved = [lesson for lesson in memory if lesson.verdict.outcome is Outcome.improved]
    make = _unsealed if lab.task.reported else _claim
    return Claims(claims=tuple(make(lab, lesson) for lesson in improved))


def _unsealed(_: Lab, lesson: Lesson) -> Claim:
    return Claim(
        name=lesson.name,
        slug=lesson.idea.slug,
        verdict=lesson.verdict,
        commit=str(lesson.commit),
        test_score=None,
        test_baseline=None,
        test_effect=None,
        test_interval=None,
        self_reported=True,
        survived=(lesson.verdict.test,),
        untested=(NO_SEAL, *UNTESTED),
    )


def _claim(lab: Lab, lesson: Lesson) -> Claim:
    desk = lab.desk.at(lesson.name)
    trial = read(desk.folder / "practice.json", Trial)
    screening = str(trial.attempts[-1].number)
    pairs = [
        (
            _on_test(lab, desk, _name(mine, screening)),
            _on_test(lab, lab.desk.at("baseline"), _name(base)),
        )
        for mine, base in zip(trial.measurements, lab.floor.measurements, strict=True)
    ]
    scored = [(m.value, b.value) for m, b in pairs if m.value is not None and b.value is not None]
    whole = len(scored) == len(pairs)
    gains = [lab.task.gain(mine, base) for mine, base in scored]
    test = paired_test(gains) if whole else None
    held = whole and sum(gains) > 0
    return Claim(
        name=lesson.name,
        slug=lesson.idea.slug,
        verdict=lesson.verdict,
        commit=str(lesson.commit),
        test_score=sum(m for m, _ in scored) / len(scored) if whole else None,
        test_baseline=sum(b for _, b in scored) / len(scored) if whole else None,
        test_effect=sum(gains) / len(gains) if whole else None,
        test_interval=(test.low, test.high) if test else None,
        survived=(lesson.verdict.test, *(("a gain on the sealed test split",) if held else ())),
        untested=UNTESTED,
    )


def _name(measured: Measurement, screening: str = "seed-0") -> str:
    """The step that ran this measurement: an idea's first seed ran as its last attempt."""
    return screening if measured.seed == 0 else f"seed-{measured.seed}"


def _on_test(lab: Lab, desk: Desk, name: str) -> Score:
    return desk.step(f"{name}-test", Score, lambda: score_predictions(lab, desk, name, "test"))
