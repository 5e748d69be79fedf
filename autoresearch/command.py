"""A program of the user's as a model: `command:claude -p` reads the prompt on standard input and
writes the answer on standard output.

For people with a subscription to a coding agent instead of a key. What to know about it:

* It is trusted as the user's own program: it runs on this machine, in no sandbox, with the user's
  rights and environment. Prompts quote papers and experiment output, so an agent should have no tools,
  or ask before it uses them.
* It runs in an empty temporary folder, so paths among its arguments must be absolute. No shell reads
  the line: no variables, pipes or wildcards.
* No prices are known (`dollars` is None): only budgets of calls, tokens and time bind. Tokens are
  estimated, at four characters each; what an agent does beside its answer is not counted.
* It is not tried again, its temperature, effort and output limit are its own, and a `model.timeout`
  suits it that lets it work.
"""

import os
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.config import ModelSettings
from autoresearch.errors import BadInput, ModelError, Outage
from autoresearch.faults import scrub, without_secrets
from autoresearch.llm import Answer, Request, readable
from autoresearch.metering import Meter

PREFIX = "command:"
LARGEST = 4 * 2**20  # bytes of an answer
TAIL = 8192  # bytes kept of what it says on standard error
MARGIN = 15.0  # seconds for a killed tree of processes to go


def find_program(name: str) -> tuple[str, ...]:
    """The program's path and its arguments. Raises BadInput naming the program that is not there."""
    try:
        program, *arguments = shlex.split(name.removeprefix(PREFIX))
    except ValueError:
        raise BadInput(f"{name!r}: write {PREFIX}PROGRAM ARGUMENTS, quoted as in a shell") from None
    path = shutil.which(program)
    if path is None:
        raise BadInput(
            f"{name!r}: there is no program {program!r} here; install it or give its whole path"
        )
    return os.path.abspath(path), *arguments


class Command:
    """The model that such a program is. Safe to call from several threads: each call is a process.

    Raises Outage when `settings.timeout` is over, ModelError when the program fails or says more than
    an answer may be. When a call ends, or this process does in whatever way, so does every process
    that the program has started.
    """

    def __init__(self, settings: ModelSettings, meter: Meter | None = None) -> None:
        self._settings, self._meter = settings, meter
        self._program = find_program(settings.name)

    def answer(self, request: Request) -> Answer:
        if self._meter is None:
            return self._ask(request)
        settings = self._settings
        with self._meter.call(request, settings.max_output, settings.timeout + MARGIN) as charge:
            return charge.settle(self._ask(request))

    def _ask(self, request: Request) -> Answer:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(
            prefix="autoresearch-", ignore_cleanup_errors=True
        ) as folder:
            ran = _run(self._program, readable(request.text), Path(folder), self._settings.timeout)
        name = scrub(self._settings.name)
        if ran.ended == "timeout":
            limit = f"{self._settings.timeout:g} s"
            raise Outage(f"{name}: no answer within {limit}; raise model.timeout, then resume")
        if ran.ended == "output":
            raise ModelError(f"{name}: more than {LARGEST} bytes of answer; it must say less")
        if ran.code != 0:
            raise ModelError(
                f"{name}: exit code {ran.code} ({ran.complaint}); "
                "run it by hand to see what it needs, then resume"
            )
        # The program sees the user's environment; what it says goes into the run's files.
        text = without_secrets(bytes(ran.out).decode(errors="replace"))
        return Answer(
            text=text,
            model=name,
            tokens_in=-(-len(request.text) // 4),
            tokens_out=-(-len(text) // 4),
            dollars=None,
            seconds=time.monotonic() - started,
        )


@dataclass
class _Run:
    """What came of one run; `ended` is "exited", "timeout" or "output"."""

    ended: str = "exited"
    code: int = 0
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)

    @property
    def complaint(self) -> str:
        """Its last line that says something."""
        lines = (self.out[-TAIL:] + b"\n" + self.err).decode(errors="replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return f"{scrub(last):.240}"


def _run(program: tuple[str, ...], prompt: str, folder: Path, seconds: float) -> _Run:
    leash = [sys.executable, "-I", "-S", str(Path(__file__).with_name("leash.py"))]
    reading, lifeline = os.pipe()
    with tempfile.TemporaryFile() as question:
        question.write(prompt.encode())
        question.seek(0)
        try:
            process = subprocess.Popen(
                [*leash, str(reading), *program],
                stdin=question,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                env={**os.environ, "PWD": str(folder)},
                pass_fds=(reading,),
                start_new_session=True,  # an interrupt from the keyboard is for this process alone
            )
        except OSError:
            os.close(lifeline)
            raise
        finally:
            os.close(reading)
    ran = _Run()
    try:
        _read(process, ran, time.monotonic() + seconds)
    finally:
        os.close(lifeline)
        _end(process, ran)
    return ran


def _read(process: subprocess.Popen[bytes], ran: _Run, deadline: float) -> None:
    """Take what it says until all of it has ended, it is too much, or the time is over."""
    assert process.stdout is not None and process.stderr is not None
    kept = {process.stdout.fileno(): ran.out, process.stderr.fileno(): ran.err}
    while kept:
        left = deadline - time.monotonic()
        ready = select.select(list(kept), [], [], left)[0] if left > 0 else []
        if not ready:
            ran.ended = "timeout"
            return
        for source in ready:
            data = os.read(source, 2**16)
            kept[source].extend(data)
            if not data:
                del kept[source]
        if len(ran.out) > LARGEST:
            ran.ended = "output"
            return
        del ran.err[:-TAIL]


def _end(process: subprocess.Popen[bytes], ran: _Run) -> None:
    """See it end: letting go of its lifeline has killed what was left."""
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    try:
        ran.code = process.wait(MARGIN)
    except subprocess.TimeoutExpired:
        process.kill()
        ran.code = process.wait()
