"""What a check of a task found: one line each, with what to do about it."""

import re
from dataclasses import dataclass
from typing import Literal

from autoresearch.records import Execution

TAIL = 8  # lines shown of a program that failed
Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """`what` is the case; `todo` what to do about it; `detail` are further lines, such as a traceback's."""

    level: Level
    what: str
    todo: str = ""
    detail: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        first = f"{self.level}: {self.what}" + (f"; {self.todo}" if self.todo else "")
        return first, *(f"    | {line}" for line in self.detail)


def ok(what: str) -> Finding:
    return Finding("ok", what)


def warning(what: str, todo: str, detail: tuple[str, ...] = ()) -> Finding:
    return Finding("warning", what, todo, detail)


def error(what: str, todo: str, detail: tuple[str, ...] = ()) -> Finding:
    return Finding("error", what, todo, detail)


def listed(names: list[str], most: int = 4) -> str:
    """A few names as text, the rest as a number."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def tail_of(ran: Execution) -> tuple[str, ...]:
    """The last lines of a program that failed; of a traceback without what is in libraries."""
    kept, foreign = [], False
    text = "" if ran.succeeded else ran.stderr.strip() or ran.stdout.strip()
    for line in text.splitlines():
        if not line.startswith("    "):  # a frame, the code of the one before is indented further
            foreign = bool(re.search(r'File "[^"]*(site-packages|lib/python)', line))
        if not foreign and line.strip(" ~^"):
            kept.append(line[:200])
    return tuple(kept[-TAIL:])
