"""What the supervisor of a container knows and does beyond the others. Standard library only.

The container's control group bounds memory, and $OUT is a file system of its own in memory that ends
with the container: so how full it is can be asked at once, and its files leave as a tar stream.
"""

import contextlib
import io
import os
import tarfile
from collections.abc import Iterator

MOST_ENTRIES = 12_000  # somewhat more than the door takes, which refuses the rest by itself
DEEPEST = 40
LONGEST = 1100  # bytes of a relative path
CHUNK = 2**16

_KILLS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


class Contained:
    """`out` is where $OUT is mounted, `disk` the bytes that may be left in it."""

    def __init__(self, out: str, disk: int) -> None:
        self.out, self.disk = out, disk

    def excess(self) -> str:
        """Why this is too much, or ''. Counts deleted files that are still open, and folders."""
        found = os.statvfs(self.out)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        return "more on disk than it may leave" if used > self.disk else ""

    def out_of_memory(self) -> str:
        """Why, when the kernel has killed anything of this container for its memory, or ''."""
        for path in _KILLS:
            with contextlib.suppress(OSError), open(path) as file:
                for line in file:
                    name, count = line.split()
                    if name == "oom_kill" and int(count):
                        return "more memory than it may have"
        return ""

    def archive(self) -> Iterator[bytes]:
        """What is in $OUT as a tar stream in pieces of at most CHUNK bytes, nothing left out.

        Links and special files are named in it, so that the host can refuse them; it stops after
        what the host refuses anyway: too many entries, or a file larger than all that is allowed.
        """
        left = self.disk
        reader = tarfile.TarFile(fileobj=io.BytesIO(), mode="w")  # only for what it knows of files
        for path, name in self._entries():
            member = _member(reader, path, name)
            yield from _pieces(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
            if not member.isreg():
                continue
            left -= member.size
            if left < 0:
                return
            with open(path, "rb", opener=_as_owner) as file:
                while data := file.read(CHUNK):
                    yield data
            yield from _pieces(bytes(-member.size % tarfile.BLOCKSIZE))
        yield bytes(2 * tarfile.BLOCKSIZE)

    def _entries(self) -> Iterator[tuple[str, str]]:
        """(path, path relative to $OUT) of everything below it that the host may want to judge."""
        waiting, count = [""], 0
        while waiting:
            folder = waiting.pop()
            descriptor = _as_owner(f"{self.out}/{folder}", os.O_RDONLY | os.O_DIRECTORY)
            try:
                names = sorted(os.listdir(descriptor))
            finally:
                os.close(descriptor)
            for name in names:
                relative = folder + name
                path = f"{self.out}/{relative}"
                yield path, relative
                count += 1
                if count > MOST_ENTRIES:
                    return
                if len(os.fsencode(relative)) > LONGEST or relative.count("/") > DEEPEST:
                    continue  # the host refuses this one
                if os.path.isdir(path) and not os.path.islink(path):
                    waiting.append(relative + "/")


def _member(reader: tarfile.TarFile, path: str, name: str) -> tarfile.TarInfo:
    member: tarfile.TarInfo | None = reader.gettarinfo(path, name)
    if member is None:  # a socket, which has no type of its own in an archive
        member = tarfile.TarInfo(name)
        member.type = tarfile.FIFOTYPE
    elif member.isreg() and os.lstat(path).st_nlink != 1:
        member.type, member.linkname, member.size = tarfile.LNKTYPE, name, 0
    member.uname = member.gname = ""
    return member


def _as_owner(path: str, flags: int) -> int:
    """Open what belongs to this user also when its mode does not allow it."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW)
    except PermissionError:
        os.chmod(path, 0o700)
        return os.open(path, flags | os.O_NOFOLLOW)


def _pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), CHUNK):
        yield data[start : start + CHUNK]
