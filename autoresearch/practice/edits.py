"""Edits over several files: applied exactly and all of them, or none."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from autoresearch.practice.matching import Refused, in_style_of, replaced
from autoresearch.records import Edit, Patch
from autoresearch.workspace import matches

MAX_BYTES = 400_000  # of one file, before and after an edit
MAX_NAME = 200  # bytes
TOLD = 5  # refused edits

Changes = dict[str, str | None]  # path -> the exact new text, None where the file is gone


def apply(
    patch: Patch, sources: Mapping[str, str], existing: Iterable[str], editable: tuple[str, ...]
) -> Changes:
    """What the patch changes.

    `sources` are the exact texts of the files that can be edited, `existing` the paths of all files, links
    and folders. Raises Refused with what is wrong with each edit that does not fit: then none is applied.
    """
    files = _Files(sources, existing, editable)
    refused: dict[str, str] = {}  # of each file the first: what comes after it may follow from it
    for edit in patch.edits:
        try:
            if edit.path not in refused:
                files.change(edit)
        except Refused as error:
            refused[edit.path] = str(error)
    if refused:
        more = len(refused) - TOLD
        told = [*list(refused.values())[:TOLD], *([f"... and {more} more"] if more > 0 else [])]
        raise Refused("\n\n".join(told))
    changes: Changes = {path: None for path in sources if path not in files.texts}
    changes |= {path: text for path, text in files.texts.items() if sources.get(path) != text}
    if not changes:
        raise Refused("the edits change nothing")
    return changes


class _Files:
    """The files while they are being edited, in memory."""

    def __init__(
        self, sources: Mapping[str, str], existing: Iterable[str], editable: tuple[str, ...]
    ) -> None:
        self.texts, self._editable = dict(sources), editable
        paths = {*existing, *sources}
        folders = {str(above) for path in paths for above in PurePosixPath(path).parents}
        self._files = paths - folders

    def change(self, edit: Edit) -> None:
        """Raises Refused, and then has changed nothing."""
        self._check_path(edit.path)
        match edit.action:
            case "edit" if not edit.search.strip():
                self._check_free(edit.path, "an empty SEARCH part is only for new files; copy the lines to be "
                                 "replaced into it, or write '### rewrite: path'")  # fmt: skip
                self._set(edit.path, edit.replace)
            case "edit":
                self._set(edit.path, replaced(edit, self._text(edit.path)))
            case "rewrite":
                self._set(edit.path, in_style_of(edit.replace, self._text(edit.path)))
            case "rename":
                self._check_path(edit.target)
                text = self._text(edit.path)
                self._check_free(edit.target, "delete it first, or choose another name")
                self._remove(edit.path)
                self._set(edit.target, text)
            case "delete":
                self._text(edit.path)
                self._remove(edit.path)

    def _text(self, path: str) -> str:
        if path in self.texts:
            return self.texts[path]
        if path in self._files:
            raise Refused(
                f"{path} is no text in UTF-8, or larger than {MAX_BYTES:,} bytes: leave it as it is"
            )
        raise Refused(f"there is no file {path} to edit; a new file has an empty SEARCH part")

    def _set(self, path: str, text: str) -> None:
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise Refused(f"{path} would hold characters that UTF-8 does not have") from None
        if size > MAX_BYTES:
            raise Refused(f"{path} would be larger than {MAX_BYTES:,} bytes")
        self.texts[path] = text
        self._files.add(path)

    def _remove(self, path: str) -> None:
        del self.texts[path]
        self._files.discard(path)

    def _check_free(self, path: str, otherwise: str) -> None:
        if path in self._files or any(file.startswith(f"{path}/") for file in self._files):
            raise Refused(f"{path} exists: {otherwise}")

    def _check_path(self, path: str) -> None:
        parts = PurePosixPath(path).parts
        if not path.isprintable() or any(len(os.fsencode(part)) > MAX_NAME for part in parts):
            raise Refused("a path is not printable, or a name in it is too long")
        inside = [str(above) for above in PurePosixPath(path).parents if str(above) in self._files]
        if inside:
            raise Refused(f"{inside[0]} is a file: nothing can be inside it")
        outside = path.startswith("/") or ".." in parts or ".git" in parts or "\\" in path
        if not parts or outside or path != str(PurePosixPath(path)):
            raise Refused(f"{path!r} is not a path inside the experiment")
        if not matches(path, self._editable):
            raise Refused(f"{path} may not be edited; editable are: {', '.join(self._editable)}")


def exact_sources(tree: Path, editable: tuple[str, ...]) -> dict[str, str]:
    """The exact texts of the files below `tree` that can be edited: text in UTF-8, and not too large."""
    found = {}
    for path in tree.rglob("*"):
        name = str(path.relative_to(tree))
        if name.split("/")[0] == ".git" or not matches(name, editable):
            continue
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_BYTES:
            continue
        data = path.read_bytes()
        if b"\0" not in data:
            try:
                found[name] = data.decode("utf-8")
            except UnicodeDecodeError:
                continue
    return found


def write(tree: Path, changes: Changes) -> None:
    """Make the files below `tree` as the changes say; folders that are empty then are gone too."""
    for name in [name for name, text in changes.items() if text is None]:
        (tree / name).unlink()
        for above in (tree / name).parents:
            if above == tree or any(above.iterdir()):
                break
            above.rmdir()
    for name, text in changes.items():
        if text is not None:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(text.encode("utf-8"))
