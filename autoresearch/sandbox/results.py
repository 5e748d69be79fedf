"""The one door for files that an untrusted program left. Only plain, bounded, named files come in.

Everything else (links, hard links, devices, FIFOs, sockets, too large, too many, too deep, badly named)
is `Refused`, all of it: a half of what a program left is not a result. Read only after every process
of the experiment is gone.
"""

import json
import math
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NoReturn

from autoresearch.records import Limits

MOST_FILES = 10_000
DEEPEST = 32  # folders within folders
LONGEST = 1024  # bytes of a relative path
CHUNK = 2**20

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Refused(ValueError):
    """Why the results of an experiment are not taken, in one line."""


def collect(root: Path, target: Path, limits: Limits) -> tuple[str, ...]:
    """Copy what is below `root` to `target` (made if missing); the relative paths, sorted. Looked
    through before anything is written: making files costs the host far more than naming them.

    No component of a path is followed when it is a link, and what is opened is checked again. Raises
    Refused, and then leaves nothing in `target` that it put there.
    """
    with _Door(target, limits) as door:
        try:
            folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                for write in (False, True):
                    door.entries = 0
                    _walk(folder, "", door, write)
            finally:
                os.close(folder)
        except OSError as error:
            raise Refused(f"$OUT cannot be read: {error.strerror}") from None
    return door.names()


def collect_tar(stream: IO[bytes], target: Path, limits: Limits) -> tuple[str, ...]:
    """The same for a tar file whose members are relative to $OUT."""
    import tarfile

    with _Door(target, limits) as door:
        for write in (False, True):
            stream.seek(0)
            bounded = _Bounded(stream, limits.disk + (MOST_FILES + 2) * 4096)
            door.entries = 0
            try:
                with tarfile.open(fileobj=bounded, mode="r|") as archive:  # type: ignore[call-overload]
                    for member in archive:
                        _take_member(archive, member, door, write)
            except (tarfile.TarError, EOFError) as error:
                raise Refused(f"$OUT came back as a broken archive: {error}") from None
    return door.names()


def read_json(path: Path, max_bytes: int = 2**20, max_depth: int = 32) -> Any:
    """Strict JSON from a file that need not be trusted. Raises Refused, also when there is none.

    Not taken: links and special files, more than `max_bytes`, deeper than `max_depth`, invalid UTF-8,
    NaN and infinities (also as 1e999), duplicate keys.
    """
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        raise Refused(f"{path.name}: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        _check_plain(path.name, os.fstat(descriptor))
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise Refused(f"{path.name}: more than {max_bytes} bytes")
    try:
        return _parse(data.decode(), max_depth)
    except ValueError as error:
        raise Refused(f"{path.name}: not usable as JSON: {error}") from None


# --- the door -----------------------------------------------------------------------------------


class _Door:
    """Counts and writes what comes in; takes it all out again when something is refused."""

    def __init__(self, target: Path, limits: Limits) -> None:
        self.target, self.limits = target, limits
        self.left = limits.disk
        self.taken: list[str] = []
        self.entries = 0

    def __enter__(self) -> "_Door":
        self.target.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            for path in self.taken:
                (self.target / path).unlink(missing_ok=True)

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.taken))

    def check(self, path: str) -> None:
        """Whether one more entry of this relative path may be looked at."""
        self.entries += 1
        if self.entries > MOST_FILES:
            raise Refused(f"more than {MOST_FILES} files and folders in $OUT")
        if not path.isprintable() or len(path.encode(errors="replace")) > LONGEST:
            raise Refused(f"a name in $OUT is too long or not printable: {path[:60]!r}")
        if path.count("/") >= DEEPEST:
            raise Refused(f"folders in $OUT nested more than {DEEPEST} deep")

    def take(self, path: str, size: int, read: Callable[[int], bytes]) -> None:
        """Write one file of `size` bytes, no more and no less."""
        if size > min(self.limits.file, self.left):
            raise Refused(f"{path}: {size} bytes are more than $OUT may hold")
        self.left -= size
        place = self.target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        self.taken.append(path)
        with os.fdopen(os.open(place, _WRITE, 0o644), "wb") as file:
            while size:
                data = read(min(size, CHUNK))
                if not data:
                    raise Refused(f"{path}: shorter than it says it is")
                file.write(data)
                size -= len(data)


def _walk(folder: int, prefix: str, door: _Door, write: bool) -> None:
    """Take what is in an open folder; at most DEEPEST calls deep, which `door` sees to."""
    with os.scandir(folder) as entries:
        for entry in entries:
            path = prefix + entry.name
            door.check(path)
            found = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                below = os.open(entry.name, flags, dir_fd=folder)
                try:
                    _walk(below, path + "/", door, write)
                finally:
                    os.close(below)
                continue
            _check_plain(path, found)  # before opening: opening a device can do things
            if not write:
                continue
            with os.fdopen(os.open(entry.name, _READ, dir_fd=folder), "rb") as file:
                found = os.fstat(file.fileno())
                _check_plain(path, found)
                door.take(path, found.st_size, file.read)


def _check_plain(path: str, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise Refused(f"{path}: is a link")
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"{path}: is not a regular file")
    if found.st_nlink != 1:
        raise Refused(f"{path}: has {found.st_nlink} names (hard links)")


def _take_member(archive: Any, member: Any, door: _Door, write: bool) -> None:
    path = os.path.normpath(member.name)
    if path == ".":
        return
    if path.startswith(("/", "../")) or path == "..":
        raise Refused(f"{path[:60]}: is not below $OUT")
    door.check(path)
    if member.isdir():
        return
    if not member.isreg() or member.issparse():
        raise Refused(f"{path}: is not a regular file")
    if write:
        with archive.extractfile(member) as file:
            door.take(path, member.size, file.read)


class _Bounded:
    """A stream that is refused, not read, beyond its bound."""

    def __init__(self, stream: IO[bytes], bound: int) -> None:
        self.stream, self.left = stream, bound

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise Refused("the archive of $OUT is larger than $OUT may be")
        return data


# --- strict JSON --------------------------------------------------------------------------------


def _parse(text: str, max_depth: int) -> Any:
    _check_depth(text, max_depth)
    value = json.loads(
        text,
        object_pairs_hook=_unique,
        parse_constant=_no_constant,
        parse_float=_finite,
    )
    json.dumps(value, ensure_ascii=False).encode()  # ValueError for half a surrogate pair
    return value


def _check_depth(text: str, max_depth: int) -> None:
    """Before the parser, which recurses, sees it."""
    depth, quoted, escaped = 0, False, False
    for character in text:
        if quoted:
            quoted = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
            if depth > max_depth:
                raise ValueError(f"nested more than {max_depth} deep")
        elif character in "]}":
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is not a finite number")
    return value
