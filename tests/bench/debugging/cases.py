"""The broken programs: an honest patch of a baseline for each idea, and a mistake that an operator makes in it."""

import ast
import difflib
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from autoresearch.practice.edits import apply
from autoresearch.records import Edit, Idea, Patch, Record
from autoresearch.textedits import edits_between
from tests.bench.debugging import slips  # noqa: F401  # it registers its operators
from tests.bench.debugging.operators import OPERATORS, Lines, Operator
from tests.engine import TASKS as FOLDERS

TASKS = ("digits", "image2d", "points3d", "sentiment")
IDEAS = Path(__file__).parent / "ideas"
# The shipped baselines, trained for a shorter time: what goes wrong does not depend on it.
EPOCHS = {"digits": (60, 40), "image2d": (20, 2), "points3d": (30, 3), "sentiment": (8, 3)}
Program = Mapping[str, str]  # path -> text
Kind = Literal["patch", "inherited"]
OPERATORS["edit-forgotten"] = Operator(
    "edit-forgotten",
    "incomplete",
    "one of a patch's edits is left out: the code it would have changed no longer fits the rest",
    lambda text, lines: iter(()),
)


@dataclass(frozen=True)
class Honest:
    """An idea with a patch that works. `keeps` are expressions of which each must be found in a repaired
    program: a repair that gives up the idea is none."""

    task: str
    idea: Idea
    keeps: tuple[str, ...]
    patch: Patch

    @property
    def name(self) -> str:
        return f"{self.task}/{self.idea.slug}"


class Mistake(Record):
    """What an operator did to an idea's program: put `new` in the place of the characters [start, end) of
    `path`, or left out one edit of the patch. It is in lines that the patch changed, or (inherited) not."""

    honest: str
    operator: str
    kind: Kind
    path: str = ""
    start: int = 0
    end: int = 0
    new: str = ""
    left_out: int = -1

    @property
    def name(self) -> str:
        letters = "" if self.kind == "patch" else "-inherited"
        mark = hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:4]
        return f"{self.honest}/{self.operator}{letters}-{mark}"


@dataclass(frozen=True)
class Case:
    """`original` is the code before the patch, `broken` after it, `whole` what it would be without the
    mistake."""

    mistake: Mistake
    honest: Honest
    original: Program
    broken: Program
    whole: Program

    @property
    def name(self) -> str:
        return self.mistake.name

    @property
    def operator(self) -> Operator:
        return OPERATORS[self.mistake.operator]

    @property
    def patch(self) -> Patch:
        edits: list[Edit] = []
        for path, text in self.broken.items():
            if path in self.original:
                edits += edits_between(path, self.original[path], text)
            else:
                edits.append(Edit(path=path, search="", replace=text))
        return Patch(plan=self.honest.patch.plan, edits=tuple(edits))

    @property
    def undefined(self) -> set[str]:
        """What the program lacks at the top of its files."""
        return _defined(self.whole) - _defined(self.broken)

    @property
    def fault(self) -> dict[str, tuple[Lines, Lines]]:
        """For each file the lines of the broken program that are wrong, and the lines beside places where
        something is missing."""
        return {
            path: _differing(self.whole.get(path, ""), text)
            for path, text in self.broken.items()
            if self.whole.get(path) != text
        }


def _defined(program: Program) -> set[str]:
    """The names that the files of a program define or import at their top."""
    found: set[str] = set()
    for text in program.values():
        for node in ast.parse(text).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            else:
                found |= {
                    n.id
                    for n in ast.walk(node)
                    if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
                }
    return found


def _differing(right: str, wrong: str) -> tuple[Lines, Lines]:
    matcher = difflib.SequenceMatcher(None, right.splitlines(), wrong.splitlines(), autojunk=False)
    lines: set[int] = set()
    beside: set[int] = set()
    for tag, _, _, first, last in matcher.get_opcodes():
        if tag == "delete":
            beside |= {first, first + 1}
        elif tag != "equal":
            lines |= set(range(first + 1, last + 1))
    return frozenset(lines), frozenset(beside)


@cache
def baseline(task: str) -> Program:
    """The editable files of a task, to be trained for a shorter time."""
    return _shorter(task, {"train.py": (FOLDERS / task / "baseline" / "train.py").read_text()})


def _shorter(task: str, program: Program) -> Program:
    before, after = EPOCHS[task]
    return {
        path: text.replace(f"EPOCHS = {before}\n", f"EPOCHS = {after}\n")
        for path, text in program.items()
    }


