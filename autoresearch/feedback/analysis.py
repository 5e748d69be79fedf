"""The verdict, from statistics and nothing else.

A gain counts as improved when it stands against both sources of chance at once: the seeds (a paired
t-test over the seeds' mean gains) and the examples (a paired t-test over the examples' mean gains).
The larger of the two p-values is held against a level divided by the number of ideas that the run may
try (Bonferroni), so that a long run does not find gains by trying often.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch.records import Ended, Floor, Measurement, Outcome, Task, Trial, Verdict

MIN_EXAMPLES = 20  # fewer say nothing about the examples not seen
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Test:
    """A paired test of mean gain: one-sided p for a gain, and the two-sided confidence interval."""

    name: str
    p: float
    low: float
    high: float


def judge(trial: Trial, floor: Floor, task: Task, parent: Trial | None = None) -> Verdict:
    """The verdict on a trial against the baseline with the same seeds, on the validation split.

    What it was built on decides nothing, but how far it is ahead of that is said too.
    """
    verdict = _judge(trial, floor, task)
    if parent is None or verdict.effect is None:
        return verdict
    gain = _gain_over(trial, parent, task)
    said = f"{verdict.reason}; {gain:+.4g} against its parent {parent.idea.slug}"
    return verdict.model_copy(update={"over_parent": gain, "reason": said})


def _gain_over(trial: Trial, parent: Trial, task: Task) -> float:
    """The mean paired gain over the seeds that both ran (the screening seed at least)."""
    pairs = _pairs(trial.measurements, parent.measurements)
    gains = [
        task.gain(mine.value, theirs.value)
        for mine, theirs in pairs
        if mine.value is not None and theirs.value is not None
    ]
    return sum(gains) / len(gains)


def _judge(trial: Trial, floor: Floor, task: Task) -> Verdict:
    pairs = _pairs(trial.measurements, floor.measurements)
    if not pairs:
        return _failed(floor, _why_failed(trial))
    if pairs[0][0].execution.ended is Ended.behind:
        return _behind(floor, pairs[0][0].execution.reason)
    lost = [idea.seed for idea, _ in pairs if idea.value is None]
    if lost:
        return _failed(floor, f"ran with the screening seed but gave no score with seed {lost[0]}")
    if any(_counts_differ(idea, base) for idea, base in pairs):
        return _failed(floor, "score.py gave another number of examples than for the baseline")
    scores = [float(idea.value or 0.0) for idea, _ in pairs]
    gains = [
        task.gain(s, float(base.value or 0.0)) for s, (_, base) in zip(scores, pairs, strict=True)
    ]
    effect, score = sum(gains) / len(gains), sum(scores) / len(scores)
    if len(pairs) < len(floor.measurements):
        return _screened_out(floor, task, score, effect)
    tests = [test for test in (over_seeds(gains), _over_examples(pairs)) if test]
    p = max((test.p for test in tests), default=None)
    loss = max((1 - test.p for test in tests), default=None)
    outcome = Outcome.maintained
    if p is not None and p < floor.alpha:
        outcome = Outcome.improved
    elif loss is not None and loss < floor.alpha:
        outcome = Outcome.declined
    interval = (min(t.low for t in tests), max(t.high for t in tests)) if tests else None
    return Verdict(
        outcome=outcome,
        score=score,
        effect=effect,
        interval=interval,
        p=p,
        alpha=floor.alpha,
        seeds=len(pairs),
        test=" and ".join(test.name for test in tests)
        or "none: one seed and no per-example scores",
        reason=_say(task, effect, p, floor.alpha, len(pairs)),
    )


def _counts_differ(idea: Measurement, base: Measurement) -> bool:
    counts = [len(each.score.examples) for each in (idea, base) if each.score]
    return all(counts) and len(set(counts)) > 1


def paired_t(name: str, gains: Sequence[float]) -> Test | None:
    """Student's paired t-test of mean(gains) > 0; None with fewer than two, or without scatter."""
    count = len(gains)
    if count < 2:
        return None
    mean = sum(gains) / count
    error = math.sqrt(sum((gain - mean) ** 2 for gain in gains) / (count - 1) / count)
    if error < 1e-12 * max(1.0, abs(mean)):  # no scatter: nothing to tell a difference by
        return None
    from scipy.special import stdtr, stdtrit  # Student's t, without the slow import of scipy.stats

    reach = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2)) * error
    return Test(name, float(stdtr(count - 1, -mean / error)), mean - reach, mean + reach)


def over_seeds(gains: Sequence[float]) -> Test | None:
    return paired_t(f"paired t-test over {len(gains)} seeds", gains)


def _over_examples(pairs: list[tuple[Measurement, Measurement]]) -> Test | None:
    """Over examples, each example's gain averaged over the seeds; None without example scores."""
    rows = []
    for idea, base in pairs:
        mine = idea.score.examples if idea.score else ()
        theirs = base.score.examples if base.score else ()
        if len(mine) != len(theirs) or len(mine) < MIN_EXAMPLES:
            return None
        rows.append([a - b for a, b in zip(mine, theirs, strict=True)])
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    return paired_t(f"over {len(means)} examples", means)


def _pairs(
    mine: tuple[Measurement, ...], base: tuple[Measurement, ...]
) -> list[tuple[Measurement, Measurement]]:
    by_seed = {measured.seed: measured for measured in base}
    return [(measured, by_seed[measured.seed]) for measured in mine if measured.seed in by_seed]


def _why_failed(trial: Trial) -> str:
    failure = trial.attempts[-1].failure if trial.attempts else None
    why = f"{failure.stage}: {failure.message}" if failure else "nothing was tried"
    return f"failed in all {len(trial.attempts)} attempts; last: {why}"


def _failed(floor: Floor, reason: str) -> Verdict:
    return Verdict(
        outcome=Outcome.failed,
        score=None,
        effect=None,
        interval=None,
        p=None,
        alpha=floor.alpha,
        seeds=0,
        test="none: no score",
        reason=reason,
    )


def _behind(floor: Floor, reason: str) -> Verdict:
    """An idea whose first run was ended: it has no score, only what it reported of itself."""
    return Verdict(
        outcome=Outcome.declined,
        score=None,
        effect=None,
        interval=None,
        p=None,
        alpha=floor.alpha,
        seeds=0,
        test="none: stopped early on what the program reported as it went",
        reason=f"{reason}, as it went (self-reported)",
    )


def _screened_out(floor: Floor, task: Task, score: float, effect: float) -> Verdict:
    """An idea clearly below the baseline on the screening seed; no further seeds were spent."""
    scatter = f"{floor.deviation:.4g}" if floor.deviation is not None else "unknown"
    return Verdict(
        outcome=Outcome.declined,
        score=score,
        effect=effect,
        interval=None,
        p=None,
        alpha=floor.alpha,
        seeds=1,
        test="screening on one seed",
        reason=f"{effect:+.4g} {task.shown_metric} on the screening seed, beyond the baseline's scatter "
        f"of {scatter}; not measured further",
    )


def _say(task: Task, effect: float, p: float | None, alpha: float, seeds: int) -> str:
    tested = "not tested" if p is None else f"p = {p:.2g} against a level of {alpha:.2g}"
    return f"gain {effect:+.4g} {task.shown_metric} over {seeds} seed{'s' if seeds > 1 else ''}, {tested}"
