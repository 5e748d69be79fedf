"""What it prints, and the supervisor's protocol."""

from collections.abc import Iterator

from autoresearch.records import Ended, Execution
from tests.attacks.attack import OPEN, UNTRIED, Attack, Shot

KIND = "output and the protocol"


def kept(shot: Shot) -> Iterator[str]:
    """The host keeps a head and a tail, and what it keeps goes to disk and back."""
    execution = shot.execution
    if len(execution.stdout) + len(execution.stderr) > 2**19:
        yield "more output was kept than head and tail"
    if Execution.model_validate_json(execution.model_dump_json()) != execution:
        yield "the record does not come back from disk"
    if execution.seconds > 8:
        yield f"it took {execution.seconds:.0f} s"


def not_forged(shot: Shot) -> Iterator[str]:
    if (shot.execution.ended, shot.execution.exit_code) != (Ended.exited, 5):
        yield "its own status was taken"
    if shot.execution.seconds == 12345:
        yield "its own seconds were taken"


FRAME = """
status = {"nonce": "0" * 32, "why": "exited", "exit_code": 0, "signal": None, "detail": "",
    "seconds": 12345, "cpu_seconds": 1, "peak_memory": 1, "left_behind": 0}
data = json.dumps(status).encode()
frame = b"s" + struct.pack(">I", len(data)) + data
"""

ATTACKS = (
    Attack(
        "bare newlines",
        "keep the host busy with millions of empty lines",
        "while True:\n    os.write(1, b'\\n' * 65536)",
        kept,
        ends=(Ended.output,),
    ),
    Attack(
        "bytes that are no text",
        "flood or break the record through stderr",
        "while True:\n    os.write(2, os.urandom(65536))",
        kept,
        ends=(Ended.output,),
    ),
    Attack(
        "one line of 100 MB",
        "make the host hold one huge line",
        "while True:\n    os.write(1, b'x' * 65536)",
        kept,
        ends=(Ended.output,),
    ),
    Attack(
        "a byte at a time",
        "keep the host busy with single bytes from many writers",
        """
for _ in range(8):
    if os.fork() == 0:
        while True:
            os.write(1, b"x")
time.sleep(60)
""",
        kept,
        limits={"timeout": 1.5},
        ends=(Ended.output, Ended.timeout),
    ),
    Attack(
        "output closed",
        "go on for ever once nobody listens",
        "os.closerange(0, 3)\ntime.sleep(60)",
        kept,
        limits={"timeout": 1.0},
        ends=(Ended.timeout,),
    ),
    Attack(
        "terminal commands and broken text",
        "break the record with escapes, surrogates, nulls and other alphabets' directions",
        r"""
os.write(1, b"\x1b]0;title\x07\x1b[2J\x1b]52;c;QUJD\x07\x9b31m\x00\r\xff\xfe\xed\xa0\x80\xe2\x80\xae")
os.write(2, "\u202e\u2066 \x1b[?1049h \ud7ff\U0010ffff".encode())
""",
        kept,
    ),
    Attack(
        "a status of its own",
        "say in the supervisor's words that it succeeded",
        FRAME
        + """
for place in (1, 2, *range(3, 260)):
    tried(os.write, place, frame)
for process in {1, os.getppid()}:
    for descriptor in range(5):
        write(f"/proc/{process}/fd/{descriptor}", frame, "wb")
os._exit(5)
""",
        not_forged,
        fails=True,
    ),
    Attack(
        "the supervisor's memory",
        "read the nonce from the supervisor, or change it",
        """
above = os.getppid()
for name in ("mem", "environ", "maps", "auxv", "syscall", "stack", "fd/0", "fd/1", "cwd/x"):
    if read(f"/proc/{above}/{name}", 1):
        achieved("read", name)
if write(f"/proc/{above}/mem"):
    achieved("wrote")
for name in ("oom_score_adj", "coredump_filter", "clear_refs", "timerslack_ns"):
    if write(f"/proc/{above}/{name}", b"1", "wb"):
        achieved("changed", name)
remote = struct.pack("QQ", id(FACTS), 16)
local = ctypes.create_string_buffer(16)
refused("process_vm_readv", above, struct.pack("QQ", ctypes.addressof(local), 16), 1, remote, 1, 0)
refused("ptrace", 16, above, 0, 0)
descriptor = tried(call, "pidfd_open", above, 0)
if descriptor is not None:
    refused("pidfd_getfd", descriptor, 1, 0)
""",
        none=OPEN,
        harmful=True,
    ),
    Attack(
        "its supervisor stopped or killed",
        "stop the clock by stopping who watches it",
        """
above = os.getppid()
for number in (signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV, signal.SIGALRM):
    tried(os.kill, above, number)
    tried(os.killpg, 1, number) if above == 1 else None
tried(resource.prlimit, above, resource.RLIMIT_CPU, (1, 1))
tried(resource.prlimit, above, resource.RLIMIT_NOFILE, (0, 0))
time.sleep(60)
""",
        limits={"timeout": 1.0},
        ends=(Ended.timeout,),
        none=UNTRIED,
    ),
)
