"""What a sandbox really enforces, found by a small trusted program that tries to get out of it."""

import contextlib
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

from autoresearch.records import Limits, Record
from autoresearch.sandbox import Environment, Job, Sandbox
from autoresearch.sandbox.results import Refused, read_json

GPUS = "GPUs"  # the finding about them
LIMITS = Limits(timeout=60, memory=2**29, processes=64, disk=2**24, file=2**24)


class Finding(Record):
    """One thing tried. What is not `required` is told but does not decide."""

    name: str
    wanted: str
    found: str
    ok: bool
    required: bool = True


class Probe(Record):
    """The findings about a sandbox, in the order they were tried."""

    sandbox: str
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Whether the wall is one: everything required was found as wanted."""
        return all(finding.ok for finding in self.findings if finding.required)


def weakness(name: str) -> str:
    """What the sandbox of this name does not stop, in one line, or ''; see docs/sandboxes.md."""
    if name.startswith("none"):
        return "nothing is kept from the programs: not files, not the network, not other processes"
    if not name.startswith("local"):
        return ""
    told = (
        "memory is measured 20 times a second, so a burst may pass its limit before it ends the run"
    )
    if "no namespaces" in name:
        told += ", and other processes can be seen in part"
    return told


def described(name: str) -> str:
    """The name, with what is not stopped there on a line of its own."""
    return f"{name}\n  not stopped there: {weakness(name)}" if weakness(name) else name


def probe(sandbox: Sandbox, environment: Environment, gpus: int = 0) -> Probe:
    """Try the sandbox, with so many GPUs. A weak one gives findings that are not ok; a broken one
    raises SandboxError."""
    with contextlib.ExitStack() as held:
        outputs = Path(held.enter_context(tempfile.TemporaryDirectory()))
        canary = held.enter_context(tempfile.NamedTemporaryFile(prefix="canary"))
        os.chmod(canary.name, 0o666)
        listener = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        variables = {"CANARY": canary.name, "PORT": str(listener.getsockname()[1])}
        limits = LIMITS.model_copy(update={"gpus": gpus})
        command = ("python", "-c", PROGRAM)
        job = Job(environment, command, {}, outputs, limits, variables, "probe")
        execution = sandbox.run(job)
        try:
            found = read_json(outputs / "probe.json")
            findings = _judge(found, gpus)
        except (Refused, KeyError, TypeError) as error:
            told = f"{execution.reason}: {error}: {execution.stderr[-300:]}"
            findings = (Finding(name="program", wanted="runs", found=told, ok=False),)
    return Probe(sandbox=sandbox.name, findings=findings)


def _judge(found: dict[str, Any], gpus: int) -> tuple[Finding, ...]:
    status = found["status"]
    shared = [name for name, value in found["environment"].items() if os.environ.get(name) == value]
    leaked = sorted(set(shared) - {"LANG", "HOSTNAME", "PWD", "SHLVL", "_"} - _same_for_all(found))
    return (
        _finding("user", "not root", f"uid {found['uid']}", found["uid"] != 0),
        _nothing("capabilities", status["CapEff"].strip("0")),
        _finding("no_new_privs", "1", status["NoNewPrivs"], status["NoNewPrivs"] == "1"),
        _finding("system call filter", "2", status["Seccomp"], status["Seccomp"] == "2"),
        _finding("network", "refused", found["network"], found["network"] != "connected"),
        _nothing("special sockets", found["sockets"]),
        _nothing("writable outside of $OUT and the temporary folder", found["writable"]),
        _nothing("readable files of the host", found["readable"]),
        _nothing("variables of the host", leaked),
        _nothing("variables of other processes", found["peeked"]),
        _nothing("forbidden calls that worked", found["calls"]),
        _nothing("signals to other processes", found["signalled"]),
        _told("memory limit", found["memory"]),
        _told("process limit", found["processes"]),
        _told("multiprocessing", found["multiprocessing"]),
        # Engines have been seen to take a request for GPUs and to start without any.
        *([_finding(GPUS, str(gpus), str(found["gpus"]), found["gpus"] == gpus)] if gpus else []),
    )


def _same_for_all(found: dict[str, Any]) -> set[str]:
    """Variables that say the same here and there because they describe programs, not secrets."""
    return {name for name in found["environment"] if name.endswith("_NUM_THREADS")} | {
        "PATH",
        "TERM",
        "PYTHONHASHSEED",
        "PYTHONDONTWRITEBYTECODE",
    }


def _finding(name: str, wanted: str, found: str, ok: bool) -> Finding:
    return Finding(name=name, wanted=wanted, found=found, ok=ok)


def _nothing(name: str, found: Any) -> Finding:
    text = found if isinstance(found, str) else ", ".join(map(str, found))
    return Finding(name=name, wanted="none", found=text or "none", ok=not found)


def _told(name: str, found: str) -> Finding:
    return Finding(name=name, wanted="told", found=found, ok=True, required=False)


PROGRAM = r"""
import ctypes, errno, json, os, pathlib, resource, socket, sys, tempfile
def attempt(action, *arguments):
    try:
        action(*arguments)
        return "yes"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
