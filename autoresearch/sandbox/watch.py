"""Measuring and ending what an experiment started, seen from its supervisor. Standard library only."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator

PAGE = os.sysconf("SC_PAGE_SIZE")
DEEPEST = 64  # folders within folders, before it counts as hiding
PATIENCE = 10.0  # seconds for killed processes to go
SOCKET = 2**18  # bytes that one may hold of what was sent and not read; the filter keeps it so


class Check:
    """Something measured again and again, for at most a twentieth of the time; but soon when a
    cheap glance finds it `urgent`."""

    def __init__(
        self,
        interval: float,
        measure: Callable[[], None],
        urgent: Callable[[], bool] = lambda: False,
    ) -> None:
        self.interval, self.run, self.urgent = interval, measure, urgent
        self.due = self.glance = 0.0

    def run_if_due(self) -> None:
        begun = time.monotonic()
        if begun < self.glance:
            return
        self.glance = begun + self.interval
        if begun >= self.due or self.urgent():
            used = time.process_time()  # and not the time that others took meanwhile
            self.run()
            used, now = time.process_time() - used, time.monotonic()
            self.due = now + max(self.interval, 20 * used)
            self.glance = now + max(self.interval, 2 * used)


# --- processes ----------------------------------------------------------------------------------


def alive() -> list[int]:
    """Every process that the experiment is made of, zombies left out."""
    own = os.getpid()
    found = _all_others() if own == 1 else _descendants(own)
    return [process for process in found if _state(process) not in ("Z", "X", "")]


def _all_others() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal() and name != "1"]


def _descendants(process: int) -> list[int]:
    found, waiting = [], [process]
    while waiting:
        children = list(_children(waiting.pop()))
        found += children
        waiting += children
    return found


def _children(process: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):
            yield from map(int, _read(f"/proc/{process}/task/{thread}/children").split())


def _state(process: int) -> str:
    fields = _read(f"/proc/{process}/stat").rpartition(b")")[2].split()
    return fields[0].decode() if fields else ""


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:  # it has ended meanwhile
        return b""


def kill_everything(reap: Callable[[], bool]) -> None:
    """End the whole tree, also what is forking. `reap` says whether there are children left."""
    until = time.monotonic() + PATIENCE
    while True:
        if os.getpid() == 1:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
        else:
            _kill_descendants()
        if not reap() or time.monotonic() > until:
            return
        time.sleep(0.002)


def _kill_descendants() -> None:
    """Stop first, so that nothing forks between looking and killing; then look again."""
    stopped: set[int] = set()
    while new := set(_descendants(os.getpid())) - stopped:
        for process in new:
            _send(process, signal.SIGSTOP)
        stopped |= new
    for process in stopped:
        _send(process, signal.SIGKILL)


def _send(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


# --- memory -------------------------------------------------------------------------------------


class Memory:
    """Bytes of the whole tree, by what is told apart only where it matters: near the limit, pages that
    processes share; when the machine has lost more than the limit meanwhile, what no process shows
    as its own. Both cost a walk through the page tables."""

    def __init__(self, limit: int) -> None:
        self.limit, self.before = limit, _meminfo()

    def used(self) -> int:
        processes = alive()
        resident = {process: _resident(process) for process in processes}
        total = sum(resident.values())
        if total > self.limit:
            return sum(_proportional(process, resident[process]) for process in processes)
        lost = self._lost()
        if lost > self.limit:
            hidden = [_hidden(process) for process in processes]
            total += sum(lost if each is None else each for each in hidden)
        return total

    def _lost(self) -> int:
        """What the machine has less of, or more in shared pages, which what others free cannot hide."""
        now = _meminfo()
        less = self.before[b"MemAvailable:"] - now[b"MemAvailable:"]
        return max(less, now[b"Shmem:"] - self.before[b"Shmem:"])


def _meminfo() -> dict[bytes, int]:
    """Bytes of the whole machine by what they are."""
    lines = (line.split() for line in _read("/proc/meminfo").splitlines())
    return {words[0]: int(words[1]) * 1024 for words in lines}


def _hidden(process: int) -> int | None:
    """At most so many bytes that are not among its pages: shared memory it may have filled and put
    out of its sight, and what its sockets may hold. None where it does not let itself be seen."""
    try:
        with open(f"/proc/{process}/smaps", "rb") as file:
            shared = _absent(file)
        descriptors = os.listdir(f"/proc/{process}/fd")
        links = [_link(f"/proc/{process}/fd/{each}") for each in descriptors]
    except PermissionError:
        return None
    except OSError:  # it has ended meanwhile
        return 0
    return shared + SOCKET * sum(link.startswith("socket:") for link in links)


def _absent(smaps: Iterable[bytes]) -> int:
    """Bytes of the shared mappings without a file that are not in the page tables."""
    total, counts = 0, False
    for line in smaps:
        name, *values = line.split()
        if not name.endswith(b":"):
            # address, permissions, offset, device, inode, path: "/dev/zero (deleted)", "/memfd:..."
            counts = values[0][3:] == b"s" and line.rstrip().endswith(b"(deleted)")
        elif counts and name in (b"Size:", b"Rss:"):
            total += (1 if name == b"Size:" else -1) * int(values[0]) * 1024
    return total


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except FileNotFoundError:  # closed meanwhile
        return ""


def _resident(process: int) -> int:
    fields = _read(f"/proc/{process}/statm").split()
    return int(fields[1]) * PAGE if fields else 0


def _proportional(process: int, resident: int) -> int:
    """Its share (with what is swapped out); all it has where it does not let itself be seen."""
    sizes = 0
    for line in _read(f"/proc/{process}/smaps_rollup").splitlines():
        if line.startswith((b"Pss:", b"SwapPss:")):
            sizes += int(line.split()[1]) * 1024
    return sizes or resident


# --- disk ---------------------------------------------------------------------------------------


class Disk:
    """What is in some folders: at most so many bytes together, and so many files and folders.

    Without `limit` they are file systems with a size of their own, and only entries are counted.
    Files that were deleted while open are found through their descriptors, and what hides
    even from that (unreadable folders) through the free space of the file system.
    """

    def __init__(self, folders: list[str], limit: int | None, entries: int) -> None:
        self.folders, self.limit, self.entries = folders, limit, entries
        self.free = self._free()
        self.seen = self.free, self._free_entries()

    def urgent(self) -> bool:
        """Whether the file system has lost so much since the last look that it may be too much."""
        if self.limit is None:
            return True  # a look is cheap
        free, entries = self.seen
        lost = free - self._free(), entries - self._free_entries()
        return lost[0] > self.limit / 2 or lost[1] > self.entries / 2

    def excess(self) -> str:
        """Why this is too much, or ''."""
        if self.limit is None:
            used = max(_used_entries(folder) for folder in self.folders)
            return self._too_many(used)
        self.seen = self._free(), self._free_entries()
        return self._walk(self.limit)

    def _too_many(self, entries: int) -> str:
        return f"more than {self.entries} files and folders" if entries > self.entries else ""

    def _walk(self, limit: int) -> str:
        visible, entries, hidden = 0, 0, False
        for folder in self.folders:
            size, count, complete, deepest = _measure(folder, self.entries)
            visible, entries, hidden = visible + size, entries + count, hidden or not complete
            if deepest > DEEPEST:
                return f"folders nested more than {DEEPEST} deep"
        if visible > limit:
            return "more on disk than it may leave"
        if self.free - self._free() > limit:
            deleted, complete = _deleted()
            if hidden or not complete or visible + deleted > limit:
                return "more on disk than it may have, hidden or deleted while open"
        return self._too_many(entries)

    def _free(self) -> int:
        found = os.statvfs(self.folders[0])
        return found.f_bfree * found.f_frsize

    def _free_entries(self) -> int:
        return os.statvfs(self.folders[0]).f_ffree


def _used_entries(folder: str) -> int:
    found = os.statvfs(folder)
    return found.f_files - found.f_ffree


def _measure(folder: str, most: int) -> tuple[int, int, bool, int]:
    """(bytes, entries, whether all could be seen, depth) below a folder; links are not followed."""
    size, count, complete, deepest = 0, 0, True, 0
    waiting = [(folder, 0)]
    while waiting and deepest <= DEEPEST and count <= most:
        path, depth = waiting.pop()
        deepest = max(deepest, depth)
        try:
            for entry in os.scandir(path):
                with contextlib.suppress(FileNotFoundError):
                    count += 1
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, depth + 1))
        except FileNotFoundError:
            continue
        except OSError:
            complete = False
    return size, count, complete, deepest


def _deleted() -> tuple[int, bool]:
    """(bytes, whether all could be seen) of the files held open by the tree but deleted."""
    files: dict[tuple[int, int], int] = {}
    complete = True
    for process in alive():
        folder = f"/proc/{process}/fd"
        try:
            descriptors = os.listdir(folder)
        except FileNotFoundError:
            continue
        except OSError:
            complete = False
            continue
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                found = os.stat(f"{folder}/{descriptor}")
                if found.st_nlink == 0:
                    files[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(files.values()), complete
