"""Private temporary folders of experiments on the host, whose they are, and removing them for good."""

import contextlib
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from autoresearch.errors import SandboxError

_PREFIX = "autoresearch-"


def scratch(user: int | None) -> contextlib.AbstractContextManager[Path]:
    """A folder with `out` and `tmp` in it, which belong to `user` (None: to this one); then removed."""
    return scratch_folder(("out", "tmp"), 0o700, user)


@contextlib.contextmanager
def scratch_folder(
    names: Iterable[str], mode: int = 0o755, user: int | None = None
) -> Iterator[Path]:
    """A folder with such folders in it, which belong to `user` (None: to this one); then removed."""
    folder = Path(tempfile.gettempdir()).resolve() / f"{_PREFIX}{current_owner()}:{_random()}"
    try:
        folder.mkdir(mode=0o711)
        folder.chmod(0o711)  # also where the umask is narrower: another user has to pass it
        for name in names:
            (folder / name).mkdir(mode=mode)
            (folder / name).chmod(mode)
            if user is not None:
                os.chown(folder / name, user, user)
        yield folder
    except OSError as error:
        raise SandboxError(f"{folder.parent}: no place for an experiment: {error}") from None
    finally:
        remove_tree(folder)


def abandoned() -> list[Path]:
    """The folders of this user's processes that were killed before they could remove them."""
    found = []
    for folder in Path(tempfile.gettempdir()).resolve().glob(f"{_PREFIX}*:*:*:*:*"):
        owner = folder.name.removeprefix(_PREFIX).rpartition(":")[0]
        with contextlib.suppress(FileNotFoundError, ValueError):
            if folder.lstat().st_uid == os.geteuid() and has_ended(owner):
                found.append(folder)
    return found


def remove_abandoned() -> None:
    for folder in abandoned():
        with contextlib.suppress(FileNotFoundError):
            remove_tree(folder)


def remove_tree(folder: Path) -> None:
    """Remove a folder that nobody writes to any more, however deep, full or closed. Follows no link.

    Goes down and up step by step: neither paths nor open descriptors grow with the depth.
    """
    if not os.path.lexists(folder):
        return
    here = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        here = _step(here, folder.name)
        above = [(folder.name, _remove_files(here))]
        while above:
            name, folders = above[-1]
            if folders:
                below = folders.pop()
                here = _step(here, below)
                above.append((below, _remove_files(here)))
            else:
                here = _step(here, "..")
                os.rmdir(name, dir_fd=here)
                above.pop()
    finally:
        os.close(here)


def _step(here: int, name: str) -> int:
    """The folder `name` of an open folder, which is closed."""
    try:
        _make_mine(name, here)
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
    finally:
        os.close(here)


def _remove_files(folder: int) -> list[str]:
    """Remove what is not a folder from an open folder; the names of the folders in it."""
    folders = []
    for name in os.listdir(folder):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            folders.append(name)
        else:
            os.unlink(name, dir_fd=folder)
    return folders


def _make_mine(name: str, parent: int) -> None:
    """Its owner may have taken all permissions from it."""
    mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    if stat.S_ISDIR(mode) and mode & 0o700 != 0o700 and name != "..":
        os.chmod(name, 0o700, dir_fd=parent)


def _random() -> str:
    return secrets.token_hex(8)


# --- owners -------------------------------------------------------------------------------------


def current_owner() -> str:
    """This process, told apart from every other one: boot, pid namespace, pid and start time."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    namespace = Path("/proc/self/ns/pid").stat().st_ino
    return f"{boot}:{namespace}:{os.getpid()}:{_start_ticks(os.getpid())}"


def has_ended(owner: str) -> bool:
    """Whether the process with this label is gone. One that cannot be seen from here is not."""
    boot, namespace, process, ticks = (owner.split(":") + [""] * 4)[:4]
    here = current_owner().split(":")
    if boot != here[0]:
        return True
    return namespace == here[1] and _start_ticks(int(process)) != ticks


def _start_ticks(process: int) -> str | None:
    """Field 22 of the process's stat: when it started, in clock ticks since boot."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[19]


# --- what another user may read -----------------------------------------------------------------


def check_readable(folder: Path) -> None:
    """Raises SandboxError for anything below `folder` that an unprivileged user may not read."""
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        mode = path.lstat().st_mode
        wanted = 0o005 if stat.S_ISDIR(mode) else 0o004
        if not stat.S_ISLNK(mode) and mode & wanted != wanted:
            raise SandboxError(
                f"{path} cannot be read by the unprivileged user that experiments run as: "
                f"chmod -R o+rX {folder}, or run as an ordinary user"
            )
        if stat.S_ISDIR(mode):
            waiting += path.iterdir()
