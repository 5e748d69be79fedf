"""What a local experiment sees of this machine, and the command that starts its supervisor."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from autoresearch.errors import SandboxError
from autoresearch.records import Execution
from autoresearch.sandbox import Job

INSIDE = "/autoresearch"  # the supervisor's folder in a view of its own
OUT, TMP, SHARED = "/out", "/tmp", "/dev/shm"

_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_FILES = (
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
)
# Without a view of its own; with one they are made for it.
_FACTS = (
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/self",  # of the command itself; what it starts does not see its own
    "/proc/stat",
    "/proc/sys/kernel",
    "/proc/sys/vm",
    "/proc/uptime",
    "/proc/version",
    "/sys/fs/cgroup/cpu.max",
    "/sys/fs/cgroup/cpu/cpu.cfs_period_us",
    "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
)
_RESERVED = re.compile(r"bin|sbin|lib\w*|etc|usr|dev|proc|sys|out|tmp|inputs|autoresearch")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_CAPABILITIES = ("SETUID", "SETGID", "SETPCAP", "KILL", "DAC_READ_SEARCH", "SYS_PTRACE")


@dataclass(frozen=True)
class View:
    """`arguments` start the supervisor; `variables` name the folders; the paths are what Landlock
    is told; `counted` are processes that count against the experiment's user but are not its own."""

    arguments: list[str]
    variables: Mapping[str, str]
    read: list[str]
    write: list[str]
    scratch: list[str]
    counted: int
    interpreter: list[str]

    def neutral(self, execution: Execution) -> Execution:
        """What was said, without the places of this machine and run: a traceback reads as it does in a
        container, and prompts, records and replays hold no host paths."""
        short = {"TMPDIR": "/tmp"}
        names = {path: short.get(name, f"/{name.lower()}") for name, path in self.variables.items()}
        environment, *python = self.interpreter
        names |= {environment: "/environment"} | {
            path: f"/python/{Path(path).name}" for path in python
        }
        out, err = execution.stdout, execution.stderr
        for path in sorted(names, key=len, reverse=True):
            out, err = out.replace(path, names[path]), err.replace(path, names[path])
        return execution.model_copy(update={"stdout": out, "stderr": err})

    def rules(self) -> dict[str, list[str]]:
        return {"read": self.read, "write": self.write, "scratch": self.scratch}


def plain_view(job: Job, folder: Path) -> View:
    """Without namespaces: real paths, and `out` and `tmp` in the private `folder`."""
    python, interpreter = _interpreter(job)
    inputs = {name: str(path.resolve()) for name, path in job.inputs.items()}
    out, tmp = str(folder / "out"), str(folder / "tmp")
    system = [path for path in ("/usr", *_SYSTEM, *_FILES, *_FACTS) if os.path.exists(path)]
    return View(
        arguments=_start(python, str(Path(__file__).parent)),
        variables={name.upper(): path for name, path in inputs.items()} | _places(out, tmp),
        read=[*system, *interpreter, *inputs.values()],
        write=[out],
        scratch=[tmp],
        counted=_threads_of_user(),
        interpreter=interpreter,
    )


