"""Where attacks are run: things of the host that they may aim at, and the host's own look afterwards."""

import contextlib
import os
import secrets
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from autoresearch.config import SandboxSettings
from autoresearch.harness import prepare_data
from autoresearch.records import Execution, Limits
from autoresearch.sandbox import Environment, Job, Sandbox
from autoresearch.sandbox.local import Local, Plain
from autoresearch.sandbox.scratch import current_owner, scratch
from tests.attacks.attack import OPEN, STOPPED, UNTRIED, Attack, Shot
from tests.attacks.scoring import scored, small_lab
from tests.engine import BASE_IMAGE
from tests.sandbox.conftest import bare_environment

LIMITS = Limits(timeout=12, memory=2**28, processes=48, disk=2**24, file=2**23, output=2**20)
LATEST = 25.0  # seconds beyond its timeout in which everything of a run has to be over

VICTIM = """
import os, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_DFL)
print("ready", flush=True)
time.sleep(900)
"""


class Stage:
    """Targets of this user on this machine, and a sandbox to attack them from."""

    def __init__(self, backend: str, folder: Path) -> None:
        self.backend, self.folder, self.secret = backend, folder, secrets.token_hex(16)
        self.held, self.clock = contextlib.ExitStack(), time.time() - time.monotonic()
        self.canary = self._place("canary.txt", self.secret)
        self.labels = self._place("labels.csv", self.secret)
        self.other_run = self.held.enter_context(scratch(None))
        for name in ("out", "tmp"):
            (self.other_run / name).chmod(0o777)
            (self.other_run / name / "predictions").write_text(self.secret)
        os.environ["SECRET_OF_THE_HOST"] = self.secret
        self.held.callback(os.environ.pop, "SECRET_OF_THE_HOST", None)
        self.victim = self._victim()
        self.listeners = list(self._listeners())
        self.before = self._state()
        self.sandbox, self.environment = self._open(backend)
        (folder / "lab").mkdir()
        self.lab = small_lab(self.sandbox, self.environment, folder / "lab")
        prepare_data(self.lab)

    def _place(self, name: str, text: str) -> Path:
        """A file that the modes of files let everybody read and write."""
        folder = Path(self.held.enter_context(tempfile.TemporaryDirectory(prefix="attacked-")))
        folder.chmod(0o777)
        (folder / name).write_text(text)
        (folder / name).chmod(0o666)
        return folder / name

    def _victim(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", VICTIM, f"--key={self.secret}"]
        victim = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        self.held.callback(victim.wait)
        self.held.callback(victim.kill)
        assert victim.stdout is not None and victim.stdout.readline() == b"ready\n"
        return victim

    def _listeners(self) -> Iterator[socket.socket]:
        path = str(self.canary.with_name("socket"))
        self.unix, self.abstract = path, f"attacked-{self.secret[:8]}"
        kinds = (
            (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            (socket.AF_UNIX, socket.SOCK_STREAM, path),
            (socket.AF_UNIX, socket.SOCK_DGRAM, path + "-packets"),
            (socket.AF_UNIX, socket.SOCK_STREAM, "\0" + self.abstract),
        )
        for family, kind, address in kinds:
            one = self.held.enter_context(socket.socket(family, kind))
            one.bind(address)
            if kind == socket.SOCK_STREAM:
                one.listen()
            yield one
        for name in (path, path + "-packets"):
            os.chmod(name, 0o777)

    def _open(self, backend: str) -> tuple[Sandbox, Environment]:
        if backend == "docker":
            from autoresearch.sandbox.docker import Docker

            engine = Docker(SandboxSettings(image=BASE_IMAGE, cache=self.folder))
            (self.folder / "task").mkdir()
            return engine, engine.environment(self.folder / "task")
        environment = bare_environment(self.folder)
        if backend == "none":
            return Plain(SandboxSettings()), environment
        return Local(SandboxSettings(cache=self.folder), "bubblewrap" in backend), environment

    def close(self) -> None:
        self.held.close()

    # --- one attack

    def verdict(self, attack: Attack) -> tuple[str, list[str]]:
        """What the table should say of this attack here, and what was achieved."""
        if attack.verdict(self.backend) == UNTRIED:
            return UNTRIED, []
        problems = self.shoot(attack)
        return (OPEN if problems else STOPPED), problems

    def shoot(self, attack: Attack) -> list[str]:
        mark = f"mark-{secrets.token_hex(8)}"
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            os.chmod(place, 0o755)
            facts = self._facts(mark)
            meanwhile = _Meanwhile(attack.during, facts)
            began = time.monotonic()
            run = self._score if attack.scored else self._run
            execution, outputs, said = run(attack, facts, Path(place))
            seconds = time.monotonic() - began
            shot = Shot(execution, outputs, facts, seconds, meanwhile.result())
            return [*said, *self._judge(attack, shot, mark)]

    def _facts(self, mark: str) -> dict[str, Any]:
        """What an attacker may know; the secret is not among it."""
        tcp, udp = (each.getsockname()[1] for each in self.listeners[:2])
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        return {
            "mark": mark, "canary": str(self.canary), "labels": str(self.labels),
            "other": str(self.other_run), "victim": self.victim.pid, "host": os.getpid(),
            "tcp": tcp, "udp": udp, "unix": self.unix, "abstract": self.abstract, "port": port,
        }  # fmt: skip

    def _run(
        self, attack: Attack, facts: dict[str, Any], place: Path
    ) -> tuple[Execution, Path, list[str]]:
        for name in ("work", "data"):
            (place / name).mkdir()
        (place / "data" / "rows.txt").write_text("1 2 3\n")
        (place / "data" / "rows.txt").chmod(0o666)
        (place / "work" / "attack.py").write_text(attack.source(facts))
        inputs = {name: place / name for name in ("work", "data")}
        command = ("python", "attack.py", facts["mark"])
        limits = LIMITS.model_copy(update=dict(attack.limits))
        job = Job(self.environment, command, inputs, place / "outputs", limits)
        execution = self.sandbox.run(job)
        changed = (place / "data" / "rows.txt").read_text() != "1 2 3\n"
        return execution, place / "outputs", ["an input was changed"] if changed else []

    def _score(
        self, attack: Attack, facts: dict[str, Any], place: Path
    ) -> tuple[Execution, Path, list[str]]:
        return scored(self.lab, attack, facts)

    # --- the host's own look

    def _judge(self, attack: Attack, shot: Shot, mark: str) -> Iterator[str]:
        execution = shot.execution
        exited = attack.fails or execution.exit_code in (0, None)
        if execution.ended not in attack.ends or not exited:
            said = f"{execution.reason}: {execution.stderr[-600:]}"
            yield f"it ended as {execution.ended}, which is no try: {said}"
        yield from (line for line in execution.stdout.splitlines() if line.startswith("ACHIEVED"))
        yield from self._leaks(shot)
        yield from attack.check(shot)
        timeout = dict(attack.limits).get("timeout", LIMITS.timeout)
        if not attack.scored and shot.seconds > timeout + LATEST:
            yield f"it took {shot.seconds:.0f} s"
        if left := _marked(mark):
            yield f"processes are left: {left}"
        for name, value in self._state().items():
            if value != self.before[name]:
                yield f"{name} was {self.before[name]} and is {value}"
        yield from self._heard()

    def _leaks(self, shot: Shot) -> Iterator[str]:
        said = (shot.execution.stdout + shot.execution.stderr).encode(errors="replace")
        if self.secret.encode() in said:
            yield "a secret is in what it printed"
        for path in shot.outputs.rglob("*") if shot.outputs.is_dir() else ():
            mode = path.lstat().st_mode
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                yield f"{path.name!r} came back and is no plain file"
            elif path.is_file() and self.secret.encode() in path.read_bytes():
                yield f"a secret is in {path.name}"
            if path.is_file() and mode & 0o7111:
                yield f"{path.name!r} came back with mode {mode:o}"

    def _state(self) -> dict[str, Any]:
        """Everything about the targets that an attack could change, as the kernel tells it."""
        process = self.victim.pid
        about = self.canary.stat()
        stat = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        alive = self.victim.poll() is None
        return {
            "the canary": self.canary.read_text(),
            "the canary's modes": (about.st_mode, about.st_uid, about.st_nlink, about.st_mtime_ns),
            "the folder of the canary": sorted(os.listdir(self.canary.parent)),
            "the other run": sorted(str(p) for p in self.other_run.rglob("*")),
            "the victim": "dead" if not alive else "stopped" if stat[0] in "Tt" else "alive",
            "the victim's priority": (os.getpriority(os.PRIO_PROCESS, process), stat[38], stat[37]),
            "this process's priority": os.getpriority(os.PRIO_PROCESS, 0),
            "the victim's processors": sorted(os.sched_getaffinity(process)),
            "the victim's badness": Path(f"/proc/{process}/oom_score_adj").read_text(),
            "the victim's limits": Path(f"/proc/{process}/limits").read_text(),
            "the victim's disk priority": _ioprio(process),
            "the clock": abs(time.time() - time.monotonic() - self.clock) < 5,
            "the name of the machine": os.uname().nodename,
            "what is mounted": _mounts(),
            "System V and POSIX objects": _ipc(),
        }

    def _heard(self) -> Iterator[str]:
        ready, _, _ = select.select(self.listeners, [], [], 0)
        for each in ready:
            yield f"something reached {each.family.name} {each.type.name}"
            if each.type == socket.SOCK_STREAM:
                each.accept()[0].close()
            else:
                each.recv(65536)

    def left(self) -> list[str]:
        """What all the runs together left on this machine."""
        own = Path(tempfile.gettempdir()).glob(f"autoresearch-{current_owner()}:*")
        found = [str(path) for path in own if path != self.other_run]
        if self.backend == "docker":
            owned = self.sandbox._engine.owned()  # type: ignore[attr-defined]
            found += [each for each, owner in owned.items() if owner == current_owner()]
        return found


class _Meanwhile:
    """What the host does in a thread of its own while the program runs."""

    def __init__(self, action: Callable[[Any], Any] | None, facts: dict[str, Any]) -> None:
        self.found: Any = None
        self.thread = threading.Thread(target=self._do, args=(action, facts))
        self.thread.start()

    def _do(self, action: Callable[[Any], Any] | None, facts: dict[str, Any]) -> None:
        self.found = action(facts) if action else None

    def result(self) -> Any:
        self.thread.join()
        return self.found


def _marked(mark: str) -> list[str]:
    """Processes that carry the mark in their command line or environment."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                words = Path(entry.path, "cmdline").read_bytes()
                if mark.encode() in words:
                    found.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return found


def _ioprio(process: int) -> int:
    import ctypes

    number = 252 if os.uname().machine == "x86_64" else 31
    return int(ctypes.CDLL(None).syscall(number, 1, process))


def _mounts() -> int:
    """Mounts of this process's view that are ours: other programs mount and unmount theirs."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return sum("autoresearch" in line or "attacked" in line for line in lines)


def _ipc() -> list[str]:
    """Lines of /proc/sysvipc and the queues that carry the attacks' key or name."""
    found = []
    for name in ("shm", "msg", "sem"):
        with contextlib.suppress(FileNotFoundError):
            lines = Path(f"/proc/sysvipc/{name}").read_text().splitlines()[1:]
            found += [f"{name} {line}" for line in lines if line.split()[0] == "4242424"]
    found += [name for name in os.listdir("/dev/shm") if name.startswith("attack-")]
    return sorted(found)
