"""Disk, entries, and what cannot be removed."""

from autoresearch.records import Ended
from tests.attacks.attack import Attack

KIND = "disk"
ENDED = (Ended.disk, Ended.exited, Ended.memory, Ended.refused)
SMALL = {"disk": 2**23, "file": 2**23}
STAY = "\ntime.sleep(1.5)\nachieved('still running')\n"

ATTACKS = (
    Attack(
        "many files",
        "leave more bytes than its limit",
        """
for number in range(64):
    with open(f"{OUT}/{number}", "wb", 0) as file:
        file.write(os.urandom(2**20))
"""
        + STAY,
        limits=SMALL,
        ends=ENDED,
        fails=True,
    ),
    Attack(
        "deleted files",
        "hold bytes in files that it deleted while they were open",
        """
kept = []
for number in range(64):
    kept.append(open(f"{OUT}/{number}", "wb", 0))
    os.unlink(f"{OUT}/{number}")
    kept[-1].write(os.urandom(2**20))
"""
        + STAY,
        limits=SMALL,
        ends=ENDED,
        fails=True,
        alone=True,
    ),
    Attack(
        "one file beyond its limit",
        "write one file larger than `file`, or raise that limit",
        """
tried(resource.setrlimit, resource.RLIMIT_FSIZE, (2**40, 2**40))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    with open(OUT + "/large", "wb", 0) as file:
        for _ in range(16):
            if file.write(bytes(2**20)) < 2**20:
                break
        else:
            time.sleep(1)
            achieved("16 MiB in one file")
except OSError:
    pass
""",
        limits={"file": 2**22},
        ends=ENDED,
        fails=True,
    ),
    Attack(
        "space taken in advance",
        "reserve more than its limit without writing it",
        """
for number in range(8):
    with open(f"{OUT}/{number}", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 2**22)
"""
        + STAY,
        limits=SMALL,
        ends=ENDED,
        fails=True,
    ),
    Attack(
        "an inode bomb",
        "make more files and folders than it may have",
        """
made, until = 0, time.monotonic() + 2
try:
    while time.monotonic() < until and made < 300000:
        os.mkdir(f"{TMP}/{made}")
        for number in range(1000):
            os.close(os.open(f"{TMP}/{made}/{number}", os.O_CREAT))
        made += 1000
except OSError:
    pass
if made > 120000:
    achieved(made, "files")
""",
        ends=ENDED,
        fails=True,
        alone=True,
    ),
    Attack(
        "20,000 folders in each other",
        "leave a tree that cannot be walked or removed",
        """
os.chdir(TMP)
for _ in range(20000):
    os.mkdir("d")
    os.chdir("d")
""",
        limits={"timeout": 3.0},
        ends=(*ENDED, Ended.timeout),  # Landlock looks at every folder above, each time
        fails=True,
    ),
    Attack(
        "what cannot be deleted",
        "leave folders without permissions, flags or attributes that keep them",
        """
import fcntl
for top in (TMP, OUT):
    os.makedirs(top + "/closed/inside")
    with open(top + "/closed/inside/file", "w") as file:
        tried(fcntl.ioctl, file.fileno(), 0x40086602, struct.pack("l", 0x10))
    tried(os.setxattr, top + "/closed", "user.kept", b"x")
    tried(os.chmod, top + "/closed/inside", 0)
    tried(os.chmod, top + "/closed", 0)
    tried(os.chmod, top, 0)
""",
        ends=ENDED,
    ),
    Attack(
        "a bomb without disk",
        "leave a file of 100 GiB with nothing in it",
        """
with open(OUT + "/sparse", "w") as file:
    tried(file.truncate, 100 * 2**30)
    size = os.fstat(file.fileno()).st_size
for number in range(4):
    with open(f"{OUT}/{number}", "w") as file:
        file.truncate(2**23 - 1)
""",
        limits={"file": 2**23, "disk": 2**24},
        ends=(Ended.refused, Ended.disk, Ended.exited),
        fails=True,
    ),
)
