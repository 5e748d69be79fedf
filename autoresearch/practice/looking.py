"""Asking for a patch of code that is not shown whole: the answer may be to look at other files first."""

import re
from collections.abc import Callable
from typing import Self

from autoresearch.codemap import View
from autoresearch.harness import Lab
from autoresearch.records import Patch
from autoresearch.store import Desk

MOST = 8  # files that can be asked for
_SHOW = re.compile(r"^#{1,6}[ \t]*show[ \t]*:(.+)$", re.IGNORECASE | re.MULTILINE)


class Draft(Patch):
    """A patch, or the paths of files to be shown first."""

    show: tuple[str, ...] = ()

    @classmethod
    def from_answer(cls, text: str) -> Self:
        wanted = [found[1].strip(" \t\r*`'\"") for found in _SHOW.finditer(text)]
        if wanted and "<<<<<<<" not in text:
            return cls(plan="", edits=(), show=tuple(dict.fromkeys(wanted))[:MOST])
        patch = Patch.from_answer(text)
        return cls(plan=patch.plan, edits=patch.edits)


def ask_looking(
    lab: Lab, desk: Desk, number: int, prompt: str, shown: Callable[[tuple[str, ...]], View], /,
    **variables: object,
) -> Patch:  # fmt: skip
    """The patch of attempt `number`. `shown` says what is in view, given the files asked for.

    Where that is not all of the code, the first answer is a step of its own (`0-look.json`), and one
    that asks for files has the question asked again, once, with these in view.
    """
    step, seen = f"{number}-patch", shown(())
    given = {**variables, "code": seen.files, "map": seen.map, "looked": ()}
    if not seen.map:
        return lab.ask(desk, step, prompt, Patch, final=True, **given)
    draft = desk.step(
        f"{number}-look", Draft, lambda: lab.ask(desk, step, prompt, Draft, final=True, **given)
    )
    if not draft.show:
        return Patch(plan=draft.plan, edits=draft.edits)
    seen = shown(draft.show)
    given |= {"code": seen.files, "map": seen.map, "looked": draft.show}
    return lab.ask(desk, step, prompt, Patch, final=True, **given)
