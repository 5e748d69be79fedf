"""Leakage through rows that are in the pool and in the training data."""

from autoresearch.falsify.evidence import Untestable, mean, without_copies
from autoresearch.falsify.grounds import AS_IT_IS
from autoresearch.falsify.subject import Subject, refuted, survived
from autoresearch.leaks import comparable
from autoresearch.records import Evidence
from autoresearch.tables import read_tables

FEWEST = 20  # other rows; with fewer nothing can be said


def duplicates(subject: Subject) -> Evidence:
    """The gain does not live on pool rows that are training rows too."""
    order = subject.grounds.order()
    chosen, twice = order.chosen(), _twice(subject, len(order.rows))
    gains = _gains_by_row(subject)
    if len(gains) != len(chosen):
        raise Untestable("the scorer gives no score for each validation row")
    others = [gain for row, gain in zip(chosen, gains, strict=True) if row not in twice]
    count = len(gains) - len(others)
    if not count:
        return survived("no validation row is among the training rows")
    if len(others) < FEWEST:
        raise Untestable(f"only {len(others)} validation rows are not among the training rows")
    said = (
        f"{count} of {len(gains)} validation rows are among the training rows; on the others the gain "
        f"is {mean(others):+.4g}, on all {mean(gains):+.4g} (in scores of rows)"
    )
    return refuted(said) if without_copies(gains, others) else survived(said)


def _gains_by_row(subject: Subject) -> list[float]:
    """Of each validation row, averaged over the seeds; () where scores are not by row."""
    rows = []
    for seed in subject.seeds:
        mine, base = subject.known(seed).score, subject.grounds.baseline(AS_IT_IS, seed).score
        pairs = zip(mine.examples, base.examples, strict=False) if mine and base else ()
        rows.append([a - b for a, b in pairs])
    return [mean(column) for column in zip(*rows, strict=False)]


def _twice(subject: Subject, count: int) -> set[int]:
    """The pool's rows that some other table of the public data has too."""
    tables, _ = read_tables(subject.lab.data_folder / "public", "public")
    pools = [each for each in tables if each.rows == count and "train" not in each.name]
    if not pools:
        raise Untestable("the pool is in no format whose rows can be compared")
    found: set[int] = set()
    for pool in pools:
        for table in tables:
            if table is not pool and table.rows != count:
                mine, theirs = comparable(pool, table)
                known = set(theirs) if len(set(mine)) >= len(mine) / 2 else set()
                found |= {row for row, content in enumerate(mine) if content in known}
    return found
