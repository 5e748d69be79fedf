"""Falsifiers that run the idea's program again: other seeds, another order, wrong labels."""

from autoresearch.falsify.evidence import LEVEL, escalate, mean, p_above_zero
from autoresearch.falsify.grounds import AS_IT_IS, SHUFFLED, permuted
from autoresearch.falsify.subject import Subject, refuted, survived
from autoresearch.records import Evidence, Score

FRESH_FIRST = 3  # seeds; with twice as many as the task has, LEVEL counts
FIRST_LEVEL = 0.05
PERMUTED_FIRST, PERMUTED_MOST = 2, 6
KEPT = 0.5  # the share of the gain that, lost or kept where it should not be, refutes it


def fresh_seeds(subject: Subject) -> Evidence:
    """The gain is there with seeds that the search never used."""
    most = 2 * max(FRESH_FIRST, len(subject.seeds))
    seeds = subject.grounds.fresh_seeds(most)

    def gain(number: int) -> float:
        return subject.gain_on(AS_IT_IS, seeds[number], f"with the fresh seed {seeds[number]}")

    gains, level = [gain(number) for number in range(FRESH_FIRST)], FIRST_LEVEL
    if not _holds(gains, level):
        gains += [gain(number) for number in range(FRESH_FIRST, most)]
        level = LEVEL
    said = f"{subject.say(gains)} over {len(gains)} fresh seeds, p = {p_above_zero(gains):.2g}"
    said += f" (the search saw {subject.gain:+.4g})"
    return survived(said) if _holds(gains, level) else refuted(said)


def _holds(gains: list[float], level: float) -> bool:
    return mean(gains) > 0 and p_above_zero(gains) < level


def order_invariance(subject: Subject) -> Evidence:
    """The same pool rows in another order, and so in other batches, are scored alike."""
    order, seeds = subject.grounds.order(), subject.seeds

    def loss(number: int) -> float:
        kept = subject.gain_on(SHUFFLED, seeds[number], "on the pool in another order")
        return subject.known_gain(seeds[number]) - kept

    losses = escalate(loss, 1, len(seeds), lambda found: found >= KEPT * subject.gain)
    before = _examples(subject.known(seeds[0]).score)
    now = order.back(_examples(subject.ran[0].score))
    changed = sum(a != b for a, b in zip(before, now or (), strict=False))
    share = (
        f"{changed} of {len(before)} validation rows are scored differently"
        if now
        else "rows not compared"
    )
    said = f"in another order {share}, and the gain is {subject.gain - mean(losses):+.4g} instead of {subject.gain:+.4g}"
    lost = mean(losses) >= KEPT * subject.gain and p_above_zero(losses) < LEVEL
    return refuted(said) if lost else survived(said)


def _examples(score: Score | None) -> tuple[float, ...]:
    return score.examples if score else ()


def label_permutation(subject: Subject) -> Evidence:
    """Taught wrong labels, the program knows no more than the baseline taught the same, or than the
    same answer for every row."""
    constant, task = subject.grounds.constant(), subject.lab.task

    def kept(number: int) -> float:
        form, seed = permuted(number), number
        gain = subject.gain_on(form, seed, "with permuted training labels")
        base = subject.grounds.baseline(form, seed).value
        if constant is None or base is None:
            return gain
        return min(gain, gain - task.gain(constant, base))

    gains = escalate(
        kept, PERMUTED_FIRST, PERMUTED_MOST, lambda found: found >= KEPT * subject.gain
    )
    score = mean([float(each.value or 0.0) for each in subject.ran])
    said = f"taught permuted labels {len(gains)} times it scores {score:.4g}: {mean(gains):+.4g} against the baseline or a constant answer"
    knows = mean(gains) >= KEPT * subject.gain and p_above_zero(gains) < LEVEL
    return refuted(f"{said}; its gain is not from the training labels") if knows else survived(said)
