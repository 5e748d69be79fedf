"""Keeps a command on a leash: when it ends, or whoever started this lets go or dies, all of it ends.

Run as `python3 -I -S <folder>/leash.py LIFELINE COMMAND...` with nothing but the standard library and
two neighbours. LIFELINE is the number of a descriptor: end of file there means that the other side let
go. Standard input, output and error are the command's; so is the exit code, 128 and more for a signal.
Processes that leave the command's session are found all the same: they are orphaned to this one.
"""

from __future__ import annotations

import os
import select
import signal
import sys

DEATH_SIGNAL, CHILD_SUBREAPER = 1, 36
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "sandbox"))
    sys.dont_write_bytecode = True
    import confine  # type: ignore[import-not-found]
    import watch  # type: ignore[import-not-found]

    lifeline = int(sys.argv[1])
    confine.process_control(CHILD_SUBREAPER, 1)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    process = os.fork()
    if process == 0:
        try:
            os.close(lifeline)
            os.setsid()
            confine.process_control(DEATH_SIGNAL, signal.SIGKILL)  # when this process is lost
            _become(sys.argv[2:])
        finally:
            os._exit(127)
    select.select([lifeline, os.pidfd_open(process)], [], [])
    reaper = Reaper(process)
    watch.kill_everything(reaper.reap)
    code = os.waitstatus_to_exitcode(reaper.status)
    os._exit(code if code >= 0 else 128 - code)


def _become(command: list[str]) -> None:
    for number in (*IGNORED, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"cannot run {command[0]}: {error.strerror}\n".encode())


class Reaper:
    """Collects what has ended, and keeps the wait status of one process."""

    def __init__(self, process: int) -> None:
        self.process, self.status = process, 0

    def reap(self) -> bool:
        """False when there is no child left."""
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if ended == 0:
                return True
            if ended == self.process:
                self.status = status


if __name__ == "__main__":
    main()
