"""One attempt: apply the patch, check it, commit it, run it; and the seeds after the first."""

from functools import partial
from pathlib import Path

from autoresearch.harness import Lab, measure, smoke
from autoresearch.pace import Pace, pace_of
from autoresearch.practice.checks import Code, Setting, check, check_syntax
from autoresearch.practice.coder import read_sources
from autoresearch.practice.crashes import read_crash
from autoresearch.practice.edits import apply, exact_sources, write
from autoresearch.practice.installed import installed
from autoresearch.practice.matching import Refused, universal
from autoresearch.practice.tracebacks import failure_of
from autoresearch.records import Attempt, Ended, Failure, Idea, Lesson, Measurement, Patch, Trial
from autoresearch.stopping import is_worth_more
from autoresearch.store import Desk


def try_patch(
    lab: Lab, desk: Desk, tree: Path, original: dict[str, str], patch: Patch, number: int
) -> Attempt:
    """Apply the patch to the worktree and run it on the screening seed. What fails is data.

    `original` is the code that the idea started from: an attempt that is back there tests nothing.
    """
    attempt = Attempt(number=number, patch=patch, commit=None, measurement=None, failure=None)
    try:
        _edit(tree, patch, original, lab.task.editable)
    except Refused as error:
        failure = Failure(
            stage="edit", message=str(error).splitlines()[0][:500], detail=str(error)[:6000]
        )
        return attempt.model_copy(update={"failure": failure})
    name = f"{desk.name}/{number}"
    commit = lab.workspace.commit(tree, f"refs/attempts/{name}", name)
    attempt = attempt.model_copy(update={"commit": commit})
    failed = _read(lab, tree, original) if lab.settings.checks else check_syntax(Code.read(tree))
    if failed:
        return attempt.model_copy(update={"failure": failed})
    return _run(lab, desk, attempt, lab.workspace.export(commit))


def _run(lab: Lab, desk: Desk, attempt: Attempt, tree: Path) -> Attempt:
    """The attempt with what came of running it: shortly first, where the task offers that."""
    short = smoke(lab, desk, str(attempt.number), tree) if lab.settings.checks else None
    # One that ran out of its short time says nothing about the real run.
    if short and not short.succeeded and short.ended is not Ended.timeout:
        failure = _failure(lab, Measurement(seed=0, execution=short, score=None), desk, f"{attempt.number}-smoke")  # fmt: skip
        said = f"in the short run with $SMOKE set, {failure.message}" if failure else ""
        told = failure and failure.model_copy(update={"message": said[:500]})
        return attempt.model_copy(update={"smoke": short, "failure": told})
    measured = measure(lab, desk, str(attempt.number), tree, 0, _pace(lab))
    failure = _failure(lab, measured, desk, str(attempt.number))
    ended = {"smoke": short, "measurement": measured, "failure": failure}
    return attempt.model_copy(update=ended)


def _failure(lab: Lab, measured: Measurement, desk: Desk, name: str) -> Failure | None:
    plain = lab.settings.debug != "structure"
    return failure_of(measured, None if plain else read_crash(desk.folder / f"{name}-out"))


def _edit(tree: Path, patch: Patch, original: dict[str, str], editable: tuple[str, ...]) -> None:
    """Apply the patch to the worktree. Raises Refused, and then has changed nothing."""
    if not patch.edits:
        raise Refused("the answer holds no edit")
    existing = (str(path.relative_to(tree)) for path in tree.rglob("*"))
    changes = apply(patch, exact_sources(tree, editable), existing, editable)
    texts = {path: universal(text) for path, text in changes.items() if text is not None}
    kept = {
        path: text for path, text in read_sources(tree, editable).items() if path not in changes
    }
    if kept | texts == original:
        raise Refused("with this edit the code is again what the idea started from")
    write(tree, changes)


def _read(lab: Lab, tree: Path, original: dict[str, str]) -> Failure | None:
    """What is wrong with the patched code that can be seen without running it."""
    code = Code.read(tree)
    setting = Setting(lab.task.command, lab.environment.python, partial(installed, lab))
    return check(code.instead(original, lab.task.editable), code, setting)


def _pace(lab: Lab) -> Pace | None:
    return pace_of(lab.floor, lab.task) if lab.settings.early_stop else None


def measure_idea(
    lab: Lab, desk: Desk, idea: Idea, parent: Lesson | None, attempts: tuple[Attempt, ...], level: float
) -> Trial:  # fmt: skip
    """The trial: what the last attempt's code scores on the seeds that are worth running, where a gain
    is held to `level`."""
    last = attempts[-1]
    measurements: tuple[Measurement, ...] = ()
    if last.failure is None and last.measurement and last.commit:
        measurements = _over_seeds(lab, desk, last.commit, last.measurement, level)
    commits = [attempt.commit for attempt in attempts if attempt.commit]
    for commit in commits:
        lab.workspace.discard(commit)
    final = commits[-1] if commits else None
    return Trial(
        name=desk.name,
        idea=idea,
        parent=parent.name if parent else None,
        attempts=attempts,
        measurements=measurements,
        commit=last.commit if measurements else None,
        level=level,
        diff=lab.workspace.diff(lab.floor.commit, final) if final else "",
    )


def _over_seeds(
    lab: Lab, desk: Desk, commit: str, first: Measurement, level: float
) -> tuple[Measurement, ...]:
    """The seeds in order, for as long as the next one can still make the idea improved."""
    tree = lab.workspace.export(commit)
    measured: tuple[Measurement, ...] = (first,)
    while is_worth_more(lab.floor, lab.task, measured, level):
        seed = len(measured)
        measured += (measure(lab, desk, f"seed-{seed}", tree, seed),)
    return measured
