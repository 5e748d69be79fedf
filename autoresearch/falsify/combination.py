"""The best compatible claims together, as one more idea: what they gain at once.

round-02/think.json      after the last round of the run: which claims, or that none go together
round-02/0-combined/     practised, judged and refuted like any other idea

Compatible are changes that git merges without a conflict and of which none was built on another one.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from autoresearch.feedback import reflect
from autoresearch.harness import Lab
from autoresearch.levels import level_of
from autoresearch.practice.attempts import measure_idea, try_patch
from autoresearch.practice.coder import read_sources
from autoresearch.records import Agenda, Candidate, Edit, Idea, Lesson, Patch, Trial
from autoresearch.store import Desk, read

SLUG = "combined"


def combine(lab: Lab, standing: Sequence[Lesson], memory: tuple[Lesson, ...]) -> tuple[Lesson, ...]:
    """The lesson of the claims that stand, put together; () where no two of them go together."""
    if len(standing) < 2:
        return ()
    desk = lab.desk.at(f"round-{lab.settings.rounds:02}")
    best_first = sorted(standing, key=_weight, reverse=True)
    with lab.workspace.worktree(f"{desk.name}/merged", str(best_first[0].commit)) as tree:
        parts, patch = _merged(lab, best_first, tree)
    agenda = desk.step("think", Agenda, partial(_agenda, parts))
    if not agenda.ideas:
        return ()
    own = desk.at(f"0-{SLUG}")

    def learn() -> Lesson:
        pursue = partial(_pursue, lab, own, agenda.ideas[0], parts[0], patch, memory)
        return reflect(lab, own, own.step("practice", Trial, pursue))

    return (own.step("feedback", Lesson, learn),)


def _weight(lesson: Lesson) -> float:
    """The least that a gain may be, by its interval."""
    verdict = lesson.verdict
    return verdict.interval[0] if verdict.interval else float(verdict.effect or 0.0)


def _merged(lab: Lab, claims: Sequence[Lesson], tree: Path) -> tuple[list[Lesson], Patch]:
    """Those that go together, the best of them first, and what the others change in its code.
    `tree` is a worktree of that code."""
    before, parts = read_sources(tree, lab.task.editable), [claims[0]]
    for claim in claims[1:]:
        related = any(_built_on(lab, claim, part) or _built_on(lab, part, claim) for part in parts)
        if not related and lab.workspace.merge(tree, str(claim.commit)):
            parts.append(claim)
    after = read_sources(tree, lab.task.editable)
    gone = [Edit(path=path, action="delete") for path in before if path not in after]
    changed = [path for path, text in after.items() if before.get(path) != text]
    edits = [
        Edit(path=path, replace=after[path], action="rewrite" if path in before else "edit")
        for path in changed
    ]
    plan = f"Merged without conflict: {', '.join(part.idea.slug for part in parts)}"
    return parts, Patch(plan=plan, edits=(*gone, *edits))


def _built_on(lab: Lab, lesson: Lesson, other: Lesson) -> bool:
    """Whether `lesson` started from `other`, or from what started from it."""
    name: str | None = lesson.name
    while name is not None:
        name = read(lab.desk.at(name).folder / "practice.json", Trial).parent
        if name == other.name:
            return True
    return False


def _agenda(parts: Sequence[Lesson]) -> Agenda:
    slugs = [part.idea.slug for part in parts]
    if len(parts) < 2:
        return Agenda(candidates=())
    changes = "\n".join(f"{part.idea.slug}: {part.idea.summary}" for part in parts)
    idea = Idea(
        slug=SLUG,
        title=f"Combined: {' + '.join(slugs)}"[:400],
        hypothesis="These gains come from different changes of the code and add up.",
        plan=f"All of these changes together, as git merges them:\n{changes}"[:20_000],
        summary=f"The changes of {', '.join(slugs)} together."[:20_000],
        cites=tuple(dict.fromkeys(cited for part in parts for cited in part.idea.cites)),
        parent=slugs[0],
    )
    kept = f"{len(parts)} claims that stand and merge without conflict, {slugs[0]} the best of them"
    return Agenda(candidates=(Candidate(idea=idea, kept=True, reason=kept),))


def _pursue(
    lab: Lab, desk: Desk, idea: Idea, best: Lesson, merged: Patch, memory: tuple[Lesson, ...]
) -> Trial:
    """Like any idea's practice, but nothing is written or repaired by a model."""
    patch = desk.step("0-patch", Patch, lambda: merged)
    with lab.workspace.worktree(desk.name, str(best.commit)) as tree:
        original = read_sources(tree, lab.task.editable)
        attempt = try_patch(lab, desk, tree, original, patch, 0)
    return measure_idea(lab, desk, idea, best, (attempt,), level_of(lab.floor, memory))
