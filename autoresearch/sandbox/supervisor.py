"""The first process inside every sandbox: starts the experiment, bounds it, ends all of it, says how.

Run as `python3 -I -S <folder>/supervisor.py` with nothing but the standard library and its neighbours
`watch.py`, `confine.py` and `syscalls.py`: as PID 1 of the sandbox's pid namespace, or (without
namespaces) as the subreaper of everything the experiment starts.

In: one JSON line on standard input, then silence. Anything more asks for the experiment's end; end of
file means that the orchestrator let go or died: everything is killed.

    nonce        str, repeated in the status; the experiment has no way to see it
    command      list of str; the first word is looked up in the PATH of `environment`
    cwd          str
    environment  all variables of the experiment, nothing is inherited
    seconds      float, wall time
    output       int, bytes on stdout and stderr together
    rlimits      {"fsize": int, ...}, names as in `resource.RLIMIT_*` in lower case
    processors   list of the processors it may run on, or null for all
    memory       int or null, bytes of the whole tree (null: something else bounds it)
    disk         {"folders": [str], "bytes": int or null, "entries": int} or null, see `watch.Disk`
    confine      null, or what `confine.apply` takes, applied to the experiment only
    container    null, or in a container of its own {"out": str, "disk": int}, see `contained.py`

Out: frames on standard output: one byte of kind, four of length (big-endian), payload. The experiment
writes to pipes of its own and never holds the supervisor's descriptors, so it cannot make a frame.

    b"o" b"e"    what it wrote on stdout, on stderr
    b"t"         with `container`: a tar stream of what it left in $OUT
    b"s"         the last one: JSON status

    nonce, why ("exited", "timeout", "memory", "disk", "output", "stopped", "orphaned", "setup"), detail (str),
    exit_code, signal (int or null), seconds, cpu_seconds (float), peak_memory (int, bytes, null when
    not known), left_behind (processes still alive when the command itself had ended)

No status means that the supervisor was lost; that is never a success. A command that cannot be started
is exit code 127 with the reason on stderr; "setup" means that the confinement could not be applied.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import struct
import sys
import time

TYPE_CHECKING = False  # importing `typing` would be a tenth of the start
if TYPE_CHECKING:
    from typing import Any

CHUNK = 65536
GRACE = 0.2  # seconds in which helpers (resource trackers, pools) may end by themselves
DRAIN = 5.0  # seconds for the host to take what was written before the end


class Experiment:
    """The command, its two pipes, and what is known of its end."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.why: str | None = None
        self.detail = ""
        self.returned: int | None = None  # wait status of the command itself
        self.pending = bytearray()  # frames that the host has not taken yet
        self.written = 0
        self.peak = 0
        self.left_behind = 0
        self.started = self.ended = time.monotonic()
        self.wake = _wake_on_child()
        import watch  # type: ignore[import-not-found]

        self.watch: Any = watch
        self.contained: Any = None
        if request["container"] is not None:
            import contained  # type: ignore[import-not-found]

            self.contained = contained.Contained(**request["container"])
        self.checks = [self.watch.Check(*each) for each in self._limits()]
        self.pipes: dict[int, bytes] = {}
        self.process = self._start()

    def _limits(self) -> list[tuple[Any, ...]]:
        memory, disk = self.request["memory"], self.request["disk"]
        checks: list[tuple[Any, ...]] = []
        if memory is not None:
            self.memory = self.watch.Memory(memory)
            checks.append((0.05, self._check_memory))
        if disk is not None:
            measure = self.watch.Disk(disk["folders"], disk["bytes"], disk["entries"])
            checks.append((0.25, lambda: self._end_if("disk", measure.excess()), measure.urgent))
        if self.contained:
            checks.append((0.25, lambda: self._end_if("disk", self.contained.excess())))
            checks.append((0.25, lambda: self._end_if("memory", self.contained.out_of_memory())))
        return checks

    def _start(self) -> int:
        out, err, report = os.pipe(), os.pipe(), os.pipe()
        process = os.fork()
        if process == 0:
            import confine  # type: ignore[import-not-found]

            confine.become(self.request, out[1], err[1], report[1])
        for pipe, kind in ((out, b"o"), (err, b"e"), (report, b"r")):
            os.close(pipe[1])
            self.pipes[pipe[0]] = kind
        return process

    # --- while it runs ---

    def run(self) -> None:
        deadline = self.started + self.request["seconds"]
        while self.why is None and self.returned is None:
            soonest = min([deadline, *(check.glance for check in self.checks)])
            self._relay(max(0.0, soonest - time.monotonic()))
            self._reap()
            for check in self.checks:
                check.run_if_due()
            if time.monotonic() >= deadline:
                self._end("timeout")
        self.ended = time.monotonic()
        self._count_left_behind()
        self.watch.kill_everything(self._reap)
        for check in self.checks:
            check.run()  # a burst just before the end counts too
        if self.request["memory"] is not None and _largest_child() > self.memory.limit:
            self._end("memory")  # one of its processes had more for a moment

    def _relay(self, timeout: float) -> None:
        """Move output on. Nothing is read while the host has not taken what was read before."""
        sources = [] if self.pending else list(self.pipes)
        ready, free, _ = select.select(
            [0, self.wake, *sources], [1] if self.pending else [], [], timeout
        )
        try:
            if 0 in ready:
                self._end("stopped" if os.read(0, CHUNK) else "orphaned")
            if free:
                del self.pending[: os.write(1, self.pending[:CHUNK])]
        except BlockingIOError:
            pass
        except OSError:  # nobody reads any more
            self._end("orphaned")
        if self.wake in ready:
            os.read(self.wake, CHUNK)
        for source in sources:
            if source in ready:
                self._take(source)

    def _take(self, source: int) -> None:
        data, kind = os.read(source, CHUNK), self.pipes[source]
        if not data:
            os.close(source)
            del self.pipes[source]
        elif kind == b"r":
            self._not_started(json.loads(data))
        else:
            room = self.request["output"] - self.written
            self.written += len(data)
            self._frame(kind, data[: max(0, room)])
            if len(data) > room:
                self._end("output")

    def _not_started(self, report: dict[str, str]) -> None:
        if report["stage"] == "exec":
            self._frame(b"e", report["error"].encode())
        else:
            self._end("setup", report["error"])

    def _frame(self, kind: bytes, data: bytes) -> None:
        if data:
            self.pending += kind + struct.pack(">I", len(data)) + data

    def _reap(self) -> bool:
        """Collect what has ended. False when there is no child left."""
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if process == 0:
                return True
            if process == self.process:
                self.returned = status

    def _check_memory(self) -> None:
        used = self.memory.used()
        self.peak = max(self.peak, used)
        self._end_if("memory", "more memory than it may have" if used > self.memory.limit else "")

    def _end_if(self, why: str, detail: str) -> None:
        if detail:
            self._end(why, detail)

    def _end(self, why: str, detail: str = "") -> None:
        if self.why is None:
            self.why, self.detail = why, detail

    # --- at its end ---

    def _count_left_behind(self) -> None:
        if self.returned is None:
            return  # it was ended by a limit: everything in it was still running
        until = time.monotonic() + GRACE
        while (others := len(self.watch.alive())) and time.monotonic() < until:
            time.sleep(0.005)
            self._reap()
        self.left_behind = others

    def finish(self) -> None:
        """Hand over what is still in the pipes, then the status."""
        until = time.monotonic() + DRAIN
        if self.why == "output":
            self.pipes.clear()
        while (self.pipes or self.pending) and self._may_go_on(until):
            self._relay(0.1)
        for each in self.pipes:
            os.close(each)
        self.pipes.clear()
        if self.contained and self.why in (None, "timeout", "memory"):
            for data in self.contained.archive():
                self._frame(b"t", data)
                while self.pending and self.why != "orphaned":
                    self._relay(0.1)
        until = time.monotonic() + DRAIN
        self._frame(b"s", json.dumps(self._status()).encode())
        while self.pending and self._may_go_on(until):
            self._relay(0.1)

    def _may_go_on(self, until: float) -> bool:
        return self.why != "orphaned" and time.monotonic() < until

    def _status(self) -> dict[str, Any]:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        status = self.returned if self.why is None else None
        exited = status is not None and os.WIFEXITED(status)
        signalled = status is not None and os.WIFSIGNALED(status)
        return {
            "nonce": self.request["nonce"],
            "why": self.why or "exited",
            "detail": self.detail,
            "exit_code": os.WEXITSTATUS(status) if exited and status is not None else None,
            "signal": os.WTERMSIG(status) if signalled and status is not None else None,
            "seconds": self.ended - self.started,
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "peak_memory": max(self.peak, _largest_child()),
            "left_behind": self.left_behind,
        }


def _largest_child() -> int:
    """Bytes that any process which has ended had in memory at its peak."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def _wake_on_child() -> int:
    """A descriptor that becomes readable when a child has ended."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    return reading


def _protect() -> None:
    """Nobody but root may look into this process, and its orphans come to it."""
    import confine

    set_dumpable, set_child_subreaper = 4, 36
    confine.process_control(set_dumpable, 0)
    confine.process_control(set_child_subreaper, 1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _read_request() -> dict[str, Any]:
    line = bytearray()
    while not line.endswith(b"\n"):
        data = os.read(0, CHUNK)
        if not data:
            sys.exit("supervisor: no request came")
        line += data
    request: dict[str, Any] = json.loads(line)
    return request


def main() -> None:
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    sys.dont_write_bytecode = True
    _protect()
    os.set_blocking(1, False)
    experiment = Experiment(_read_request())
    experiment.run()
    experiment.finish()


if __name__ == "__main__":
    main()
