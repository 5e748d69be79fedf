"""Memory, seen and hidden."""

from collections.abc import Iterator

from autoresearch.records import Ended
from tests.attacks.attack import UNTRIED, Attack, Shot

KIND = "memory"
ENDED = (Ended.memory, Ended.exited, Ended.disk, Ended.signalled)
LIMIT = 2**26


def not_a_success(shot: Shot) -> Iterator[str]:
    if shot.execution.succeeded:
        yield f"it ended well, with a peak of {(shot.execution.peak_memory or 0) >> 20} MiB"


# A program that still runs after this has what it asked for.
HOLD = """
def hold(what):
    time.sleep(4)
    achieved("held", what)
    os._exit(0)
"""

ATTACKS = (
    Attack(
        "one large process",
        "hold more memory than its limit",
        HOLD + "kept = [os.urandom(2**20) * 8 for _ in range(64)]\nhold('512 MiB')",
        not_a_success,
        limits={"memory": LIMIT},
        ends=ENDED,
        fails=True,
        alone=True,
    ),
    Attack(
        "a burst",
        "have more memory than its limit for a moment, and end well",
        """
for _ in range(3):
    kept = mmap.mmap(-1, 160 * 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x8000)
    kept.close()
""",
        not_a_success,
        limits={"memory": LIMIT},
        ends=ENDED,
        fails=True,
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
        not_a_success,
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
        none=UNTRIED,
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
