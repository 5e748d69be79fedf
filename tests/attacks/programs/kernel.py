"""Privilege, and the surface of the kernel."""

from collections.abc import Iterator

from autoresearch.records import Ended
from tests.attacks.attack import OPEN, UNTRIED, Attack, Shot

KIND = "privilege and the kernel"


def killed(shot: Shot) -> Iterator[str]:
    if shot.execution.exit_code == 0:
        yield "calls of another architecture passed the filter"


ATTACKS = (
    Attack(
        "namespaces",
        "become root in a user namespace, by any of the three calls",
        """
refused("unshare", 0x10000000)
refused("unshare", 0x10000000 | 0x20000)
for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x4000000, 0x8000000, 0x2000000, 0x80):
    refused("unshare", flag)
refused("setns", 0, 0)
try:
    process = call("clone", 0x10000000 | 17, 0, 0, 0, 0)
    if process == 0:
        os._exit(0)
    achieved("clone")
except OSError:
    pass
refused("clone3", struct.pack("8Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0), 64)
""",
        none=OPEN,
    ),
    Attack(
        "mounts",
        "mount, unmount, move its root or open a new mount",
        """
for name in ("mount", "umount2", "pivot_root", "chroot", "fsopen", "open_tree", "move_mount", "mount_setattr"):
    refused(name, b"/tmp", b"/tmp", b"tmpfs", 0, 0)
""",
        none=OPEN,
        harmful=True,
    ),
    Attack(
        "io_uring",
        "do input and output past the filter of system calls",
        "refused('io_uring_setup', 8, bytes(120))",
        none=OPEN,
    ),
    Attack(
        "BPF, perf and userfaultfd",
        "load programs into the kernel, watch or stop it",
        """
refused("bpf", 0, bytes(72), 72)
refused("perf_event_open", bytes(120), 0, -1, -1, 0)
refused("userfaultfd", 1)
""",
        none=OPEN,
    ),
    Attack(
        "keys",
        "leave a key, or use one of its user",
        """
refused("add_key", b"user", b"attack", b"x", 1, -4)
refused("request_key", b"user", b"attack", 0, -4)
for operation in (0, 1, 2, 11, 22):
    refused("keyctl", operation, -4, 0, 0, 0)
""",
        none=OPEN,
        harmful=True,
    ),
    Attack(
        "objects that stay",
        "leave shared memory, a queue or a semaphore that outlives it",
        """
for name in ("shmget", "msgget", "semget"):
    try:
        call(name, 4242424, 4096 if name == "shmget" else 0o1600 if name == "msgget" else 1, 0o1600)
        achieved(name)
    except OSError:
        pass
try:
    call("mq_open", b"attack", 0o102, 0o600, 0)
    achieved("mq_open")
except OSError:
    pass
write("/dev/shm/attack-" + FACTS["mark"], b"x", "wb")
""",
        none=OPEN,
        harmful=True,
    ),
    Attack(
        "becoming another user",
        "gain a user, a capability, or a program that gives one",
        """
import subprocess
for user in (0, 1, 33, 1000):
    for action in (os.setuid, os.setgid, os.seteuid, lambda u: os.setresuid(u, u, u), lambda u: os.setgroups([u])):
        tried(action, user)
call_capset = {"x86_64": 126, "aarch64": 91}[os.uname().machine]
libc.syscall(call_capset, struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *[0xFFFFFFFF] * 6))
libc.prctl(47, 2, 21, 0, 0)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
if os.getuid() == 0 or os.geteuid() == 0 or status["CapEff"].strip().strip("0"):
    achieved(os.getuid(), status["CapEff"])
if status["NoNewPrivs"].strip() != "1":
    achieved("programs may give new privileges")
for command in (["su", "-c", "id -u"], ["sudo", "-n", "id", "-u"], ["pkexec", "id", "-u"], ["newgrp", "root"]):
    try:
        ran = subprocess.run(command, capture_output=True, timeout=5, stdin=subprocess.DEVNULL)
        if ran.stdout.strip() == b"0":
            achieved(command[0])
    except (OSError, subprocess.TimeoutExpired):
        pass
""",
        none=OPEN,
        harmful=True,
    ),
    Attack(
        "a set-user-id copy",
        "make a program that runs as somebody else",
        """
import shutil, subprocess
path = TMP + "/copy"
shutil.copy("/usr/bin/id", path)
for mode in (0o6755, 0o755):
    tried(os.chmod, path, mode)
    tried(os.chown, path, 0, 0)
tried(os.setxattr, path, "security.capability", struct.pack("<5I", 0x02000001, 0xFF, 0, 0, 0))
try:
    if subprocess.run([path, "-u"], capture_output=True, timeout=5).stdout.strip() == b"0":
        achieved("root")
except OSError:
    pass
""",
    ),
    Attack(
        "a program without a file",
        "run code from memory with more rights than it has",
        """
import subprocess
descriptor = tried(os.memfd_create, "x")
if descriptor is not None:
    with open("/usr/bin/id", "rb") as file:
        os.write(descriptor, file.read())
    os.fchmod(descriptor, 0o6755)
    os.set_inheritable(descriptor, True)
    try:
        ran = subprocess.run([f"/proc/self/fd/{descriptor}", "-u"], close_fds=False, capture_output=True, timeout=5)
        if ran.stdout.strip() == b"0":
            achieved("root")
    except OSError:
        pass
""",
    ),
    Attack(
        "clocks",
        "set the time of the machine",
        """
refused("settimeofday", struct.pack("qq", 1, 0), 0)
refused("clock_settime", 0, struct.pack("qq", 1, 0))
refused("adjtimex", bytes(208))
refused("clock_adjtime", 0, bytes(208))
""",
        none=OPEN,
        harmful=True,
    ),
    Attack(
        "limits raised",
        "raise a limit of resources that it was given",
        """
for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_NOFILE, resource.RLIMIT_MEMLOCK):
    before = resource.getrlimit(kind)[1]
    for value in (2**62, resource.RLIM_INFINITY):
        tried(resource.setrlimit, kind, (value, value))
    if before != resource.getrlimit(kind)[1] and before != resource.RLIM_INFINITY:
        achieved("raised", kind)
try:
    kept = [os.open("/dev/null", os.O_RDONLY) for _ in range(100000)]
    achieved("100000 open files")
except OSError:
    pass
""",
    ),
    Attack(
        "core dumps",
        "leave its memory on the host, or start the host's program for crashes",
        """
tried(resource.setrlimit, resource.RLIMIT_CORE, (2**30, 2**30))
libc.prctl(4, 1)
os.chdir(OUT)
if os.fork() == 0:
    os.kill(os.getpid(), signal.SIGSEGV)
_, status = os.wait()
if os.WCOREDUMP(status):
    achieved("a core was dumped")
if os.listdir(OUT):
    achieved(os.listdir(OUT))
""",
    ),
    Attack(
        "real-time priority",
        "take a processor from everything else",
        """
for policy in (os.SCHED_FIFO, os.SCHED_RR):
    try:
        os.sched_setscheduler(0, policy, os.sched_param(1))
        achieved("real-time")
    except OSError:
        pass
try:
    os.nice(-5)
    achieved("nice")
except OSError:
    pass
if tried(call, "ioprio_set", 1, 0, 1 << 13) is not None:
    achieved("the disk first")
""",
    ),
    Attack(
        "the kernel's own files",
        "read the memory or messages of the machine, or change how it is set up",
        """
for path in ("/proc/kcore", "/dev/mem", "/dev/kmem", "/dev/kmsg", "/proc/kmsg", "/dev/port", "/proc/kpagecount",
        "/sys/kernel/debug/tracing/trace", "/sys/kernel/security/lsm", "/boot/System.map", "/proc/timer_list",
        "/sys/firmware/dmi/tables/DMI", "/dev/sda", "/dev/vda", "/dev/nvme0n1", "/proc/sched_debug"):
    if read(path, 1):
        achieved("read", path)
for path in ("/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches",
        "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/memory/tasks", "/sys/power/state",
        "/proc/sys/kernel/modprobe", "/proc/sys/fs/binfmt_misc/register", "/proc/acpi/wakeup"):
    if write(path, b"", "wb") or tried(os.open, path, os.O_WRONLY) is not None:
        achieved("opened to write", path)
refused("syslog", 3, ctypes.create_string_buffer(4096), 4096)
""",
        none=OPEN,
        harmful=True,
    ),
    Attack(
        "modules, reboots and swap",
        "load code into the kernel, stop the machine, or change its set-up",
        """
for name in ("init_module", "finit_module", "kexec_load", "swapon", "acct", "quotactl", "sethostname",
        "open_by_handle_at", "name_to_handle_at", "personality", "migrate_pages"):
    refused(name, 0, 0, 0, 0, 0)
refused("reboot", 0, 0, 0, 0)
""",
        none=UNTRIED,
    ),
    Attack(
        "calls of another architecture",
        "get past the filter by 32-bit or x32 calls",
        """
if os.uname().machine != "x86_64":
    os._exit(1)
try:
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    # mov eax, 20 (getpid of 32 bits); int 0x80; ret
    code.write(bytes.fromhex("b814000000cd80c3"))
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
finally:
    libc.syscall(ctypes.c_long(0x40000000 + 39))
""",
        killed,
        ends=(Ended.signalled, Ended.exited),
        fails=True,
        none=OPEN,
        harmful=True,
    ),
    Attack(
        "devices",
        "open a device of the host: a GPU, a disk, a console, KVM, FUSE",
        """
allowed = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "fd", "stdin", "stdout", "stderr", "core",
    "pts", "shm", "mqueue", "console"}
found = set(names("/dev")) | {"kvm", "fuse", "net/tun", "nvidia0",
    "nvidiactl", "dri/renderD128", "loop-control", "mem", "vhost-net", "vsock", "uinput", "hwrng", "loop0"}
for name in sorted(found - allowed):
    if os.path.isdir("/dev/" + name):
        continue
    for flags in (os.O_RDONLY, os.O_WRONLY):
        descriptor = tried(os.open, "/dev/" + name, flags | os.O_NONBLOCK)
        if descriptor is not None:
            achieved("opened", name)
""",
        none=UNTRIED,
    ),
)
