"""Edits as a model writes them: SEARCH/REPLACE blocks under headings that say which file, and what of it.

### file: path              blocks that replace lines; an empty SEARCH part makes a new file
### rewrite: path           one block with an empty SEARCH part: all of the file anew
### rename: old -> new      a line of its own; blocks after it edit the new file
### delete: path            a line of its own
"""

import re
from dataclasses import dataclass, field
from typing import Literal, Never

from autoresearch.answers import Thoughts, check_size

Action = Literal["edit", "rewrite", "rename", "delete"]
_HEADING = re.compile(r"#{1,6}\s*(file|rewrite|rename|delete)\s*:(.*)", re.IGNORECASE)
_MARKERS = {"<<<<<<< SEARCH": "search", "=======": "divide", ">>>>>>> REPLACE": "replace"}
_ACTIONS: dict[str, Action] = {
    "file": "edit", "rewrite": "rewrite", "rename": "rename", "delete": "delete",
}  # fmt: skip


@dataclass(frozen=True)
class Block:
    """One change of a file as it was written; `target` is where a rename moves it."""

    path: str
    search: str = ""
    replace: str = ""
    action: Action = "edit"
    target: str = ""

    def __str__(self) -> str:
        """As it is written in an answer."""
        if self.action == "rename":
            return f"### rename: {self.path} -> {self.target}\n"
        if self.action == "delete":
            return f"### delete: {self.path}\n"
        heading = "file" if self.action == "edit" else self.action
        code = f"{self.search}=======\n{self.replace}"
        return f"### {heading}: {self.path}\n<<<<<<< SEARCH\n{code}>>>>>>> REPLACE\n"


def read_blocks(text: str) -> tuple[str, list[Block]]:
    """(plan, blocks) from headings and SEARCH/REPLACE blocks.

    A section holds whole lines: "" when it has none, else each line ends in a newline, the last one
    too; CRLF is read as a newline. Text between the marker lines is exact, nothing else is: fences,
    quotes around paths, text between blocks and <think> are left out. The plan is the text before
    the first heading or block. Raises ValueError naming the line of a block that is out of order,
    is not closed or has no file, and when nothing is changed.
    """
    check_size(text)
    reader = _Blocks()
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        reader.read(number, line)
    return reader.finish()


@dataclass
class _Blocks:
    path: str = ""
    plan: list[str] = field(default_factory=list)
    planning: bool = True
    state: str = "outside"  # then "search", then "replace"
    opened: int = 0  # the line of the open block
    begun: bool = False  # a heading or a broken marker stands here, and no block yet
    sections: dict[str, list[str]] = field(default_factory=dict)
    action: Action = "edit"  # of the next block
    edits: list[Block] = field(default_factory=list)
    thoughts: Thoughts = field(default_factory=Thoughts)

    def read(self, number: int, line: str) -> None:
        marker = None if self.thoughts.inside else _MARKERS.get(line.rstrip())
        if marker:
            self._mark(number, marker)
        elif self.state == "outside":
            self._read_outside(number, line)
        else:
            self.sections[self.state].append(line + "\n")

    def _mark(self, number: int, marker: str) -> None:
        step = (self.state, marker)
        if step == ("outside", "search"):
            if not self.path:
                raise ValueError(f"line {number}: write '### file: path' before a SEARCH block")
            self.state, self.opened, self.planning, self.begun = "search", number, False, False
            self.sections = {"search": [], "replace": []}
        elif step == ("search", "divide"):
            self.state = "replace"
        elif step == ("replace", "replace"):
            search, replace = ("".join(lines) for lines in self.sections.values())
            if self.action == "rewrite" and search:
                raise ValueError(f"line {self.opened}: leave the SEARCH part of a rewrite empty")
            self.edits.append(Block(self.path, search, replace, self.action))
            self.state, self.action = "outside", "edit"
        else:
            self._refuse(number, marker)

    def _refuse(self, number: int, marker: str) -> Never:
        shown = next(text for text, name in _MARKERS.items() if name == marker)
        where = f"line {number}: {shown!r} is out of order"
        if self.state != "outside":
            where += f" in the block of {self.path} opened on line {self.opened}"
        raise ValueError(
            f"{where}; each block is <<<<<<< SEARCH, =======, >>>>>>> REPLACE, once each and in "
            "this order, and such lines cannot be part of the code"
        )

    def _read_outside(self, number: int, line: str) -> None:
        visible = self.thoughts.visible(line)
        if self.thoughts.orphan:
            self.path, self.plan, self.planning, self.edits = "", [], True, []
        if visible is None:
            return
        if heading := _HEADING.fullmatch(visible.strip()):
            self._head(number, _ACTIONS[heading[1].lower()], heading[2])
        elif visible.lstrip().startswith("<<<"):
            self.begun = True  # a marker that was cut off, or is not one
        elif self.planning:
            self.plan.append(visible)

    def _head(self, number: int, action: Action, rest: str) -> None:
        """A heading; what needs no block is an edit by itself."""
        old, arrow, target = (_unquoted(part) for part in rest.partition("->"))
        self.planning, self.begun, self.action = False, action in ("edit", "rewrite"), "edit"
        if action == "rename":
            if not (old and arrow and target):
                raise ValueError(f"line {number}: write '### rename: old/path -> new/path'")
            self.edits.append(Block(old, action=action, target=target))
            self.path = target
        elif action == "delete":
            if not _unquoted(rest):
                raise ValueError(f"line {number}: write '### delete: path'")
            self.edits.append(Block(_unquoted(rest), action=action))
            self.path = ""
        else:
            self.path, self.action = _unquoted(rest), action

    def finish(self) -> tuple[str, list[Block]]:
        self.thoughts.close()
        if self.begun and self.edits:
            raise ValueError(
                f"the answer ends where a block for {self.path} should be: was it cut off? Give all "
                "edits again"
            )
        if self.state != "outside":
            raise ValueError(
                f"the answer was cut off: the block of {self.path} opened on line {self.opened} "
                "never reaches >>>>>>> REPLACE; give all blocks again, whole"
            )
        if not self.edits:
            raise ValueError("the answer changes nothing: it has no SEARCH/REPLACE block")
        return _unfenced(self.plan), self.edits


def _unquoted(text: str) -> str:
    return text.strip(" \t*`'\"")


def _unfenced(lines: list[str]) -> str:
    """The plan without the fence that opened the wrapping of what followed it."""
    fences = [number for number, line in enumerate(lines) if line.lstrip().startswith("```")]
    if len(fences) % 2:
        wraps_all = not "".join(lines[: fences[0]]).strip()
        del lines[fences[0] if wraps_all else fences[-1]]
    return "\n".join(lines).strip()