@cache
def honest_ideas() -> tuple[Honest, ...]:
    found = []
    for path in sorted(IDEAS.glob("*/*.md")):
        head, _, answer = path.read_text().partition("\n\n")
        title, keeps = (line.partition(": ")[2] for line in head.splitlines())
        patch = Patch.from_answer(answer)
        idea = Idea(
            slug=path.stem,
            title=title,
            hypothesis=f"{title}: accuracy rises.",
            plan=patch.plan,
            summary=title,
        )
        found.append(Honest(path.parent.name, idea, tuple(keeps.split(" & ")), patch))
    return tuple(found)


@cache
def patched(honest: Honest, left_out: int = -1) -> Program:
    """The program of an idea; without one edit of its patch, where that is asked for."""
    sources = {"train.py": (FOLDERS / honest.task / "baseline" / "train.py").read_text()}
    edits = tuple(e for number, e in enumerate(honest.patch.edits) if number != left_out)
    patch = Patch(plan=honest.patch.plan, edits=edits)
    return _shorter(honest.task, sources | apply(patch, sources, set(sources), ("*.py",)))


def case_of(mistake: Mistake) -> Case:
    """Raises ValueError where the mistake is in lines that the patch changed, but is not to be."""
    honest = next(each for each in honest_ideas() if each.name == mistake.honest)
    whole, original = patched(honest), baseline(honest.task)
    if mistake.left_out >= 0:
        return Case(mistake, honest, original, patched(honest, mistake.left_out), whole)
    text, path = whole[mistake.path], mistake.path
    broken = text[: mistake.start] + mistake.new + text[mistake.end :]
    if mistake.kind == "inherited":
        before = _same_mistake(original.get(path, ""), text, broken)
        if before is None:
            raise ValueError(f"{mistake.name} is not in what was there before")
        original = {**original, path: before}
    return Case(mistake, honest, original, {**whole, path: broken}, whole)


def candidates(operator: Operator, kind: Kind, task: str) -> Iterator[Mistake]:
    """Every mistake that the operator makes in a task, of each idea the first, then of each the second,
    and so on, always in the same order."""
    chosen = [honest for honest in honest_ideas() if honest.task == task]
    chosen.sort(key=lambda honest: _shuffle(honest.name + operator.name))
    made = [_of_idea(honest, operator, kind) for honest in chosen]
    for turn in range(max(map(len, made))):
        yield from (mistakes[turn] for mistakes in made if turn < len(mistakes))


def _shuffle(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _of_idea(honest: Honest, operator: Operator, kind: Kind) -> list[Mistake]:
    whole, original = patched(honest), baseline(honest.task)
    if operator.category == "incomplete":
        return list(_forgotten(honest, operator, kind))
    found = []
    for path, text in whole.items():
        changed = _differing(original.get(path, ""), text)[0]
        everything = frozenset(range(1, text.count("\n") + 2))
        for broken in operator.change(text, changed if kind == "patch" else everything - changed):
            if broken != text and _parses(broken):
                start, end = _place(text, broken)
                found.append(Mistake(
                    honest=honest.name, operator=operator.name, kind=kind, path=path,
                    start=start, end=len(text) - end, new=broken[start : len(broken) - end],
                ))  # fmt: skip
    return sorted(found, key=lambda mistake: _shuffle(mistake.name))


def _place(text: str, broken: str) -> tuple[int, int]:
    """How many characters two texts have in common at their start and at their end."""
    shorter = min(len(text), len(broken))
    start = next((n for n in range(shorter) if text[n] != broken[n]), shorter)
    left = shorter - start
    end = next((n for n in range(left) if text[-1 - n] != broken[-1 - n]), left)
    return start, end


def _same_mistake(original: str, text: str, broken: str) -> str | None:
    """The original with the change of `text` to `broken`, where that is in lines it has as well."""
    before, after = text.splitlines(keepends=True), broken.splitlines(keepends=True)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    changes = [code for code in matcher.get_opcodes() if code[0] != "equal"]
    if len(changes) != 1:
        return None
    _, first, last, new_first, new_last = changes[0]
    old = "".join(before[max(0, first - 1) : last])  # with the line before, to find the place
    new = "".join(before[max(0, first - 1) : first] + after[new_first:new_last])
    return original.replace(old, new) if original.count(old) == 1 else None


def _forgotten(honest: Honest, operator: Operator, kind: Kind) -> Iterator[Mistake]:
    for number, edit in enumerate(honest.patch.edits):
        kept = set(edit.search.splitlines()) <= set(edit.replace.splitlines())
        if not edit.search or len(honest.patch.edits) == 1:
            continue
        whole = all(map(_parses, patched(honest, number).values()))
        if whole and ("patch" if kept else "inherited") == kind:
            yield Mistake(honest=honest.name, operator=operator.name, kind=kind, left_out=number)


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def keeps_idea(honest: Honest, program: Program) -> bool:
    """Whether a program still does what the idea is about."""
    everything = "\n".join(program.values())
    return all(re.search(pattern, everything) for pattern in honest.keeps)
