"""The host's end of the supervisor's protocol: the request, and what came back as an Execution."""

import json
import secrets
import signal
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from autoresearch.errors import SandboxError
from autoresearch.records import Ended, Execution, Limits
from autoresearch.sandbox import Follow, Stop
from autoresearch.sandbox.results import Refused

KEPT = 65536  # bytes kept of the head, and as many of the tail, of stdout and of stderr
HEADER = 5
ROOM = 2**26  # bytes that an archive may be larger than what is in it
LARGEST = 65536  # bytes of a frame's payload
STOP = b"stop\n"  # asks a supervisor for the experiment's end


@dataclass(frozen=True)
class Request:
    """What a supervisor is asked to run; see `supervisor.py` for the meaning of each."""

    command: tuple[str, ...]
    cwd: str
    environment: Mapping[str, str]
    limits: Limits
    rlimits: Mapping[str, int]
    processors: Sequence[int] | None = None
    memory: int | None = None
    disk: Mapping[str, Any] | None = None
    confine: Mapping[str, Any] | None = None
    container: Mapping[str, Any] | None = None
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))

    def line(self) -> bytes:
        request = {
            "nonce": self.nonce,
            "command": self.command,
            "cwd": self.cwd,
            "environment": dict(self.environment),
            "seconds": self.limits.timeout,
            "output": self.limits.output,
            "rlimits": dict(self.rlimits),
            "processors": self.processors,
            "memory": self.memory,
            "disk": self.disk,
            "confine": self.confine,
            "container": self.container,
        }
        return json.dumps(request).encode() + b"\n"


class _Kept:
    """The head and the tail of a stream in bounded memory."""

    def __init__(self) -> None:
        self.head, self.tail, self.total = bytearray(), bytearray(), 0

    def add(self, data: bytes) -> None:
        self.total += len(data)
        room = KEPT - len(self.head)
        self.head += data[:room]
        self.tail += data[room:]
        del self.tail[: max(0, len(self.tail) - KEPT)]

    def text(self) -> str:
        cut = self.total - len(self.head) - len(self.tail)
        middle = f"\n[... {cut} bytes left out ...]\n".encode() if cut else b""
        return bytes(self.head + middle + self.tail).decode(errors="replace")


class Reply:
    """Collects the supervisor's frames as they come, in any pieces, in bounded memory.

    `archive` receives the tar stream of a container's $OUT; without it there is none. `follow` reads
    what the experiment prints; see `Job`.
    """

    def __init__(
        self, request: Request, archive: IO[bytes] | None = None, follow: Follow | None = None
    ) -> None:
        self.request, self.archive, self.follow = request, archive, follow
        self.status: dict[str, Any] | None = None
        self.begun = False  # whether anything has come at all
        self._stop: Stop | None = None  # once whoever reads along has said that it should end
        self._asked = False
        self._streams = {b"o": _Kept(), b"e": _Kept()}
        self._partial = bytearray()

    def feed(self, data: bytes) -> bool:
        """Take more bytes. False: stop reading and end the sandbox (too much, or not our protocol)."""
        self._partial += data
        self.begun = True
        while self.status is None and len(self._partial) >= HEADER:
            kind = bytes(self._partial[:1])
            (length,) = struct.unpack(">I", self._partial[1:HEADER])
            if kind not in (b"o", b"e", b"s", b"t") or length > LARGEST:
                return False
            if len(self._partial) < HEADER + length:
                break
            payload = bytes(self._partial[HEADER : HEADER + length])
            del self._partial[: HEADER + length]
            if not self._take(kind, payload):
                return False
        return self.status is None

    def wants_stop(self) -> bool:
        """Whether the supervisor has to be told now, once, to end the experiment."""
        first = self._stop is not None and not self._asked and self.status is None
        self._asked = self._asked or first
        return first

    def _take(self, kind: bytes, payload: bytes) -> bool:
        if kind == b"s":
            status = json.loads(payload)
            if status.get("nonce") == self.request.nonce:
                self.status = status
            return self.status is not None
        if kind == b"t":
            return self._keep(payload)
        self._streams[kind].add(payload)
        if kind == b"o" and self.follow and self._stop is None:
            self._stop = self.follow(payload)
        return sum(kept.total for kept in self._streams.values()) <= self.request.limits.output

    def _keep(self, payload: bytes) -> bool:
        if self.archive is None or self.archive.tell() > self.request.limits.disk + ROOM:
            return False
        return self.archive.write(payload) == len(payload)

    def execution(self, sandbox: str, seconds: float, lost: str = "") -> Execution:
        """What happened, measured `seconds` by the host; `lost` says what the host knows of a
        supervisor that sent no status. Raises SandboxError when the confinement was not applied."""
        status = self.status or {}
        if status.get("why") == "setup":
            raise SandboxError(
                f"{sandbox}: the experiment could not be confined: {status['detail']}"
            )
        ended, reason = self._explain()
        if not status:
            reason = f"the sandbox was lost: {lost or 'its supervisor sent no status'}"
        own = ended in (Ended.exited, Ended.signalled)
        seconds = status.get("seconds", seconds)
        return Execution(
            sandbox=sandbox,
            command=self.request.command,
            ended=ended,
            exit_code=status.get("exit_code") if own else None,
            signal=status.get("signal") if own else None,
            reason=reason,
            stdout=self._streams[b"o"].text(),
            stderr=self._streams[b"e"].text(),
            seconds=seconds,
            gpu_seconds=self.request.limits.gpus * seconds,
            cpu_seconds=status.get("cpu_seconds"),
            peak_memory=status.get("peak_memory"),
            left_behind=status.get("left_behind", 0),
        )

    def _explain(self) -> tuple[Ended, str]:
        status, limits = self.status or {"why": "lost"}, self.request.limits
        reasons = {
            "timeout": (Ended.timeout, f"killed: ran longer than {limits.timeout:g} s"),
            "memory": (Ended.memory, f"killed: more than {size(limits.memory)} of memory"),
            "output": (Ended.output, f"killed: more than {size(limits.output)} of output"),
            "disk": (Ended.disk, f"killed: {status.get('detail')} ({size(limits.disk)})"),
            "orphaned": (Ended.lost, "cancelled: the orchestrator let go"),
            "lost": (Ended.lost, ""),
            "stopped": (Ended.lost, "cancelled"),
        }
        if status["why"] == "stopped" and self._stop:
            return self._stop
        if status["why"] != "exited":
            return reasons[status["why"]]
        number = status["signal"]
        if number is None:
            return Ended.exited, f"exit code {status['exit_code']}"
        if number == signal.SIGXFSZ:
            return Ended.disk, f"killed: wrote a file larger than {size(limits.file)}"
        return Ended.signalled, f"killed by {_signal_name(number)}"


def with_files(execution: Execution, take: Callable[[], tuple[str, ...]]) -> Execution:
    """The execution with the files that `take` lets in; a success whose files are refused is none."""
    try:
        return execution.model_copy(update={"files": take()})
    except Refused as refused:
        if not execution.succeeded:
            return execution
        update = {"ended": Ended.refused, "exit_code": None, "reason": f"refused: {refused}"}
        return execution.model_copy(update=update)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def size(count: int) -> str:
    """4096 as "4.0 KiB"."""
    amount, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.1f} {unit}" if unit != "bytes" else f"{count} bytes"
