"""How a child of the supervisor gives up its powers and turns into the experiment. Standard library only.

Landlock (files, signals, abstract sockets), seccomp (an allow-list of system calls), another user where
the supervisor is root, no capabilities, no_new_privs. Each is applied or raises; nothing is optional.

In both strengths the processors it was given are its own for good: asking for others does nothing.
With `namespaces` there is a private network and a private view of files and processes.
Without, what Landlock leaves open is closed by seccomp: no sockets but connected pairs, no watching of
folders, and changing modes, owners and times of files does nothing.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import struct
import sys

TYPE_CHECKING = False  # importing these would be a tenth of the start
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, NoReturn

_DEATH_SIGNAL, _DUMPABLE, _SECCOMP, _CAPBSET_DROP, _NO_NEW_PRIVS, _AMBIENT = 1, 4, 22, 24, 38, 47


def become(request: Mapping[str, Any], out: int, err: int, report: int) -> NoReturn:
    """In the forked child: turn into the experiment. What fails is told as JSON through `report`,
    which closes without a word when the experiment has begun."""
    stage, command = "setup", request["command"]
    try:
        os.setsid()
        _move_descriptors(out, err, report)
        report = 3
        _reset_signals()
        _prefer_as_victim()
        if request["processors"] is not None:
            os.sched_setaffinity(0, request["processors"])
        if request["confine"] is not None:
            apply(request["confine"])
        process_control(_DEATH_SIGNAL, signal.SIGKILL)  # of the supervisor, should that be lost
        os.chdir(request["cwd"])
        for name, value in request["rlimits"].items():
            limit(name, value)
        stage = "exec"
        os.execvpe(command[0], command, request["environment"])
    finally:  # whatever it was: nothing may get past a wall that does not stand
        error = sys.exc_info()[1]
        what = f"cannot run {command[0]!r}: {error}" if stage == "exec" else str(error)
        os.write(report, json.dumps({"stage": stage, "error": what[:2000]}).encode())
        os._exit(127)


def _move_descriptors(out: int, err: int, report: int) -> None:
    """Nothing on 0, the pipes on 1 and 2, the report on 3 until exec, and no others."""
    null = os.open("/dev/null", os.O_RDONLY)
    high = [os.dup2(each, 200 + each, False) for each in (null, out, err, report)]
    for target, source in enumerate(high):
        os.dup2(source, target, inheritable=target < 3)
    os.closerange(4, 65536)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _prefer_as_victim() -> None:
    """Out of memory, the kernel takes the experiment before its supervisor."""
    process_control(
        _DUMPABLE, 1
    )  # or its own files in /proc are not its own; nothing else runs yet
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    process_control(_DUMPABLE, 0)


def limit(name: str, value: int) -> None:
    """Set a resource limit, soft and hard, or keep a lower one that there is."""
    kind = getattr(resource, f"RLIMIT_{name.upper()}")
    hard = resource.getrlimit(kind)[1]
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (most, most))


def apply(plan: Mapping[str, Any]) -> None:
    """Confine this process for good. Raises OSError when any part cannot be had.

    read, write, scratch  paths to read and run; to write files in; to write anything but devices in
    reach                 paths made reachable for `uid` below folders that are closed to it (as root)
    uid                   user and group to become, or null
    namespaces            whether network, files and processes are private already
    """
    if plan["reach"]:
        _uncover(plan["reach"])
    rules, program = _ruleset(plan), _program(plan["namespaces"])
    if plan["uid"] is not None:
        _become_user(plan["uid"])
    process_control(_NO_NEW_PRIVS, 1)
    process_control(_AMBIENT, 4)  # clear all
    _no_capabilities()
    _system_call(_RESTRICT_SELF, rules, 0)
    os.close(rules)
    buffer = ctypes.create_string_buffer(program)
    address = ctypes.addressof(buffer)
    process_control(_SECCOMP, 2, struct.pack("HxxxxxxQ", len(program) // 8, address))


# --- the kernel's calls -------------------------------------------------------------------------

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_CAPSET = {"x86_64": 126, "aarch64": 91}


def _library() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def process_control(option: int, value: Any, more: Any = 0) -> None:
    """prctl(2)."""
    arguments = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in (value, more)]
    _checked(_library().prctl(option, *arguments, 0, 0), f"prctl {option}")


def _system_call(number: int, *arguments: Any) -> int:
    sized = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return _checked(_library().syscall(ctypes.c_long(number), *sized), f"system call {number}")


# --- user and capabilities ----------------------------------------------------------------------


def _become_user(uid: int) -> None:
    for capability in range(64):
        try:
            process_control(_CAPBSET_DROP, capability)
        except OSError:  # the kernel knows no more of them
            break
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _no_capabilities() -> None:
    header = struct.pack("Ii", 0x20080522, 0)  # version 3, this process
    _system_call(_CAPSET[os.uname().machine], header, bytes(24))


def _uncover(paths: Iterable[str]) -> None:
    """Show `paths` alone, in folders that are closed to other users, to this process alone."""
    private, recursive, bind = 1 << 18, 1 << 14, 1 << 12
    _checked(_library().unshare(0x20000), "no private view of files")
    _mount(None, "/", None, private | recursive, None)
    closed: dict[str, list[tuple[str, int]]] = {}
    for path in paths:
        blocker = closed_folder(path)
        if blocker:
            closed.setdefault(blocker, []).append((path, os.open(path, os.O_PATH)))
    os.umask(0o022)
    for blocker, inside in closed.items():
        _mount("tmpfs", blocker, "tmpfs", 0x6, "mode=0755,size=1m")
        for path, descriptor in inside:
            os.makedirs(path, exist_ok=True)
            _mount(f"/proc/self/fd/{descriptor}", path, None, bind | recursive, None)
            os.close(descriptor)


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None) -> None:
    text = [each.encode() if each is not None else None for each in (source, target, kind, data)]
    result = _library().mount(text[0], text[1], text[2], ctypes.c_ulong(flags), text[3])
    _checked(result, f"cannot mount on {target}")


def closed_folder(path: str) -> str | None:
    """The first folder on the way to `path` that other users cannot pass, if there is one."""
    folder = ""
    for part in path.split("/")[1:-1]:
        folder += "/" + part
        if not os.stat(folder).st_mode & 0o001:
            return folder
    return None


# --- Landlock -----------------------------------------------------------------------------------

_FILE_READ = 0b101  # execute, read
_FILE_WRITE = 1 << 1 | 1 << 14 | 1 << 15  # write, truncate, control a device
_READ = _FILE_READ | 1 << 3  # and list folders
# ... and remove, make folders and files, move between folders, truncate
_WRITE = _READ | 1 << 1 | 0b11 << 4 | 0b11 << 7 | 1 << 13 | 1 << 14
_SCRATCH = _WRITE | 0b11 << 9 | 1 << 12  # ... and make sockets, FIFOs and links
_KNOWN = (13, 14, 15, 15, 16)  # how many rights the versions of Landlock know
_SCOPES = 0b11  # abstract sockets, signals


def landlock_version() -> int:
    """The ABI version of Landlock, 0 where the kernel has none."""
    try:
        return _system_call(_CREATE_RULESET, None, 0, 1)
    except OSError:
        return 0


def _ruleset(plan: Mapping[str, Any]) -> int:
    version = landlock_version()
    if version < 1:
        raise OSError("this kernel has no Landlock")
    handled = (1 << _KNOWN[min(version, len(_KNOWN)) - 1]) - 1
    network = 0 if plan["namespaces"] or version < 4 else 0b11
    scopes = _SCOPES if version >= 6 else 0
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = struct.pack("QQQ", handled, network, scopes)
    rules = _system_call(_CREATE_RULESET, attributes, size, 0)
    allowed = ((plan["read"], _READ), (plan["write"], _WRITE), (plan["scratch"], _SCRATCH))
    for paths, rights in allowed:
        for path in paths:
            _allow(rules, path, rights & handled)
    for device in ("null", "zero", "full", "random", "urandom"):
        _allow(rules, f"/dev/{device}", (_FILE_READ | _FILE_WRITE) & handled)
    return rules


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # what is not there needs no permission
    if not os.path.isdir(path):
        rights &= _FILE_READ | _FILE_WRITE
    _system_call(_ADD_RULE, rules, 1, struct.pack("=Qi", rights, descriptor), 0)
    os.close(descriptor)


# --- seccomp ------------------------------------------------------------------------------------


def _program(namespaces: bool) -> bytes:
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    import syscalls  # type: ignore[import-not-found]

    program: bytes = syscalls.program(os.uname().machine, namespaces)
    return program
