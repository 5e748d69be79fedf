"""The verdict, from statistics and nothing else.

A gain counts as improved when one paired test over seeds and examples together (`paired`) finds it at
the level that the idea is held to (`levels`: the false discovery rate of the run). That test is made
once, after the last seed. An idea that was stopped before has an interval, and was not improved.
"""

from collections.abc import Sequence

from autoresearch.levels import PROCEDURE
from autoresearch.paired import (
    CONFIDENCE,
    Pair,
    Test,
    example_gains,
    gains_of,
    paired_test,
    paired_up,
)
from autoresearch.records import Ended, Floor, Measurement, Outcome, Task, Trial, Verdict
from autoresearch.stopping import Outlook, outlook

WARNING = 1 - CONFIDENCE  # the level of `declined`: it costs nothing that maintained would not


def judge(trial: Trial, floor: Floor, task: Task, parent: Trial | None = None) -> Verdict:
    """The verdict on a trial against the baseline with the same seeds, on the validation split.

    What it was built on decides nothing, but how far it is ahead of that is said too.
    """
    verdict = _judge(trial, floor, task)
    if parent is None or verdict.effect is None:
        return verdict
    pairs = _scored(paired_up(trial.measurements, parent.measurements))
    gains = gains_of(pairs, task)
    gain, test = sum(gains) / len(gains), paired_test(gains, example_gains(pairs))
    shown = _with_interval(gain, test.low, test.high) if test else f"{gain:+.4g}"
    update = {
        "over_parent": gain,
        "over_parent_interval": (test.low, test.high) if test else None,
        "reason": f"{verdict.reason}; {shown} against its parent {parent.idea.slug}",
    }
    return verdict.model_copy(update=update)


def _scored(pairs: Sequence[Pair]) -> list[Pair]:
    return [
        (mine, base) for mine, base in pairs if mine.value is not None and base.value is not None
    ]


def _judge(trial: Trial, floor: Floor, task: Task) -> Verdict:
    level = floor.alpha if trial.level is None else trial.level
    pairs = paired_up(trial.measurements, floor.measurements)
    if not pairs:
        return _unscored(Outcome.failed, level, "none: no score", _why_failed(trial))
    ran = pairs[0][0].execution
    if ran.ended is Ended.behind:  # it has no score, only what it reported of itself
        test = "none: stopped early on what the program reported as it went"
        return _unscored(Outcome.declined, level, test, f"{ran.reason}, as it went (self-reported)")
    lost = [idea.seed for idea, _ in pairs if idea.value is None]
    if lost:
        why = f"ran with the screening seed but gave no score with seed {lost[0]}"
        return _unscored(Outcome.failed, level, "none: no score", why)
    if any(_counts_differ(idea, base) for idea, base in pairs):
        why = "score.py gave another number of examples than for the baseline"
        return _unscored(Outcome.failed, level, "none: no score", why)
    score = sum(float(idea.value or 0.0) for idea, _ in pairs) / len(pairs)
    if len(pairs) < len(floor.measurements):
        return _stopped(floor, task, score, outlook(floor, task, pairs, level), len(pairs), level)
    return _whole(floor, task, score, pairs, level)


def _whole(floor: Floor, task: Task, score: float, pairs: list[Pair], level: float) -> Verdict:
    """An idea with all of its seeds."""
    gains = gains_of(pairs, task)
    test = paired_test(gains, example_gains(pairs))
    effect, count = sum(gains) / len(gains), len(pairs)
    return Verdict(
        outcome=_outcome(test, level, count),
        score=score,
        effect=effect,
        interval=(test.low, test.high) if test else None,
        p=test.p if test else None,
        alpha=level,
        seeds=count,
        test=test.name if test else f"none: {_why_untested(count)}",
        reason=_say(task, effect, test, level, floor, count),
    )


def _outcome(test: Test | None, level: float, seeds: int) -> Outcome:
    if test and test.p < level:
        return Outcome.improved
    return Outcome.declined if test and test.loss < WARNING / seeds else Outcome.maintained


def _why_untested(seeds: int) -> str:
    return "the seeds do not scatter" if seeds > 1 else "one seed shows no scatter"


def _stopped(
    floor: Floor, task: Task, score: float, seen: Outlook, seeds: int, level: float
) -> Verdict:
    """An idea whose further seeds were not run. Whether it is declined was looked at after each seed:
    each look is held to its share of the level."""
    total = len(floor.measurements)
    declined = seen.loss < WARNING / total
    return Verdict(
        outcome=Outcome.declined if declined else Outcome.maintained,
        score=score,
        effect=seen.effect,
        interval=(seen.low, seen.high),
        p=None,
        alpha=level,
        seeds=seeds,
        test=f"stopped after {seeds} of {total} seeds, with the baseline's scatter",
        reason=f"gain {_with_interval(seen.effect, seen.low, seen.high)} {task.shown_metric} over {seeds} of "
        f"{total} seeds; the chance that the others make it improved was {_percent(seen.chance)}",
    )


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "below 1 %"


def _with_interval(effect: float, low: float, high: float) -> str:
    return f"{effect:+.4g} [{low:+.4g}, {high:+.4g}]"


def _counts_differ(idea: Measurement, base: Measurement) -> bool:
    counts = [len(each.score.examples) for each in (idea, base) if each.score]
    return all(counts) and len(set(counts)) > 1


def _why_failed(trial: Trial) -> str:
    failure = trial.attempts[-1].failure if trial.attempts else None
    why = f"{failure.stage}: {failure.message}" if failure else "nothing was tried"
    return f"failed in all {len(trial.attempts)} attempts; last: {why}"


def _unscored(outcome: Outcome, level: float, test: str, reason: str) -> Verdict:
    return Verdict(
        outcome=outcome,
        score=None,
        effect=None,
        interval=None,
        p=None,
        alpha=level,
        seeds=0,
        test=test,
        reason=reason,
    )


def _say(
    task: Task, effect: float, test: Test | None, level: float, floor: Floor, seeds: int
) -> str:
    over = f"{task.shown_metric} over {seeds} seed{'s' if seeds > 1 else ''}"
    if test is None:
        return f"gain {effect:+.4g} {over}, not tested: {_why_untested(seeds)}"
    times = round(level / floor.alpha)
    found = f", {times} x {floor.alpha:.2g}" if times > 1 else ""
    return (
        f"gain {_with_interval(effect, test.low, test.high)} {over}, p = {test.p:.2g} against a level "
        f"of {level:.2g} ({PROCEDURE}{found})"
    )
