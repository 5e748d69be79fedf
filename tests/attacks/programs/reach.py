"""Other processes, secrets, other runs, and the network."""

import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tests.attacks.attack import OPEN, PLAIN, UNTRIED, Attack, Shot

KIND = "other processes and secrets"
NETWORK = "the network"


def visit(facts: Mapping[str, Any]) -> str:
    """Try to reach what the program offers on this machine's loopback."""
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", facts["port"]), 0.2):
                return "reached"
        except OSError:
            time.sleep(0.05)
    return ""


def unreached(shot: Shot) -> Iterator[str]:
    if shot.during:
        yield "the host reached a server of the program"


SNOOPING = (
    Attack(
        "signals to everybody",
        "stop or kill a process outside, by any number it can guess",
        """
for number in (signal.SIGSTOP, signal.SIGKILL):
    for process in (FACTS["victim"], -FACTS["victim"]):
        tried(os.kill, process, number)
descriptor = tried(call, "pidfd_open", FACTS["victim"], 0)
if descriptor is not None:
    tried(call, "pidfd_send_signal", descriptor, int(signal.SIGKILL), 0, 0)
""",
        none=OPEN,
        harmful=True,
    ),
    Attack(
        "who is there",
        "tell which processes there are outside",
        """
try:
    os.kill(FACTS["victim"], 0)
    achieved("it is there")
except PermissionError:
    achieved("it is there, and not ours")
except ProcessLookupError:
    pass
""",
        open=dict.fromkeys(
            PLAIN,
            "the kernel refuses a signal to a process that is there differently from one to a process "
            "that is not; without namespaces there is nothing else to say",
        ),
        none=OPEN,
    ),
    Attack(
        "kill -1",
        "end every process of its user",
        """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
tried(os.kill, -1, signal.SIGTERM)
""",
        none=UNTRIED,
    ),
    Attack(
        "signals by way of a file",
        "have the kernel send a signal to a process outside when a pipe becomes readable",
        """
import fcntl
reading, writing = os.pipe()
tried(fcntl.fcntl, reading, fcntl.F_SETOWN, FACTS["victim"])
tried(fcntl.fcntl, reading, 10, int(signal.SIGIO))
tried(fcntl.fcntl, reading, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
os.write(writing, b"x")
time.sleep(0.1)
""",
        none=OPEN,
        harmful=True,
    ),
    Attack(
        "everybody's environment and command line",
        "find a secret in /proc",
        """
for name in names("/proc") or map(str, range(1, 70000)):
    if name.isdecimal():
        for part in ("environ", "cmdline"):
            tell(read(f"/proc/{name}/{part}"))
for process in (FACTS["host"], FACTS["victim"]):
    for part in ("environ", "cmdline", "task/%d/environ" % process):
        tell(read(f"/proc/{process}/{part}"))
""",
        none=OPEN,
        limits={"output": 2**24},
    ),
    Attack(
        "the memory of the orchestrator",
        "read or trace the process that started it",
        """
for process in (FACTS["host"], FACTS["victim"]):
    for name in ("mem", "maps", "fd/0", "fd/1", "root/etc/passwd", "cwd"):
        if read(f"/proc/{process}/{name}", 1):
            achieved("read", name)
    refused("ptrace", 16, process, 0, 0)
    local = ctypes.create_string_buffer(16)
    refused("process_vm_readv", process, struct.pack("QQ", ctypes.addressof(local), 16), 1,
        struct.pack("QQ", id(FACTS), 16), 1, 0)
    refused("kcmp", os.getpid(), process, 0, 0, 0)
    refused("process_madvise", 0, 0, 0, 0, 0)
""",
        none=OPEN,
        harmful=True,
    ),
    Attack(
        "files that everybody may read",
        "read files of the host that their modes would let it read",
        """
for path in (FACTS["canary"], FACTS["labels"], FACTS["other"] + "/out/predictions", "/etc/shadow",
        "/root/.ssh/id_ed25519", "/root/.bash_history", "/etc/machine-id", "/etc/fstab"):
    tell(read(path))
    link = TMP + "/link"
    if tried(os.symlink, path, link) is None:
        tell(read(link))
        tried(os.unlink, link)
""",
        none=OPEN,
    ),
    Attack(
        "files that everybody may write",
        "change, truncate, replace, link or touch files of the host",
        """
canary = FACTS["canary"]
for mode in ("wb", "ab", "r+b"):
    write(canary, b"overwritten", mode)
for action, arguments in ((os.truncate, (canary, 0)), (os.unlink, (canary,)), (os.rename, (canary, canary + "2")),
        (os.chmod, (canary, 0)), (os.utime, (canary, (1, 1))), (os.link, (canary, canary + "3")),
        (os.symlink, ("/etc/passwd", canary + "4")), (os.chown, (canary, os.getuid(), os.getgid())),
        (os.setxattr, (canary, "user.touched", b"x")), (os.mkdir, (os.path.dirname(canary) + "/d",))):
    tried(action, *arguments)
""",
        none=OPEN,
        harmful=True,
    ),
    Attack(
        "its own inputs",
        "change what it was given to read, for the next run",
        """
for folder in (os.environ["DATA"], os.environ["WORK"]):
    for name in os.listdir(folder):
        write(f"{folder}/{name}", b"poisoned", "wb")
    write(folder + "/sitecustomize.py", b"print('ACHIEVED')", "wb")
    tried(os.rename, folder, folder + "-gone")
    tried(libc.umount2, folder.encode(), 2)
    write(f"{folder}/rows.txt", b"poisoned", "wb")
""",
        none=OPEN,
        harmful=True,
    ),
    Attack(
        "another run's folder",
        "read or plant results of a run beside it",
        """
import glob
for folder in (FACTS["other"], *glob.glob("/tmp/autoresearch-*"), *glob.glob("/var/tmp/autoresearch-*")):
    for part in ("out", "tmp"):
        if folder + "/" + part != OUT and folder + "/" + part != TMP:
            tell(read(f"{folder}/{part}/predictions"))
            if FACTS["other"] in folder:
                write(f"{folder}/{part}/planted", b"x", "wb")
""",
        none=OPEN,
        harmful=True,
    ),
    Attack(
        "descriptors that were left open",
        "find an open file, socket or terminal that it was not given",
        """
for number in range(3, 1024):
    if tried(os.fstat, number):
        achieved("descriptor", number, tried(os.readlink, f"/proc/self/fd/{number}"))
if tried(os.read, 0, 1):
    achieved("something to read")
for number in range(3):
    if tried(os.isatty, number):
        achieved("a terminal")
terminal = tried(os.open, "/dev/tty", os.O_RDWR)
if terminal is not None:
    achieved("/dev/tty")
""",
    ),
    Attack(
        "watching folders",
        "learn what other programs do with files, through notifications",
        """
if libc.inotify_add_watch(libc.inotify_init(), os.path.dirname(FACTS["canary"]).encode(), 0xFFF) >= 0:
    achieved("watches the host's folder")
refused("fanotify_init", 0, 0)
""",
        none=OPEN,
    ),
    Attack(
        "the priority of others",
        "slow down the other processes of its user",
        """
for which in (0, 1, 2):
    tried(call, "setpriority", which, 0 if which == 2 else FACTS["victim"], 15)
tried(call, "setpriority", 2, os.getuid(), 15)
for which in (1, 2, 3):
    tried(call, "ioprio_set", which, 0 if which == 3 else FACTS["victim"], 3 << 13)
tried(call, "ioprio_set", 3, os.getuid(), 3 << 13)
""",
        none=OPEN,
        harmful=True,
    ),
    Attack(
        "the processors of others",
        "pin other processes of its user to one processor, or bound their resources",
        """
for process in (FACTS["victim"], FACTS["host"], os.getppid()):
    tried(os.sched_setaffinity, process, {0})
    tried(resource.prlimit, process, resource.RLIMIT_NOFILE, (8, 8))
    tried(os.sched_setscheduler, process, os.SCHED_IDLE, os.sched_param(0))
    write(f"/proc/{process}/oom_score_adj", b"1000", "wb")
    write(f"/proc/{process}/coredump_filter", b"0xff", "wb")
""",
        none=OPEN,
        harmful=True,
    ),
)

