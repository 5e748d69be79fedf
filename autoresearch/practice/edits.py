"""Edits: search/replace over several files and whole new files, applied exactly or not at all."""

import difflib
import heapq
from collections.abc import Mapping
from pathlib import PurePosixPath

from autoresearch.records import Edit, Patch
from autoresearch.workspace import matches

MAX_BYTES = 400_000  # of one file after an edit
MAX_NAME = 200  # bytes
LIKELY = 8  # windows that are compared letter by letter
COMPARED = 1_000  # characters of each
SHOWN = 60  # lines


class Refused(ValueError):
    """An edit that cannot be applied exactly; the message says why and shows what is there."""


def apply(
    patch: Patch, sources: Mapping[str, str], existing: set[str], editable: tuple[str, ...]
) -> dict[str, str]:
    """The new text of each file the patch changes.

    `sources` are the editable files' texts, `existing` the paths of all files. Raises Refused when
    any edit does not fit: then none of them is applied.
    """
    changed: dict[str, str] = {}
    for edit in patch.edits:
        _check_path(edit.path, editable, {*sources, *changed})
        if not edit.search.strip():
            if edit.path in existing or edit.path in changed:
                raise Refused(
                    f"{edit.path} exists: an empty SEARCH part is only for new files; "
                    "copy the lines to be replaced into it"
                )
            changed[edit.path] = edit.replace
        else:
            text = changed.get(edit.path, sources.get(edit.path))
            changed[edit.path] = _replace(edit, text)
        if len(changed[edit.path].encode()) > MAX_BYTES:
            raise Refused(f"{edit.path} would be larger than {MAX_BYTES:,} bytes")
    if all(sources.get(path) == text for path, text in changed.items()):
        raise Refused("the edits change nothing")
    return changed


def _check_path(path: str, editable: tuple[str, ...], files: set[str]) -> None:
    parts = PurePosixPath(path).parts
    if not path.isprintable() or any(len(part.encode()) > MAX_NAME for part in parts):
        raise Refused("a path is not printable, or a name in it is too long")
    inside = [str(parent) for parent in PurePosixPath(path).parents if str(parent) in files]
    if inside:
        raise Refused(f"{inside[0]} is a file: nothing can be inside it")
    if not parts or path.startswith("/") or ".." in parts or ".git" in parts or "\\" in path:
        raise Refused(f"{path!r} is not a path inside the experiment")
    if not matches(path, editable):
        raise Refused(f"{path} may not be edited; editable are: {', '.join(editable)}")


def _replace(edit: Edit, text: str | None) -> str:
    if text is None:
        raise Refused(f"there is no file {edit.path} to edit; a new file has an empty SEARCH part")
    found = text.count(edit.search)
    if found == 1:
        return text.replace(edit.search, edit.replace)
    if found > 1:
        raise Refused(
            f"{edit.path}: the SEARCH part stands in {found} places; add lines until it is unique:"
            f"\n{edit.search}"
        )
    raise Refused(
        f"{edit.path}: no place reads exactly\n{edit.search}\nThe nearest there is:\n"
        f"{nearest(edit.search, text)}"
    )


def nearest(wanted: str, text: str) -> str:
    """The lines of `text` most like `wanted`, with their line numbers."""
    want, lines = wanted.splitlines(), text.splitlines()
    size = max(1, len(want))
    known = {line.strip() for line in want if line.strip()}
    shared = [line.strip() in known for line in lines]
    starts = range(max(1, len(lines) - size + 1))
    # Comparing letter by letter is slow: only the windows with the most lines in common are.
    likely = heapq.nlargest(LIKELY, starts, key=lambda start: sum(shared[start : start + size]))
    if not any(shared):
        likely = list(starts)[:: max(1, len(starts) // (4 * LIKELY))]
    best = max(likely, key=lambda start: _likeness(wanted, lines[start : start + size]))
    shown = lines[best : best + min(size, SHOWN)]
    return "\n".join(f"{best + i + 1:4} | {line}" for i, line in enumerate(shown))


def _likeness(wanted: str, lines: list[str]) -> float:
    window = "\n".join(lines)[:COMPARED]
    return difflib.SequenceMatcher(None, wanted[:COMPARED], window, autojunk=False).ratio()
