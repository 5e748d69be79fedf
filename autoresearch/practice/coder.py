"""The patch of an idea, and its repairs: what the model is asked, and what it edits."""

from pathlib import Path

from autoresearch.briefing import brief
from autoresearch.errors import PromptRefused, UnusableAnswer
from autoresearch.harness import Lab
from autoresearch.records import Attempt, Idea, Lesson, Patch
from autoresearch.store import Desk
from autoresearch.workspace import matches


def parent_of(idea: Idea, memory: tuple[Lesson, ...]) -> Lesson | None:
    """The lesson of the idea that this one builds on; None when it starts from the baseline."""
    found = (lesson for lesson in memory if lesson.idea.slug == idea.parent and lesson.commit)
    return next(found, None)


def write_patch(
    lab: Lab, desk: Desk, idea: Idea, tree: Path, attempts: tuple[Attempt, ...]
) -> Patch:
    """The next patch: the idea's code at first, then repairs. An answer that stays unusable is a
    patch without edits, which fails as an attempt and costs no experiment."""
    step = f"{len(attempts)}-patch"

    def write() -> Patch:
        try:
            return _ask(lab, desk, idea, read_sources(tree, lab.task.editable), attempts)
        except (UnusableAnswer, PromptRefused) as error:
            return Patch(plan=f"(no usable answer) {error}", edits=())

    return desk.step(step, Patch, write)


def _ask(
    lab: Lab, desk: Desk, idea: Idea, code: dict[str, str], attempts: tuple[Attempt, ...]
) -> Patch:
    step = f"{len(attempts)}-patch"
    setting = brief(lab)
    if not attempts:
        return lab.ask(
            desk, step, "practice/code", Patch, final=True,
            task=lab.task, setting=setting, idea=idea, code=code, parent=idea.parent,
        )  # fmt: skip
    return lab.ask(
        desk, step, "practice/debug", Patch, final=True,
        task=lab.task, setting=setting, idea=idea, code=code, attempts=attempts,
        failure=attempts[-1].failure, attempts_left=lab.settings.attempts - len(attempts),
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
