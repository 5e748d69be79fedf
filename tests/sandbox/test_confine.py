"""The system call filter, run as the kernel would run it, and on the kernel itself."""

import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch.sandbox import confine, syscalls

KILL, ALLOW, EPERM, ENOSYS, PRETEND = 0x80000000, 0x7FFF0000, 0x50001, 0x50026, 0x50000
MACHINES = ("x86_64", "aarch64")
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def judge(machine: str, namespaces: bool, number: int, *arguments: int, arch: int = 0) -> int:
    """What the filter says of a call: a small interpreter of the instructions it uses."""
    six = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("=iIQ6Q", number, arch or ARCHITECTURES[machine], 0, *six)
    code = list(struct.iter_unpack("HBBI", syscalls.program(machine, namespaces)))
    register, place = 0, 0
    while True:
        operation, then, otherwise, value = code[place]
        place += 1
        if operation == 0x20:
            (register,) = struct.unpack_from("=I", data, value)
        elif operation == 0x54:
            register &= value
        elif operation == 0x06:
            return value
        else:
            holds = {0x15: register == value, 0x35: register >= value, 0x25: register > value}
            place += then if holds[operation] else otherwise


def call(machine: str, namespaces: bool, name: str, *arguments: int) -> int:
    return judge(machine, namespaces, int(syscalls.NUMBERS[name][machine]), *arguments)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("namespaces", [True, False])
def test_every_call_of_the_list_is_allowed_and_no_other(machine: str, namespaces: bool) -> None:
    listed = {int(at[machine]): name for name, at in syscalls.NUMBERS.items() if at[machine] != "-"}
    for number in range(600):
        verdict = judge(machine, namespaces, number, 1 << 17, 1, 7)
        if number not in listed:
            newer = number > syscalls.NEWEST or number == syscalls.CLONE3
            assert verdict == (ENOSYS if newer else EPERM), number
        elif number in (
            int(syscalls.NUMBERS["read"][machine]),
            int(syscalls.NUMBERS["futex"][machine]),
        ):
            assert verdict == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("namespaces", [True, False])
def test_new_namespaces_and_other_processes_limits_are_refused(
    machine: str, namespaces: bool
) -> None:
    threads = 0x3D0F00
    assert call(machine, namespaces, "clone", threads) == ALLOW
    assert call(machine, namespaces, "clone", signal.SIGCHLD) == ALLOW
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert call(machine, namespaces, "clone", flag | signal.SIGCHLD) == EPERM
    for name in ("prlimit64", "sched_setattr", "sched_setscheduler", "sched_setparam"):
        assert call(machine, namespaces, name, 0) == ALLOW
        assert call(machine, namespaces, name, 4711) == EPERM
    assert call(machine, namespaces, "setpriority", 0, 0) == ALLOW
    assert call(machine, namespaces, "setpriority", 0, 1) == EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_sockets_need_a_network_of_their_own(machine: str) -> None:
    for family, namespaces, verdict in (
        *((each, True, ALLOW) for each in (1, 2, 10, 16)),
        *((each, True, EPERM) for each in (0, 3, 5, 17, 31, 38, 40, 44)),
        *((each, False, EPERM) for each in range(50)),
    ):
        assert call(machine, namespaces, "socket", family, 1, 0) == verdict, family
    assert call(machine, True, "socket", 16, 3, 12) == EPERM  # netlink beyond routing
    for kind, verdict in ((1, ALLOW), (5, ALLOW), (1 | 0x80800, ALLOW), (2, EPERM), (3, EPERM)):
        assert call(machine, False, "socketpair", 1, kind) == verdict
    assert call(machine, False, "connect", 3) == call(machine, False, "bind", 3) == EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_changing_modes_is_pretended_only_without_namespaces(machine: str) -> None:
    assert call(machine, True, "fchmodat") == call(machine, True, "utimensat") == ALLOW
    assert call(machine, False, "fchmodat") == call(machine, False, "utimensat") == PRETEND
    assert call(machine, False, "fsetxattr") == EPERM


def test_other_architectures_and_the_x32_calls_are_killed() -> None:
    assert judge("x86_64", True, 0, arch=0x40000003) == KILL
    assert judge("aarch64", True, 0, arch=0x40000028) == KILL
    assert judge("x86_64", True, 0x40000000) == KILL
    with pytest.raises(OSError, match="no system call filter for riscv64"):
        syscalls.program("riscv64", True)


def test_dockers_profile_says_the_same() -> None:
    profile = json.loads(syscalls.docker_profile())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    plain = set(profile["syscalls"][0]["names"])
    conditional = {rule["names"][0] for rule in profile["syscalls"][1:]} - {"clone3"}
    assert plain | conditional == set(syscalls.NUMBERS) and not plain & conditional
    for name in (
        "io_uring_setup",
        "bpf",
        "keyctl",
        "ptrace",
        "mount",
        "unshare",
        "mknodat",
        "setns",
    ):
        assert name not in plain | conditional


PROGRAM = """
import ctypes, os, sys
sys.path.insert(0, sys.argv[1])
import confine
plan = {"reach": [], "read": ["/usr", "/lib", "/lib64"], "write": [], "scratch": [sys.argv[2]],
    "uid": None, "namespaces": False}
confine.apply(plan)
"""


def confined(tmp_path: Path, program: str) -> subprocess.CompletedProcess[str]:
    command = ["/usr/bin/python3", "-I", "-S", "-c", PROGRAM + program]
    command += [str(Path(confine.__file__).parent), str(tmp_path)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_kernel_takes_the_filter_and_kills_calls_of_other_architectures(tmp_path: Path) -> None:
    assert confined(tmp_path, "print('alive')").stdout == "alive\n"
    if os.uname().machine == "x86_64":
        x32 = "ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 + 39)); print('alive')"
        ran = confined(tmp_path, x32)
        assert ran.returncode == -signal.SIGSYS and ran.stdout == ""


def test_landlock_leaves_only_what_it_was_told(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "outside").write_text("outside")
    program = """
def attempt(action, *arguments):
    try:
        action(*arguments)
        return True
    except OSError:
        return False
here, beside = sys.argv[2], os.path.dirname(sys.argv[2]) + "/outside"
print(attempt(open, here + "/new", "w"), attempt(os.symlink, "x", here + "/link"))
print(attempt(open, beside), attempt(open, beside, "a"), attempt(os.truncate, beside, 0),
    attempt(os.unlink, beside), attempt(os.rename, beside, here + "/stolen"),
    attempt(os.link, beside, here + "/second"), attempt(os.listdir, os.path.dirname(beside)),
    attempt(os.kill, os.getppid(), 0), attempt(open, "/proc/self/environ"))
"""
    ran = confined(inside, program)
    assert ran.stdout == "True True\n" + " ".join(["False"] * 9) + "\n", ran.stderr
    assert (tmp_path / "outside").read_text() == "outside"


def test_a_part_that_cannot_be_had_is_an_error(tmp_path: Path) -> None:
    program = PROGRAM.replace('"uid": None', '"uid": 4_000_000')
    command = [sys.executable, "-I", "-S", "-c", program + "print('went on')"]
    command += [str(Path(confine.__file__).parent), str(tmp_path)]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--clear-groups", "/usr/bin/python3", *command[1:]]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode != 0 and "went on" not in ran.stdout and "PermissionError" in ran.stderr
