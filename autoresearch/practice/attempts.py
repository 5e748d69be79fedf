"""One attempt: apply the patch, check it, commit it, run it; and the seeds after the first."""

from pathlib import Path

from autoresearch.harness import Lab, measure
from autoresearch.practice.coder import read_sources
from autoresearch.practice.crashes import read_crash
from autoresearch.practice.edits import Refused, apply
from autoresearch.practice.pace import Pace, pace_of
from autoresearch.practice.tracebacks import check_syntax, failure_of
from autoresearch.records import Attempt, Failure, Idea, Lesson, Measurement, Patch, Trial
from autoresearch.stopping import is_worth_more
from autoresearch.store import Desk


def try_patch(
    lab: Lab, desk: Desk, tree: Path, original: dict[str, str], patch: Patch, number: int
) -> Attempt:
    """Apply the patch to the worktree and run it on the screening seed. What fails is data.

    `original` is the code that the idea started from: an attempt that is back there tests nothing.
    """
    sources = read_sources(tree, lab.task.editable)
    existing = {str(path.relative_to(tree)) for path in tree.rglob("*")}
    try:
        if not patch.edits:
            raise Refused("the answer holds no edit")
        changed = apply(patch, sources, existing, lab.task.editable)
        if sources | changed == original:
            raise Refused("with this edit the code is again what the idea started from")
    except Refused as error:
        failure = Failure(
            stage="edit", message=str(error).splitlines()[0][:500], detail=str(error)[:6000]
        )
        return Attempt(number=number, patch=patch, commit=None, measurement=None, failure=failure)
    for path, text in changed.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        ends = "\r\n" if sources.get(path) and b"\r\n" in (tree / path).read_bytes() else "\n"
        (tree / path).write_text(text, encoding="utf-8", newline=ends)
    commit = lab.workspace.commit(
        tree, f"refs/attempts/{desk.name}/{number}", f"{desk.name}/{number}"
    )
    failed = check_syntax(changed)
    if failed:
        return Attempt(number=number, patch=patch, commit=commit, measurement=None, failure=failed)
    measured = measure(lab, desk, str(number), lab.workspace.export(commit), 0, _pace(lab))
    plain = lab.settings.debug != "structure"
    crash = None if plain else read_crash(desk.folder / f"{number}-out")
    return Attempt(
        number=number,
        patch=patch,
        commit=commit,
        measurement=measured,
        failure=failure_of(measured, crash),
    )


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
