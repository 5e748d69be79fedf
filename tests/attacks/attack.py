"""What an attack is, and the words that hostile programs share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoresearch.records import Ended, Execution

# As root and as a plain user; `none` as a plain user only, where it can do the least harm.
ROOTS = ("docker", "bubblewrap", "landlock")
USERS = ("bubblewrap-user", "landlock-user", "none")
BACKENDS = ROOTS + USERS
LOCAL = ("bubblewrap", "landlock", "bubblewrap-user", "landlock-user")
PLAIN = ("landlock", "landlock-user")

STOPPED, OPEN, UNTRIED = "stopped", "not stopped", "not tried"


@dataclass(frozen=True)
class Shot:
    """One run of an attack: what the sandbox says, what came back, and where it was aimed."""

    execution: Execution
    outputs: Path
    facts: Mapping[str, Any]
    seconds: float  # measured by the host, all of it
    during: Any = None  # what the host saw while the program ran


@dataclass(frozen=True)
class Attack:
    """A hostile program, and what it must not achieve.

    The host judges every shot (see `stage.py`): nothing of the host changed, no secret came out, no
    process is left. `check` adds what this attack is about and yields what went wrong. A program says
    ACHIEVED when it believes that it got through; `ends` are the ends that count as having tried.
    `open` names the backends that do not stop it and why: there the attack has to succeed, or the
    table is wrong. With `harmful` it is not tried where it is open.
    """

    name: str
    must_not: str
    program: str
    check: Callable[[Shot], Any] = lambda shot: ()
    limits: Mapping[str, float] = field(default_factory=dict)
    ends: tuple[Ended, ...] = (Ended.exited,)
    fails: bool = False  # whether the program may also end with an exit code of its own
    open: Mapping[str, str] = field(default_factory=dict)
    none: str = STOPPED  # what a plain process without a wall does about it
    harmful: bool = False
    alone: bool = False  # heavy: nothing else of ours runs at the same time
    during: Callable[[Mapping[str, Any]], Any] | None = None  # what the host does meanwhile
    files: Mapping[str, str] = field(default_factory=dict)  # beside the program
    scored: bool = False  # the program is a task's train.py: run, scored and compared

    def verdict(self, backend: str) -> str:
        """STOPPED, OPEN, or UNTRIED (open, and too harmful to show)."""
        is_open = self.none == OPEN if backend == "none" else backend in self.open
        if backend == "none" and self.none == UNTRIED:
            return UNTRIED
        return (UNTRIED if self.harmful else OPEN) if is_open else STOPPED

    def source(self, facts: Mapping[str, Any]) -> str:
        return f"FACTS = {dict(facts)!r}\n{PRELUDE}\n{self.program}\n"


_CALLS = {
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280),
    "chroot": (161, 51), "clock_adjtime": (305, 266), "clock_settime": (227, 112),
    "clone": (56, 220), "clone3": (435, 435), "fanotify_init": (300, 262), "finit_module": (313, 273),
    "fsopen": (430, 430), "init_module": (175, 105), "io_uring_setup": (425, 425),
    "ioprio_set": (251, 30), "kcmp": (312, 272), "kexec_load": (246, 104), "keyctl": (250, 219),
    "memfd_create": (319, 279), "migrate_pages": (256, 238), "mount": (165, 40),
    "mount_setattr": (442, 442), "move_mount": (429, 429), "mq_open": (240, 180),
    "msgget": (68, 186), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "open_tree": (428, 428), "perf_event_open": (298, 241), "personality": (135, 92),
    "pidfd_getfd": (438, 438), "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41), "process_madvise": (440, 440), "process_vm_readv": (310, 270),
    "ptrace": (101, 117), "quotactl": (179, 60), "reboot": (169, 142), "request_key": (249, 218),
    "semget": (64, 190), "sethostname": (170, 161), "setns": (308, 268), "setpriority": (141, 140),
    "settimeofday": (164, 170), "shmget": (29, 194), "swapon": (167, 224), "syslog": (103, 116),
    "umount2": (166, 39), "unshare": (272, 97), "userfaultfd": (323, 282),
}  # fmt: skip

PRELUDE = (
    f"""
import ctypes, errno, json, mmap, os, resource, signal, socket, stat, struct, sys, tempfile, time
OUT, TMP = os.environ["OUT"], os.environ.get("TMPDIR", "/tmp")
CALLS = {_CALLS!r}
"""
    + """
libc = ctypes.CDLL(None, use_errno=True)
def achieved(*what):
    os.write(1, ("ACHIEVED " + " ".join(map(str, what)) + "\\n").encode(errors="replace"))
def tried(action, *arguments):
    try:
        return action(*arguments)
    except (OSError, ValueError, ArithmeticError, AttributeError):
        return None
def call(name, *arguments):
    number = CALLS[name][os.uname().machine != "x86_64"]
    sized = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = libc.syscall(ctypes.c_long(number), *sized)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def refused(name, *arguments):
    # Anything but a refusal means that the kernel has looked at the arguments.
    try:
        call(name, *arguments)
        achieved(name)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS):
            achieved(name, error)
def read(path, size=65536):
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError:
        return b""
def write(path, data=b"1", mode="r+b"):
    try:
        with open(path, mode, 0) as file:
            return file.write(data)
    except OSError:
        return 0
def names(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []
def tell(data):
    # Carry out whatever was found; the host looks for its secrets in it.
    os.write(1, data if isinstance(data, bytes) else str(data).encode(errors="replace"))
"""
)
