"""Processes, processors and time."""

from collections.abc import Iterator

from autoresearch.records import Ended
from tests.attacks.attack import UNTRIED, Attack, Shot

KIND = "processes, processors and time"
ENDED = (Ended.exited, Ended.timeout, Ended.memory)


def bounded(shot: Shot) -> Iterator[str]:
    if shot.execution.seconds > 6:
        yield f"it ran for {shot.execution.seconds:.1f} s of 1 s"


def one_processor(shot: Shot) -> Iterator[str]:
    used, wall = shot.execution.cpu_seconds or 0.0, shot.execution.seconds
    if used > 1.25 * wall + 0.2:
        yield f"{used:.1f} s of processor time in {wall:.1f} s"


BUSY = """
for _ in range(6):
    if os.fork() == 0:
        while True:
            pass
time.sleep(60)
"""

ATTACKS = (
    Attack(
        "a fork bomb",
        "take more processes than its limit, or outlive its time",
        "while True:\n    tried(os.fork)",
        bounded,
        limits={"timeout": 1.0},
        ends=ENDED,
        fails=True,
        alone=True,
    ),
    Attack(
        "a thread bomb",
        "have more threads than its limit of processes",
        """
import threading
count = 0
try:
    while count < 3000:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        count += 1
except RuntimeError:
    pass
if count > 200:
    achieved(count, "threads")
os._exit(0)
""",
        alone=True,
    ),
    Attack(
        "daemons",
        "leave a process by double fork, a session of its own and closed descriptors",
        """
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.closerange(0, 100)
        os.execvp("sleep", ["sleep " + FACTS["mark"], "600"])
time.sleep(0.2)
""",
    ),
    Attack(
        "deaf to signals",
        "outlive its time by ignoring every signal",
        """
for number in range(1, 65):
    tried(signal.signal, number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
os.fork()
while True:
    time.sleep(60)
""",
        bounded,
        limits={"timeout": 1.0},
        ends=(Ended.timeout,),
    ),
    Attack(
        "a relay",
        "escape from being killed by ending as soon as its child lives",
        """
if os.fork() == 0:
    os.setsid()
    while True:
        if tried(os.fork):
            os._exit(0)
time.sleep(60)
""",
        bounded,
        limits={"timeout": 1.0},
        ends=ENDED,
        alone=True,
    ),
    Attack(
        "a tree that stops itself",
        "hold up the end of the run by stopping its processes",
        """
for _ in range(3):
    if os.fork() == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
os.kill(os.getpid(), signal.SIGSTOP)
""",
        bounded,
        limits={"timeout": 1.0},
        ends=(Ended.timeout,),
    ),
    Attack(
        "a death signal taken back",
        "outlive its supervisor's end by asking the kernel not to be told of it",
        """
libc.prctl(1, 0)
if os.fork() == 0:
    libc.prctl(1, 0)
    os.setsid()
    time.sleep(600)
""",
    ),
    Attack(
        "all processors at once",
        "use more processor time than `cpus` allows",
        BUSY,
        one_processor,
        limits={"timeout": 1.0},
        ends=(Ended.timeout,),
        alone=True,
    ),
    Attack(
        "processors chosen by itself",
        "widen the set of processors that it was given",
        "tried(os.sched_setaffinity, 0, range(os.cpu_count()))\n" + BUSY,
        one_processor,
        limits={"timeout": 1.0},
        ends=(Ended.timeout,),
        none=UNTRIED,
        alone=True,
    ),
)
