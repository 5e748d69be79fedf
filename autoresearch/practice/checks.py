"""What is surely wrong with a patched program, found by reading it: a typo costs no experiment.

All of it is told at once. What the code had before the patch is no reason to refuse it, and where reading
is not certain the run decides.
"""

import ast
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from autoresearch.practice.calls import check_calls
from autoresearch.practice.crashes import PLACES
from autoresearch.practice.imports import Installed, check_imports, words_of_imports
from autoresearch.practice.programs import Module, Problem, Program
from autoresearch.records import Failure, Place
from autoresearch.sourcecode import check_compiles, syntax_tree
from autoresearch.workspace import matches

LARGEST = 400_000  # characters of a file that is read
NODES = (
    20_000  # of the syntax tree of a file that is looked into: the compiler takes quadratic time
)
SECONDS = 5.0  # for reading a program; what is not read by then is left to the run
TOLD = 20  # problems
DETAIL = 6000  # characters
LONGEST = 200  # characters of a line that is shown


@dataclass(frozen=True)
class Setting:
    """How the program is started, and with what. `python` is the sandbox's version, "3.11.2"."""

    command: tuple[str, ...]
    python: str
    installed: Installed = frozenset

    @property
    def start(self) -> str:
        """The folder of the file that the command starts, "" where it names none."""
        scripts = [each for each in self.command if each.endswith(".py")]
        folder = str(PurePosixPath(scripts[0]).parent) if scripts else "."
        return "" if folder == "." else folder

    @property
    def version(self) -> tuple[int, int]:
        major, minor, *_ = (*self.python.split("."), "0", "0")
        return (int(major), int(minor)) if (major + minor).isdigit() else (0, 0)


@dataclass(frozen=True)
class Code:
    """A program's files: the text of those in Python (path -> text), and the paths of all."""

    texts: Mapping[str, str]
    files: frozenset[str]

    @classmethod
    def read(cls, tree: Path) -> "Code":
        """The files below a folder, without git's own; links are files whose text is not read."""
        paths = {str(path.relative_to(tree)): path for path in tree.rglob("*") if not path.is_dir()}
        files = {name: path for name, path in paths.items() if name.split("/")[0] != ".git"}
        texts = {name: _text(path) for name, path in files.items() if name.endswith(".py")}
        read = {name: text for name, text in texts.items() if text is not None}
        return cls(read, frozenset(files))

    def instead(self, original: Mapping[str, str], editable: tuple[str, ...]) -> "Code":
        """The code as it was, where the editable files had these texts."""
        kept = {name for name in self.files if not matches(name, editable)}
        texts = {name: text for name, text in self.texts.items() if name in kept}
        return Code({**texts, **original}, frozenset({*kept, *original}))


def _text(path: Path) -> str | None:
    """None for what is no text in UTF-8, or too long to be read."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > 4 * LARGEST:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def check(before: Code, after: Code, setting: Setting) -> Failure | None:
    """What the patch broke, that needs no run to be seen; None where nothing is sure."""
    known = frozenset(words_of_imports(before.texts.values()))
    found = _problems(after, setting, known)
    if not found:
        return None
    old = {(each.path, each.what) for each in _problems(before, setting, known)}
    new = [each for each in found if (each.path, each.what) not in old]
    return _failure(new, after.texts) if new else None


def check_syntax(code: Code) -> Failure | None:
    """Only what is no Python at all; None where every file can be started."""
    read = [_read(path, text) for path, text in sorted(code.texts.items()) if len(text) <= LARGEST]
    wrong = [each for each in read if isinstance(each, Problem)]
    return _failure(wrong, code.texts) if wrong else None


def _problems(code: Code, setting: Setting, known: frozenset[str]) -> list[Problem]:
    until = time.monotonic() + SECONDS
    modules: dict[str, Module] = {}
    found: list[Problem] = []
    for path, text in sorted(code.texts.items()):
        if not path.endswith(".py") or len(text) > LARGEST or time.monotonic() > until:
            continue
        read = _read(path, text)
        if isinstance(read, Module):
            modules[path] = read
        elif read and setting.version <= sys.version_info[:2]:  # a newer Python may know more
            found.append(read)
    program = Program(modules, code.files, setting.start, known)
    try:
        for each in _parts(program, setting, until, code.files):
            found.append(each)
            if time.monotonic() > until:
                break
    except (RecursionError, MemoryError):
        pass
    return sorted(dict.fromkeys(found), key=lambda each: (not each.syntax, each.path, each.line))


def _read(path: str, text: str) -> Module | Problem | None:
    """The parsed file, or why it is no Python."""
    try:
        tree = syntax_tree(text.removeprefix("\ufeff"), path)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return _syntax(path, error)
    if len(list(islice(ast.walk(tree), NODES))) == NODES:
        return None
    try:
        check_compiles(tree)
        return Module.read(path, text, tree)
    except (SyntaxError, ValueError) as error:
        return _syntax(path, error)
    except (RecursionError, MemoryError):  # it parsed: whether it compiles there is not known here
        return None


def _syntax(path: str, error: BaseException) -> Problem:
    told = getattr(error, "msg", None) or str(error) or type(error).__name__
    return Problem(path, getattr(error, "lineno", None) or 1, told, syntax=True)


def _parts(
    program: Program, setting: Setting, until: float, files: frozenset[str]
) -> Iterator[Problem]:
    yield from _command(setting, files)
    yield from check_imports(program, setting.installed)
    yield from check_calls(program)
    from autoresearch.practice.names import TooLong, check_names

    for module in program.modules.values():
        try:
            yield from check_names(module, until, setting.version >= (3, 14))
        except TooLong:
            return
        except RecursionError:
            continue


def _command(setting: Setting, files: frozenset[str]) -> Iterator[Problem]:
    for each in setting.command:
        if (
            each.endswith(".py")
            and not each.startswith("/")
            and str(PurePosixPath(each)) not in files
        ):
            yield Problem(each, 1, f"{each} is gone, which the command starts", "keep it")


# --- telling -------------------------------------------------------------------------------------


def _failure(problems: list[Problem], texts: Mapping[str, str]) -> Failure:
    first, more = problems[0], len(problems) - 1
    message = f"{first.path}, line {first.line}: {first.what}"
    message += f" (and {more} more)" if more else ""
    parts: list[str] = []
    size = 0
    for each in problems[:TOLD]:
        part = _told(each, texts.get(each.path, ""))
        size += len(part)
        if size > DETAIL and parts:
            break
        parts.append(part)
    if len(parts) < len(problems):
        parts.append(f"... and {len(problems) - len(parts)} more")
    return Failure(
        stage="syntax" if first.syntax else "check",
        message=message[:500],
        detail="\n".join(parts)[: DETAIL + 100],
        places=tuple(Place(path=p.path, line=p.line, function="") for p in problems[:PLACES]),
        fingerprint=" ".join(["check", *(each.what for each in problems)])[:200],
    )


def _told(problem: Problem, text: str) -> str:
    """The problem, what would be right, and the lines it is about."""
    reach = 2 if problem.syntax else 0
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = max(0, problem.line - 1 - reach)
    shown = [
        f"{first + place + 1:4} | {line[:LONGEST]}"
        for place, line in enumerate(lines[first : problem.line + reach])
    ]
    right = f"; {problem.right}" if problem.right else ""
    return "\n".join([f"{problem.path}, line {problem.line}: {problem.what}{right}", *shown])
