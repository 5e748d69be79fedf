"""Repairs that worked in other ideas, of this run and of earlier ones, for a failure that is like theirs."""

import difflib
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from autoresearch.errors import RecordError
from autoresearch.harness import Lab
from autoresearch.records import Failure, Lesson, Outcome, Patch, Trial
from autoresearch.redaction import redactor
from autoresearch.remembered import (
    COPY,
    DIFF,
    MESSAGE,
    PLAN,
    Remembered,
    Repair,
    keep,
    plain,
)
from autoresearch.shortening import cut
from autoresearch.store import read

OFFERED = 3
ALIKE = 0.5  # share of words in common from which failures of one kind are alike
TRIALS = 500  # of this run that are looked through, the latest


def offered(lab: Lab, memory: tuple[Lesson, ...], failure: Failure) -> tuple[Repair, ...]:
    """The repairs of failures that are most like this one; none in the published arms.

    Of this run only what finished rounds have, so that ideas tried side by side do not change each
    other's questions; of earlier ones what was there when the run started.
    """
    if (
        lab.settings.memory == "none"
        or lab.settings.debug != "structure"
        or not failure.fingerprint
    ):
        return ()
    candidates = [*_of_this_run(lab, memory), *_of_earlier_runs(lab)]
    ranked = sorted(
        (-likeness(failure.fingerprint, each.fingerprint), place, each)
        for place, each in enumerate(candidates)
    )
    best: dict[str, Repair] = {}
    for like, _, each in ranked:
        if -like >= ALIKE:
            best.setdefault(each.diff, each)
    return tuple(list(best.values())[:OFFERED])


def likeness(mark: str, other: str) -> float:
    """Of two fingerprints: 2 for the same, else the words they share (Dice, 0 to 1), 0 for another kind."""
    if mark == other:
        return 2.0
    words, others = (re.findall(r"\w+", each.lower()) for each in (mark, other))
    if not words or words[:1] != others[:1]:
        return 0.0
    mine, theirs = set(words[1:]), set(others[1:])
    return 2 * len(mine & theirs) / (len(mine) + len(theirs) or 1)


def _of_this_run(lab: Lab, memory: tuple[Lesson, ...]) -> Iterator[Repair]:
    """The latest first."""
    repaired = [
        lesson
        for lesson in memory
        if lesson.attempts > 1
        and lesson.verdict.outcome is not Outcome.failed
        and not lesson.carried
    ]
    for lesson in repaired[: -TRIALS - 1 : -1]:
        yield from _kept_in(lab.desk.folder / lesson.name / "practice.json", lab.task.name)


@lru_cache(maxsize=4 * TRIALS)
def _kept_in(file: Path, task: str) -> tuple[Repair, ...]:
    try:
        return repairs_of(read(file, Trial), task)
    except RecordError:
        return ()  # a record that is damaged is no reason to ask for nothing


def _of_earlier_runs(lab: Lab) -> tuple[Repair, ...]:
    """Those of the same task first."""
    file = lab.desk.folder / COPY
    if lab.settings.memory != "runs" or not file.exists():
        return ()
    found = read(file, Remembered).repairs
    return tuple(sorted(found, key=lambda repair: repair.task != lab.task.name))


def keep_repairs(lab: Lab, trial: Trial) -> None:
    """Keep a trial's repairs for later runs; that they cannot be kept is noted and stops nothing."""
    repairs = repairs_of(trial, lab.task.name)
    if (
        not repairs
        or lab.settings.memory != "runs"
        or lab.settings.model.name.startswith("replay:")
    ):
        return
    redact, runs = redactor(lab.desk.folder), lab.desk.folder.parent
    clean = (Repair.model_validate(_bounded(redact.everywhere(r.model_dump()))) for r in repairs)
    try:
        keep(runs, clean)
    except OSError as error:
        lab.note(f"a repair could not be kept for later runs: {error.strerror}")


def repairs_of(trial: Trial, task: str) -> tuple[Repair, ...]:
    """Of a trial that ran in the end: each failure that it had with the patch after which it did not
    come back."""
    if not trial.attempts or trial.attempts[-1].failure is not None:
        return ()
    last = {
        attempt.failure.fingerprint: attempt
        for attempt in trial.attempts
        if attempt.failure and attempt.failure.fingerprint and attempt.commit
    }
    found = []
    for mark, attempt in last.items():
        patch, failure = trial.attempts[attempt.number + 1].patch, attempt.failure
        diff = diff_of(patch)
        if failure and diff:
            fields = {"task": task, "name": trial.name, "message": failure.message}
            fields |= {"fingerprint": mark, "plan": patch.plan, "diff": diff}
            found.append(Repair.model_validate(_bounded(fields)))
    return tuple(found)


def _bounded(fields: dict[str, str]) -> dict[str, str]:
    """Cut to what a Repair may hold."""
    most = {"plan": PLAN, "diff": DIFF, "message": MESSAGE, "fingerprint": MESSAGE}
    short = {"task": 200, "name": 200}
    said = {key: cut(plain(fields[key]), limit - 60) for key, limit in most.items()}
    return fields | said | {key: plain(fields[key])[:limit] for key, limit in short.items()}


def diff_of(patch: Patch) -> str:
    """A patch's edits as removed and added lines, file by file."""
    parts = []
    for edit in patch.edits:
        before, after = edit.search.splitlines(), edit.replace.splitlines()
        lines = list(difflib.unified_diff(before, after, lineterm="", n=1))[2:]
        done = "" if edit.action == "edit" else f" ({edit.action} {edit.target}".rstrip() + ")"
        parts += [f"--- {edit.path}{done}", *(line for line in lines if not line.startswith("@@"))]
    return "\n".join(parts)