def bubblewrap_view(job: Job, program: str, as_root: bool) -> View:
    """In namespaces: inputs at /<name>, everything that can be written in memory and bounded."""
    python, interpreter = _interpreter(job)
    places = {name: _place(name, interpreter) for name in job.inputs}
    inputs = {places[name]: str(path.resolve()) for name, path in job.inputs.items()}
    arguments = [program, "--die-with-parent", "--as-pid-1", "--hostname", "sandbox"]
    arguments += [f"--unshare-{each}" for each in ("ipc", "pid", "net", "uts", "cgroup-try")]
    if as_root:
        # No user namespace: in one, whoever is nobody inside is still root to the files outside.
        # The supervisor stays root with what it needs, and the experiment becomes another user.
        arguments += ["--cap-drop", "ALL"]
        arguments += [part for name in _CAPABILITIES for part in ("--cap-add", f"CAP_{name}")]
    else:
        arguments += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    arguments += ["--ro-bind", "/usr", "/usr", *_system_links(), "--proc", "/proc", "--dev", "/dev"]
    for path in _FILES:
        arguments += ["--ro-bind-try", path, path]
    for path, size in ((OUT, job.limits.disk), (TMP, job.limits.disk)):
        arguments += _in_memory(path, size + 2**20)
    arguments += [*_in_memory(SHARED, job.limits.memory // 2), "--remount-ro", "/dev"]
    shown = {path: os.path.realpath(path) for path in interpreter}
    for path, source in (shown | inputs | {INSIDE: str(Path(__file__).parent)}).items():
        for parent in reversed(Path(path).parents[:-1]):
            arguments += ["--perms", "0755", "--dir", str(parent)]
        arguments += ["--ro-bind", source, path]
    arguments += ["--remount-ro", "/", "--chdir", "/", *_start(python, INSIDE)]
    return View(
        arguments=arguments,
        variables={name.upper(): path for name, path in places.items()} | _places(OUT, TMP),
        read=["/"],
        write=[OUT],
        scratch=[TMP, SHARED],
        counted=0 if as_root else 2,
        interpreter=interpreter,
    )


def _start(python: str, folder: str) -> list[str]:
    """Like running supervisor.py in `folder`, but a module is not compiled anew each time."""
    program = "import sys; sys.path.append(sys.argv[1]); import supervisor; supervisor.main()"
    return [python, "-I", "-S", "-c", program, folder]


def compile_supervisor() -> None:
    """Keep the compiled form of what the supervisor consists of, where that may be written."""
    import compileall

    for name in ("supervisor", "watch", "confine", "syscalls", "contained"):
        compileall.compile_file(Path(__file__).with_name(f"{name}.py"), quiet=2)


def _place(name: str, interpreter: list[str]) -> str:
    """Where an input is seen; elsewhere when it would hide the interpreter."""
    hides = any(Path(path).is_relative_to(f"/{name}") for path in interpreter)
    return f"/inputs/{name}" if hides else f"/{name}"


def _places(out: str, tmp: str) -> dict[str, str]:
    return {"OUT": out, "TMPDIR": tmp}


def _in_memory(path: str, size: int) -> list[str]:
    return ["--perms", "1777", "--size", str(size), "--tmpfs", path]


def _system_links() -> list[str]:
    arguments = []
    for path in _SYSTEM:
        if os.path.islink(path):
            arguments += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            arguments += ["--ro-bind", path, path]
    return arguments


def check_inputs(job: Job) -> None:
    """Raises ValueError for an input whose name would cover something else."""
    for name in job.inputs:
        if not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
            raise ValueError(f"an input cannot be named {name!r}")


# --- the interpreter ----------------------------------------------------------------------------


def _interpreter(job: Job) -> tuple[str, list[str]]:
    """The real interpreter of a virtual environment, and the folders that it needs to be seen."""
    environment = Path(job.environment.reference)
    python = environment / "bin" / "python"
    if not python.exists():
        raise SandboxError(
            f"the environment {environment} has no interpreter: remove it and run again"
        )
    folders = [str(environment)]
    for link in _links(python):
        prefix = link.parent.parent
        # Not the whole prefix: a Python may have been installed straight into someone's home.
        parts = [prefix / name for name in ("bin", "lib", "lib64", "include")]
        folders += [str(each) for each in parts if each.is_dir() and not _is_system(each)]
    return str(python.resolve()), list(dict.fromkeys(folders))


def _links(python: Path) -> Iterator[Path]:
    """Every path on the way from a link to the file, outside of the folder it is in."""
    first = python.parent
    while python.is_symlink():
        python = Path(os.path.normpath(python.parent / python.readlink()))
        if python.parent != first:
            yield python
    yield python.resolve()


def _is_system(folder: Path) -> bool:
    return any(folder.is_relative_to(path) for path in ("/usr", *_SYSTEM))


# --- processes ----------------------------------------------------------------------------------


def _threads_of_user() -> int:
    """How many threads this user has now: without namespaces the kernel counts them all together.
    Root's are not counted, because the experiment is then another user."""
    user = os.geteuid()
    return 0 if user == 0 else sum(_threads(Path(each.path), user) for each in os.scandir("/proc"))


def _threads(process: Path, user: int) -> int:
    try:
        if not process.name.isdecimal() or process.stat().st_uid != user:
            return 0
        return len(os.listdir(process / "task"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