def works(action, *arguments):
    return attempt(action, *arguments) == "yes"
def connect():
    with socket.socket() as one:
        one.settimeout(5)
        one.connect(("127.0.0.1", int(os.environ["PORT"])))
def write(folder):
    path = os.path.join(folder, "probe-of-the-sandbox")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
    os.unlink(path)
def append(path):
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
def read(path):
    with open(path, "rb") as file:
        return file.read(1)
def first(*paths):
    for path in paths:
        try:
            return open(path).read().strip()
        except OSError:
            pass
    return "not seen"
def call(number, *arguments):
    arguments = [ctypes.c_long(each) for each in arguments]
    if libc.syscall(ctypes.c_long(number), *arguments) == -1:
        raise OSError(ctypes.get_errno(), "refused")
def lock():
    import multiprocessing
    multiprocessing.Lock()
libc = ctypes.CDLL(None, use_errno=True)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
def told(name):
    # gVisor does not list all of them, but answers when asked.
    return status[name].strip() if name in status else str(libc.prctl({"NoNewPrivs": 39}.get(name, -1), 0, 0, 0, 0))
connected = attempt(connect)
families = {"packet": (17, 3), "vsock": (40, 1), "alg": (38, 5), "raw": (2, 3), "bluetooth": (31, 3)}
def family(pair):
    socket.socket(*pair).close()
own = os.path.realpath(os.environ["OUT"]), os.path.realpath(tempfile.gettempdir())
folders = ["/", "/etc", "/usr", "/var", "/var/tmp", "/tmp", "/run", "/home", "/root", "/dev", "/sys", "/proc",
    sys.prefix, sys.base_prefix, os.path.dirname(own[0]), *map(str, pathlib.Path.cwd().parents)]
folders = sorted({os.path.realpath(each) for each in folders} - set(own))
if os.path.realpath(os.getcwd()) not in own:
    folders.append(os.getcwd())
writable = [each for each in folders if works(write, each)]
if works(append, os.environ["CANARY"]):
    writable.append("a temporary file of the host")
readable = [each for each in ("/etc/shadow", "/proc/1/environ", "/var/run/docker.sock") if works(read, each)]
if works(read, os.environ["CANARY"]):
    readable.append("a temporary file of the host")
others = {1, os.getppid()}
peeked = [each for each in others if works(read, f"/proc/{each}/environ")]
# The first process of a pid namespace cannot be hurt from inside, whoever may signal it.
signalled = [each for each in others - ({1} if os.getppid() == 1 else set()) if works(os.kill, each, 0)]
machine = os.uname().machine
unshare, mount, ptrace, keyctl = {"x86_64": (272, 165, 101, 250), "aarch64": (97, 40, 117, 219)}[machine]
calls = {"unshare": (unshare, 0x10000000), "mount": (mount, 0, 0, 0, 0, 0), "keyctl": (keyctl, 0, -3, 0),
    "ptrace": (ptrace, 16, os.getppid(), 0, 0), "io_uring_setup": (425, 1, 0), "bpf": (321 if machine == "x86_64" else 280, 0, 0, 0)}
def passes(arguments):
    return attempt(call, *arguments) not in ("EPERM", "ENOSYS")
def limit(kind):
    most = resource.getrlimit(kind)[1]
    return "none" if most == resource.RLIM_INFINITY else str(most)
def count_gpus():
    # As CUDA sees them; where its library cannot be loaded, their device files.
    count = ctypes.c_int(0)
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
        cuda.cuInit(0), cuda.cuDeviceGetCount(ctypes.byref(count))
        return count.value
    except OSError:
        pass
    try:
        return len([each for each in os.listdir("/dev") if each[:6] == "nvidia" and each[6:].isdigit()])
    except OSError:
        return 0  # a folder that is closed shows none
found = {
    "uid": os.getuid(),
    "gpus": count_gpus(),
    "status": {name: told(name) for name in ("CapEff", "NoNewPrivs", "Seccomp")},
    "network": "connected" if connected == "yes" else connected,
    "sockets": [name for name, pair in families.items() if works(family, pair)],
    "writable": writable,
    "readable": readable,
    "environment": dict(os.environ),
    "peeked": peeked,
    "signalled": signalled,
    "calls": [name for name, arguments in calls.items() if passes(arguments)],
    "memory": f"data {limit(resource.RLIMIT_DATA)}, control group "
        + first("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    "processes": f"{limit(resource.RLIMIT_NPROC)}, control group "
        + first("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"),
    "multiprocessing": "locks work" if works(lock) else "no locks: no shared memory of its own",
}
with open(os.path.join(os.environ["OUT"], "probe.json"), "w") as file:
    json.dump(found, file)
"""
