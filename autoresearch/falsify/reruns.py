"""Falsifiers that run the idea's program again: other seeds, another order, wrong labels."""

from autoresearch.falsify.evidence import (
    ALPHA,
    fresh_looks,
    in_another_order,
    mean,
    on_fresh_seeds,
    p_above_zero,
    with_wrong_labels,
)
from autoresearch.falsify.grounds import AS_IT_IS, SHUFFLED, permuted
from autoresearch.falsify.subject import Subject, refuted, survived
from autoresearch.records import Evidence, Score


def fresh_seeds(subject: Subject) -> Evidence:
    """The gain is there with seeds that the search never used."""
    seeds = subject.grounds.fresh_seeds(max(fresh_looks(len(subject.seeds))))

    def gain(number: int) -> float:
        return subject.gain_on(AS_IT_IS, seeds[number], f"with the fresh seed {seeds[number]}")

    claims = len(subject.claims)
    found = on_fresh_seeds(gain, len(subject.seeds), claims)
    said = f"{subject.say(found.values)} over {len(found.values)} fresh seeds, p = {p_above_zero(found.values):.2g}"
    said += f" ({ALPHA:g} is shared by {claims} claims; the search saw {subject.gain:+.4g})"
    return refuted(said) if found.refutes else survived(said)


def order_invariance(subject: Subject) -> Evidence:
    """The same pool rows in another order, and so in other batches, are scored alike."""
    order, seeds = subject.grounds.order(), subject.seeds

    def loss(number: int) -> float:
        kept = subject.gain_on(SHUFFLED, seeds[number], "on the pool in another order")
        return subject.known_gain(seeds[number]) - kept

    found = in_another_order(loss, subject.gain, len(seeds))
    before = _examples(subject.known(seeds[0]).score)
    now = order.back(_examples(subject.ran[0].score))
    changed = sum(a != b for a, b in zip(before, now or (), strict=False))
    share = (
        f"{changed} of {len(before)} validation rows are scored differently"
        if now
        else "rows not compared"
    )
    left = subject.gain - mean(found.values)
    said = f"in another order {share}, and the gain is {left:+.4g} instead of {subject.gain:+.4g}"
    return refuted(said) if found.refutes else survived(said)


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

    found = with_wrong_labels(kept, subject.gain)
    score = mean([float(each.value or 0.0) for each in subject.ran])
    said = f"taught permuted labels {len(found.values)} times it scores {score:.4g}: {mean(found.values):+.4g} against the baseline or a constant answer"
    if found.refutes:
        return refuted(f"{said}; its gain is not from the training labels")
    return survived(said)
