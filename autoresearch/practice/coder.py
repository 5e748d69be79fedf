"""The patch of an idea, and its repairs: what the model is asked, and what it edits."""

from dataclasses import dataclass
from pathlib import Path

from autoresearch.briefing import brief
from autoresearch.codemap import View, excerpted, view
from autoresearch.config import CODE_SHOWN
from autoresearch.errors import PromptRefused, UnusableAnswer
from autoresearch.harness import Lab
from autoresearch.practice.edits import MAX_BYTES
from autoresearch.practice.ladder import returned, strategies
from autoresearch.practice.looking import ask_looking
from autoresearch.practice.memory import offered
from autoresearch.practice.structure import excerpts
from autoresearch.records import Attempt, Failure, Idea, Lesson, Patch
from autoresearch.store import Desk
from autoresearch.workspace import matches


def parent_of(idea: Idea, memory: tuple[Lesson, ...]) -> Lesson | None:
    """The lesson of the idea that this one builds on; None when it starts from the baseline."""
    found = (lesson for lesson in memory if lesson.idea.slug == idea.parent and lesson.commit)
    return next(found, None)


@dataclass(frozen=True)
class Before:
    """What a patch comes after: the code that the idea started from, its attempts, and the lessons of
    finished rounds."""

    original: dict[str, str]
    attempts: tuple[Attempt, ...]
    memory: tuple[Lesson, ...]


def write_patch(lab: Lab, desk: Desk, idea: Idea, tree: Path, before: Before) -> Patch:
    """The next patch: the idea's code at first, then repairs. An answer that stays unusable is a
    patch without edits, which fails as an attempt and costs no experiment."""
    step = f"{len(before.attempts)}-patch"

    def write() -> Patch:
        try:
            code = read_sources(tree, lab.task.editable)
            if not before.attempts:
                return _ask_for_code(lab, desk, idea, code)
            return _ask_for_repair(lab, desk, idea, code, before)
        except (UnusableAnswer, PromptRefused) as error:
            return Patch(plan=f"(no usable answer) {error}", edits=())

    return desk.step(step, Patch, write)


def _ask_for_code(lab: Lab, desk: Desk, idea: Idea, code: dict[str, str]) -> Patch:
    return ask_looking(
        lab, desk, 0, "practice/code", lambda looked: _in_view(lab, idea, code, looked),
        task=lab.task, setting=brief(lab), idea=idea, whole=code, parent=idea.parent,
    )  # fmt: skip


def _in_view(lab: Lab, idea: Idea, code: dict[str, str], first: tuple[str, ...]) -> View:
    bound = lab.settings.code_shown or CODE_SHOWN
    return view(code, bound, _about(idea), lab.task.command, first)


def _about(idea: Idea) -> str:
    return f"{idea.title}\n{idea.hypothesis}\n{idea.plan}\n{idea.summary}"


def _ask_for_repair(
    lab: Lab, desk: Desk, idea: Idea, code: dict[str, str], before: Before
) -> Patch:
    """A failure that comes back is not asked about in the same way: all of the code is shown then."""
    attempts, allowed = before.attempts, lab.settings.attempts
    failure, back = attempts[-1].failure, returned(attempts, allowed)
    assert failure is not None, "an attempt that did not fail is not repaired"
    return ask_looking(
        lab, desk, len(attempts), "practice/debug",
        lambda looked: _around(lab, idea, code, before, failure, looked),
        task=lab.task, setting=brief(lab), idea=idea, whole=code, attempts=attempts, failure=failure,
        attempts_left=allowed - len(attempts), again=back.again, between=back.between,
        strategy=back.strategy, strategies=strategies(attempts, allowed),
        remembered=offered(lab, before.memory, failure), arm=lab.settings.debug,
    )  # fmt: skip


def _around(
    lab: Lab,
    idea: Idea,
    code: dict[str, str],
    before: Before,
    failure: Failure,
    looked: tuple[str, ...],
) -> View:
    """What is shown for a repair: what bears on a failure that is new, else all there is room for."""
    attempts = before.attempts
    new = not returned(attempts, lab.settings.attempts).again
    bound = lab.settings.code_shown or CODE_SHOWN
    trimmed = lab.settings.debug == "structure" and new and failure.stage in ("run", "score")
    if trimmed and not looked:
        parts = excerpts(code, before.original, failure.places, failure.message)
        seen = excerpted(code, parts, bound, _about(idea), lab.task.command)
        if not seen.map or sum(map(len, seen.files.values())) <= bound:
            return seen
    edited = [edit.path for attempt in reversed(attempts) for edit in attempt.patch.edits]
    first = [*looked, *(place.path for place in failure.places), *edited]
    return _in_view(lab, idea, code, tuple(dict.fromkeys(first)))


def read_sources(tree: Path, editable: tuple[str, ...]) -> dict[str, str]:
    """The editable files' texts as they are in the worktree now."""
    paths = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    names = {str(path.relative_to(tree)): path for path in paths}
    chosen = (name for name in names if matches(name, editable) and name != ".git")
    texts = {name: _text_of(names[name]) for name in chosen}
    return {name: text for name, text in texts.items() if text is not None}


def _text_of(path: Path) -> str | None:
    """None for a file that is not UTF-8 (it would come back damaged from an edit) or too large for one."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
