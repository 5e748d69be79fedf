"""The patch of an idea, and its repairs: what the model is asked, and what it edits."""

from pathlib import Path

from autoresearch.briefing import brief
from autoresearch.errors import PromptRefused, UnusableAnswer
from autoresearch.harness import Lab
from autoresearch.practice.structure import excerpts
from autoresearch.records import Attempt, Idea, Lesson, Patch
from autoresearch.store import Desk
from autoresearch.workspace import matches


def parent_of(idea: Idea, memory: tuple[Lesson, ...]) -> Lesson | None:
    """The lesson of the idea that this one builds on; None when it starts from the baseline."""
    found = (lesson for lesson in memory if lesson.idea.slug == idea.parent and lesson.commit)
    return next(found, None)


def write_patch(
    lab: Lab,
    desk: Desk,
    idea: Idea,
    tree: Path,
    original: dict[str, str],
    attempts: tuple[Attempt, ...],
) -> Patch:
    """The next patch: the idea's code at first, then repairs. An answer that stays unusable is a
    patch without edits, which fails as an attempt and costs no experiment."""
    step = f"{len(attempts)}-patch"

    def write() -> Patch:
        try:
            code = read_sources(tree, lab.task.editable)
            if not attempts:
                return _ask_for_code(lab, desk, idea, code)
            return _ask_for_repair(lab, desk, idea, code, original, attempts)
        except (UnusableAnswer, PromptRefused) as error:
            return Patch(plan=f"(no usable answer) {error}", edits=())

    return desk.step(step, Patch, write)


def _ask_for_code(lab: Lab, desk: Desk, idea: Idea, code: dict[str, str]) -> Patch:
    return lab.ask(
        desk, "0-patch", "practice/code", Patch, final=True,
        task=lab.task, setting=brief(lab), idea=idea, code=code, parent=idea.parent,
    )  # fmt: skip


def _ask_for_repair(
    lab: Lab,
    desk: Desk,
    idea: Idea,
    code: dict[str, str],
    original: dict[str, str],
    attempts: tuple[Attempt, ...],
) -> Patch:
    """A failure that comes back is not asked about in the same way: all of the code is shown then."""
    failure, before = attempts[-1].failure, attempts[:-1]
    assert failure is not None, "an attempt that did not fail is not repaired"
    same = [
        a.number + 1 for a in before if a.failure and a.failure.fingerprint == failure.fingerprint
    ]
    again = same if failure.fingerprint else []
    trimmed = lab.settings.debug == "structure" and not again and failure.stage in ("run", "score")
    shown = excerpts(code, original, failure.places, failure.message) if trimmed else code
    return lab.ask(
        desk, f"{len(attempts)}-patch", "practice/debug", Patch, final=True,
        task=lab.task, setting=brief(lab), idea=idea, code=shown, whole=code, attempts=attempts, failure=failure,
        attempts_left=lab.settings.attempts - len(attempts), again=again,
        arm=lab.settings.debug,
    )  # fmt: skip


def read_sources(tree: Path, editable: tuple[str, ...]) -> dict[str, str]:
    """The editable files' texts as they are in the worktree now."""
    paths = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    names = {str(path.relative_to(tree)): path for path in paths}
    chosen = (name for name in names if matches(name, editable) and name != ".git")
    texts = {name: _text_of(names[name]) for name in chosen}
    return {name: text for name, text in texts.items() if text is not None}


def _text_of(path: Path) -> str | None:
    """None for a file that is not UTF-8: it would come back damaged from an edit."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
