"""What a repair is asked to do when a failure has come back: each time something else than before."""

from dataclasses import dataclass

from autoresearch.records import Attempt

FURTHER, ANEW, LESS = (
    "look further away from where it fails",
    "write the failing part anew",
    "take out the riskiest part of the idea",
)


@dataclass(frozen=True)
class Return:
    """A failure that has come back. Attempts are counted from 1: `again` failed in the same way before,
    `between` failed otherwise since the last of them. `strategy` is "" for a failure that is new."""

    again: tuple[int, ...] = ()
    between: tuple[int, ...] = ()
    strategy: str = ""


def returned(attempts: tuple[Attempt, ...], allowed: int) -> Return:
    """What is to be tried after these attempts, of which the last one failed.

    Failures that alternate climb the ladder as one that stays does. The last attempt allowed takes out
    the riskiest part at once: an idea that never ran teaches nothing.
    """
    marks = [attempt.failure.fingerprint if attempt.failure else "" for attempt in attempts]
    again = tuple(n for n, mark in enumerate(marks[:-1], start=1) if mark and mark == marks[-1])
    if not again:
        return Return()
    rung = sum(bool(mark) and mark in marks[:place] for place, mark in enumerate(marks))
    last = allowed - len(attempts) <= 1
    strategy = LESS if last or rung > 2 else (FURTHER, ANEW)[rung - 1]
    return Return(again, tuple(range(again[-1] + 1, len(attempts))), strategy)


def strategies(attempts: tuple[Attempt, ...], allowed: int) -> tuple[str, ...]:
    """What each of the attempts was asked to do, "" where its failure was new."""
    return tuple(
        returned(attempts[:number], allowed).strategy if number else ""
        for number in range(len(attempts))
    )