FAMILIES = """
for name, pair in {"packet": (17, 3), "vsock": (40, 1), "alg": (38, 5), "raw": (2, 3), "raw 6": (10, 3),
        "bluetooth": (31, 3), "CAN": (29, 3), "key": (15, 3), "netfilter": (16, 3), "rds": (21, 5),
        "tipc": (30, 1), "xdp": (44, 3), "sctp": (2, 5), "audit": (16, 3), "kcm": (41, 5)}.items():
    kind = pair[1]
    protocol = {"netfilter": 12, "audit": 9, "sctp": 132}.get(name, 1 if name.startswith("raw") else 0)
    made = tried(socket.socket, pair[0], kind, protocol)
    if made is not None:
        achieved("a socket of the family", name)
"""

ONLINE = (
    Attack(
        "a server on the host's loopback",
        "connect to a program that listens on this machine",
        """
for address in (("127.0.0.1", FACTS["tcp"]), ("127.1.2.3", FACTS["tcp"]), ("0.0.0.0", FACTS["tcp"])):
    if tried(socket.create_connection, address, 1):
        achieved("connected to", address)
if tried(socket.create_connection, ("::ffff:127.0.0.1", FACTS["tcp"]), 1):
    achieved("connected by version 6")
""",
        none=OPEN,
    ),
    Attack(
        "packets to the host's loopback",
        "send a datagram to a program on this machine",
        """
def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"hello", ("127.0.0.1", FACTS["udp"]))
tried(send)
""",
        none=OPEN,
    ),
    Attack(
        "the world outside",
        "resolve a name or reach an address beyond this machine",
        """
for address in (("1.1.1.1", 53), ("169.254.169.254", 80), ("8.8.8.8", 443), ("172.17.0.1", 22)):
    try:
        socket.create_connection(address, 0.5)
        achieved("reached", address)
    except ConnectionRefusedError:
        achieved("was answered by", address)
    except OSError:
        pass
socket.setdefaulttimeout(1)
if tried(socket.getaddrinfo, "pypi.org", 443):
    achieved("a name was resolved")
""",
        none=UNTRIED,
    ),
    Attack(
        "unix sockets by path",
        "talk to a service of the host: the Docker socket, D-Bus, an agent",
        """
paths = [FACTS["unix"], "/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock",
    "/run/dbus/system_bus_socket", f"/run/user/{os.getuid()}/bus", "/run/systemd/private", "/run/systemd/notify",
    "/dev/log", "/run/nscd/socket", "/tmp/.X11-unix/X0"]
for path in paths:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            socket.socket(socket.AF_UNIX, kind).connect(path)
            achieved("connected to", path)
        except OSError:
            pass
def send(maker):
    with maker() as one:
        one.sendto(b"hello", FACTS["unix"] + "-packets")
tried(send, lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
tried(send, lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0])
""",
        none=OPEN,
    ),
    Attack(
        "abstract unix sockets",
        "reach a service of the host by a name that is no path",
        """
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
    try:
        socket.socket(socket.AF_UNIX, kind).connect("\\0" + FACTS["abstract"])
        achieved("connected")
    except OSError:
        pass
""",
        none=OPEN,
    ),
    Attack(
        "rare kinds of sockets",
        "reach the kernel through VSOCK, AF_ALG, packet, raw and other sockets",
        FAMILIES,
        none=OPEN,
    ),
    Attack(
        "a server of its own",
        "be reached from this machine while it runs",
        """
try:
    with socket.create_server(("0.0.0.0", FACTS["port"])) as server:
        server.settimeout(1.5)
        server.accept()
except OSError:
    time.sleep(1)
""",
        unreached,
        during=visit,
        none=OPEN,
    ),
)
