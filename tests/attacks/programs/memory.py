"""Memory, seen and hidden."""

from collections.abc import Callable, Iterator

from autoresearch.records import Ended
from tests.attacks.attack import OPEN, Attack, Shot

KIND = "memory"
ENDED = (Ended.memory, Ended.exited, Ended.disk, Ended.signalled)
LIMIT = 2**26


def at_most(factor: float) -> Callable[[Shot], Iterator[str]]:
    def check(shot: Shot) -> Iterator[str]:
        peak = shot.execution.peak_memory or 0
        if peak > factor * LIMIT:
            yield f"it held {peak / 2**20:.0f} MiB of {LIMIT / 2**20:.0f}"

    return check


# A program that still runs after this has what it asked for.
HOLD = """
def hold(what):
    time.sleep(0.6)
    achieved("held", what)
    os._exit(0)
"""

ATTACKS = (
    Attack(
        "one large process",
        "hold more memory than its limit",
        HOLD + "kept = [os.urandom(2**20) * 8 for _ in range(64)]\nhold('512 MiB')",
        at_most(6),
        limits={"memory": LIMIT},
        ends=ENDED,
        fails=True,
        alone=True,
    ),
    Attack(
        "many middling processes",
        "hold more than its limit in processes that each stay below it",
        HOLD
        + """
for _ in range(12):
    if os.fork() == 0:
        kept = bytearray(os.urandom(2**20) * 40)
        time.sleep(60)
hold("480 MiB")
""",
        at_most(8),
        limits={"memory": LIMIT},
        ends=ENDED,
        fails=True,
        alone=True,
    ),
    Attack(
        "files without a name in memory",
        "hold memory in memfds, which belong to no process's own pages",
        HOLD
        + """
kept = []
for number in range(64):
    kept.append(os.memfd_create("x"))
    for _ in range(8):
        os.write(kept[-1], bytes(2**20))
hold("512 MiB")
""",
        limits={"memory": LIMIT},
        ends=ENDED,
        fails=True,
        none=OPEN,
        alone=True,
    ),
    Attack(
        "shared pages dropped from view",
        "hold memory in shared pages that it has taken out of its own page tables",
        HOLD
        + """
kept = mmap.mmap(-1, 2**29)
for number in range(64):
    kept[number * 2**23:(number + 1) * 2**23] = b"x" * 2**23
    kept.madvise(mmap.MADV_DONTNEED)
hold("512 MiB")
""",
        limits={"memory": LIMIT},
        ends=ENDED,
        fails=True,
        alone=True,
    ),
    Attack(
        "full sockets",
        "hold memory in what was sent and never read",
        HOLD
        + """
kept, held = [], 0
try:
    while held < 2**29:
        pair = socket.socketpair()
        kept.append(pair)
        for one in pair:
            tried(one.setsockopt, socket.SOL_SOCKET, socket.SO_SNDBUF, 2**22)
            one.setblocking(False)
            try:
                while True:
                    held += one.send(bytes(2**16))
            except BlockingIOError:
                pass
except OSError:
    pass
if held < 2**28:
    os._exit(0)
hold(f"{held >> 20} MiB")
""",
        limits={"memory": LIMIT},
        ends=ENDED,
        fails=True,
        alone=True,
    ),
    Attack(
        "files in memory",
        "hold more in /dev/shm and the temporary folders than memory and disk allow together",
        """
total = 0
for folder in {os.path.realpath(each) for each in ("/dev/shm", TMP, OUT, "/run", "/var/tmp", "/tmp")}:
    try:
        for number in range(64):
            with open(f"{folder}/attack-{number}", "wb", 0) as file:
                total += file.write(bytes(2**22))
    except OSError:
        pass
if total > 2 * 2**25 + 2**26:
    achieved(total >> 20, "MiB")
""",
        limits={"memory": LIMIT, "disk": 2**25},
        ends=ENDED,
        fails=True,
        alone=True,
    ),
)
