"""`autoresearch clean`: removes environments that nothing uses, and what killed processes left behind.

Only what lies on this user's shelf is looked at, and images by the keys that are on it: what others
built with the same engine is theirs.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from autoresearch.config import SandboxSettings, parse_duration
from autoresearch.errors import BadInput, SandboxError
from autoresearch.sandbox.engine import Engine
from autoresearch.sandbox.images import BASE, IMAGE
from autoresearch.sandbox.protocol import size
from autoresearch.sandbox.scratch import abandoned, has_ended, remove_abandoned, remove_tree
from autoresearch.sandbox.shelf import Shelf

DAY = 86400.0


@dataclass(frozen=True)
class _Found:
    """An environment that takes up space: a virtual environment, or an image where `tag` says so."""

    key: str
    bytes: int
    used: float  # when it was last, in seconds since the epoch
    tag: str = ""

    def line(self, what: str) -> str:
        kind = "image" if self.tag else "venv"
        days = (time.time() - self.used) / DAY
        ago = "today" if days < 1 else f"{days:.0f} days ago"
        return f"{what:<12} {kind:<5} {self.key}  {size(self.bytes):>9}  last used {ago}"


def clean_up(
    settings: SandboxSettings, older_than: str, everything: bool, dry_run: bool
) -> Iterator[str]:
    """Clean up, and say so: a line for each environment, then what was left behind, then the sum.

    `everything`: however old, and the locks of what was built too. Raises BadInput for an age that
    is none.
    """
    try:
        age = 0.0 if everything else parse_duration(older_than)
    except ValueError as error:
        raise BadInput(f"--older-than: {error}") from None
    shelf = Shelf(settings)
    try:
        engine = Engine()
    except SandboxError as absent:
        engine = None
        yield f"images are not looked at: {absent}"
    yield from _left_behind(engine, dry_run)
    freed = 0
    for found in _environments(shelf, engine):
        what = "kept"
        if time.time() - found.used >= age:
            what = _remove(shelf, engine, found, dry_run)
        freed += found.bytes if what in ("removed", "would remove") else 0
        yield found.line(what)
    if everything and not dry_run:
        _forget(shelf)
    yield f"{'would free' if dry_run else 'freed'} {size(freed)}"


def _environments(shelf: Shelf, engine: Engine | None) -> Iterator[_Found]:
    images = engine.images(IMAGE) if engine else {}
    for key in shelf.every_key():
        folder = shelf.folder / key
        if folder.is_dir():
            used = shelf.last_used(key) or folder.stat().st_mtime
            yield _Found(key, _bytes(folder), used)
        if engine and key in images:
            yield _image(engine, key, images[key], shelf.last_used(key))


def _image(engine: Engine, key: str, image: dict[str, Any], used: float) -> _Found:
    created = image["Created"]
    if isinstance(created, str):  # as Podman has it
        created = datetime.fromisoformat(created).timestamp()
    below = engine.size((image.get("Labels") or {}).get(BASE, "")) if image.get("Labels") else 0
    return _Found(key, int(image["Size"]) - below, used or float(created), f"{IMAGE}:{key}")


def _bytes(folder: Path) -> int:
    """On disk, following no link. It may be built, and change, just now."""
    total = 0
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(f"{place}/{name}").st_blocks * 512
    return total


def _remove(shelf: Shelf, engine: Engine | None, found: _Found, dry_run: bool) -> str:
    with shelf.unused(found.key) as unused:
        if not unused:
            return "in use"
        if dry_run:
            return "would remove"
        if not found.tag:
            remove_tree(shelf.folder / found.key)
        elif engine and not engine.remove_image(found.tag):
            return "in use"
        for kind in ("log", "json", "aside"):
            shelf.file(found.key, kind).unlink(missing_ok=True)
        return "removed"


def _forget(shelf: Shelf) -> None:
    """The logs and locks of what is not there any more. The files that are locked stay: they are empty."""
    for key in shelf.every_key():
        with shelf.unused(key) as unused:
            if unused and not (shelf.folder / key).exists():
                for kind in ("log", "requirements"):
                    shelf.file(key, kind).unlink(missing_ok=True)


def _left_behind(engine: Engine | None, dry_run: bool) -> Iterator[str]:
    """Containers and folders of processes that were killed."""
    owned = engine.owned() if engine else {}
    containers = [container for container, owner in owned.items() if has_ended(owner)]
    folders = abandoned()
    if not dry_run:
        for container in containers:
            assert engine is not None
            engine.remove(container)
        remove_abandoned()
    for count, what in ((len(containers), "containers"), (len(folders), "temporary folders")):
        if count:
            yield f"{'would remove' if dry_run else 'removed':<12} {count} {what} of killed runs"
