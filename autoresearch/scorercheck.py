"""Whether a task's scorer can be trusted: what it says of sound predictions, and of nonsense."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from autoresearch.feedback.sensitivity import best_value
from autoresearch.findings import Finding, error, listed, ok, warning
from autoresearch.harness import Lab, in_parallel, score_predictions
from autoresearch.nonsense import Case, cases, prediction_files, risky_calls, same_bytes, spoil
from autoresearch.paired import MIN_EXAMPLES, paired_test
from autoresearch.records import Direction, Measurement, Score, Task
from autoresearch.store import Desk

REFUSE = 'have it write {"refused": "why"} to score.json'
REFUSED = "predictions refused: "  # how the harness begins a refusal; anything else is a breakdown
DOUBT = 0.01  # the p-value from which a score is hardly worse than another
_SHARE = re.compile(r"(.*_)?(acc|accuracy|f1|auc|auroc|precision|recall|r2|dice|iou)(_.*)?", re.I)


def read_scorer(source: str) -> Iterator[Finding]:
    """What the text of score.py says by itself."""
    try:
        risky = risky_calls(source)
    except (SyntaxError, ValueError) as problem:
        yield error(f"score.py is not valid Python: {problem}", "mend it")
        return
    for line, name in risky:
        yield error(
            f"score.py, line {line}, calls {name}: a prediction file could have it run code",
            "read text or arrays instead (numpy.load with allow_pickle=False)",
        )


def check_scorer(
    lab: Lab, desk: Desk, measured: Measurement, say: Callable[[str], None]
) -> Iterator[Finding]:
    """All that is wrong with how score.py scores what the baseline left as `seed-0` of `desk`."""
    sound = measured.score
    assert sound is not None and sound.value is not None
    say("scoring the same predictions again, and on the test split")
    again = score_predictions(lab, desk, "seed-0", "validation")
    sealed = score_predictions(lab, desk, "seed-0", "test")
    yield from _repeats(sound, again)
    yield from _splits(sound, sealed)
    yield from _range(lab.task, sound)
    say("scoring nonsense")
    left = desk.folder / "seed-0-out"
    names = prediction_files(left, (lab.task.folder / "score.py").read_text(errors="replace"))
    tried = in_parallel(lab, _trial(lab, left, names), range(len(list(cases()))))
    yield from _verdicts(lab.task, sound, [(c, s) for c, s in tried if s is not None])
    if not any(case.name == "shuffled predictions" and score for case, score in tried):
        files = listed([str(path.relative_to(left)) for path in names])
        yield warning(
            f"the predictions are all alike, or {files} cannot be taken apart: not shuffled",
            "have the baseline write its predictions as .csv, .json or .npy, one row each",
        )


def _trial(lab: Lab, left: Path, names: list[Path]) -> Callable[[int], tuple[Case, Score | None]]:
    """What scores one case of nonsense: None where it does not apply, or changes nothing."""
    every, desk = list(cases()), lab.desk.at("nonsense")

    def one(number: int) -> tuple[Case, Score | None]:
        case, target = every[number], desk.folder / f"{number}-out"
        try:
            if not spoil(left, target, names, case) or not same_bytes(left, target):
                return case, None
            return case, score_predictions(lab, desk, str(number), "validation")
        finally:
            shutil.rmtree(target, ignore_errors=True)

    return one


def _repeats(sound: Score, again: Score) -> Iterator[Finding]:
    if (sound.value, sound.examples) == (again.value, again.examples):
        yield ok("score.py gives the same predictions the same score")
    else:
        yield error(
            f"score.py scored the same predictions {sound.value} and then {again.value}",
            "take all chance out of it",
        )


def _splits(sound: Score, sealed: Score) -> Iterator[Finding]:
    if sealed.value is None:
        yield error(
            f"score.py works on validation but not with SPLIT=test: {sealed.reason}", "mend it"
        )
    elif sealed.value == sound.value and sealed.examples == sound.examples:
        yield (error if sound.examples else warning)(
            "score.py says the same of validation and test",
            "score only the rows of the split that $SPLIT names",
        )
    else:
        yield ok("score.py tells validation from test (the test score is not shown)")
    count = len(sound.examples)
    if 0 < count < MIN_EXAMPLES:
        yield warning(
            f"score.py gives {count} per-example scores: from {MIN_EXAMPLES} on they count",
            "give one for each row of the split; until then gains are tested over seeds only",
        )
    elif not count:
        yield warning(
            "score.py gives no per-example scores: gains are tested over seeds only",
            'add "examples" to score.json, one number a row, higher is better, if the metric has such',
        )


def _range(task: Task, sound: Score) -> Iterator[Finding]:
    value = float(sound.value or 0.0)
    if _SHARE.fullmatch(task.metric) and not -1 <= value <= 1:
        yield warning(
            f"{task.metric} is {value:.4g}, which is not a share", "give it as 0 to 1, or rename it"
        )
    best = best_value(sound, task.direction)
    if best is not None and abs(best - value) <= 1e-3 * max(abs(best), abs(value), 1e-9):
        yield warning(
            f"the baseline is at the best {task.metric} there is ({value:.4g}): no gain can be seen",
            "take a harder task, a weaker baseline, or look for a leak of the labels",
        )


# --- nonsense -----------------------------------------------------------------------------------


def _verdicts(task: Task, sound: Score, tried: list[tuple[Case, Score]]) -> Iterator[Finding]:
    broken: list[str] = []
    refused: list[str] = []
    worse: list[str] = []
    for case, score in tried:
        if score.value is None:
            (refused if score.reason.startswith(REFUSED) else broken).append(case.name)
        elif case.wanted == "refused":
            yield error(f"score.py gives {case.name} a score of {score.value:.4g}", REFUSE)
        elif case.wanted == "better refused":
            yield warning(f"score.py gives {case.name} a score of {score.value:.4g}", REFUSE)
        else:
            found = list(_compare(task, sound, score, case.name))
            worse += [] if found else [f"{case.name} {score.value:.3g}"]
            yield from found
    if broken:
        yield warning(
            f"score.py breaks down instead of refusing on {listed(broken, 20)}",
            f"{REFUSE}: the model is shown the reason and can mend its code",
        )
    if refused:
        names = listed(refused, 20)
        yield Finding("ok", f"score.py refuses {len(refused)} kinds of nonsense", detail=(names,))
    if worse:
        yield ok(f"score.py scores as worse what is worse: {listed(worse, 20)}")


def _compare(task: Task, sound: Score, spoiled: Score, name: str) -> Iterator[Finding]:
    """Whether spoiled predictions score clearly worse than the sound ones, by value and by example."""
    value, other = float(sound.value or 0.0), float(spoiled.value or 0.0)
    loss = task.gain(value, other)
    said = f"score.py gives {name} {other:.4g}, and the baseline's own {value:.4g}"
    differences = [a - b for a, b in zip(sound.examples, spoiled.examples, strict=False)]
    if loss <= 1e-9 * max(1.0, abs(value)):
        yield error(
            f"{said}, which is no better",
            "compare row by row with the labels, or see whether the baseline has learnt anything "
            "and the direction is right",
        )
    elif differences and sum(differences) * loss < 0:
        yield error(
            f"{said}, but its per-example scores say that the baseline's are the worse ones",
            'in "examples" higher is better'
            + (": negate them" if task.direction is Direction.minimize else ""),
        )
    elif len(differences) >= MIN_EXAMPLES:
        test = paired_test(differences)
        if test is not None and test.p >= DOUBT:
            yield warning(
                f"{said}, which is hardly worse", "see whether the baseline has learnt anything"
            )
