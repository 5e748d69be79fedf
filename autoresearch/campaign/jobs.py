"""One job of a night: a run that is resumed or started, or a claim that is verified.

The work is done by `autoresearch resume` and `reproduce` in a process of its own, on a leash: when the
night is killed, all of it ends. Nothing is lost by that, since a run is resumed from its directory.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoresearch import leash
from autoresearch.assembly import start
from autoresearch.campaign.matrix import Entry, settings_of
from autoresearch.campaign.nights import Account, Ended, Job, Nights, State, now
from autoresearch.campaign.purse import Purse, kinds_of
from autoresearch.errors import AutoresearchError, BudgetEnded
from autoresearch.redaction import redactor
from autoresearch.store import Run, cannot_write

POLL = 0.2  # seconds
CUT = "its time was over; it goes on where it stopped"


@dataclass
class Clock:
    """When the night has to end: told by a signal, or at `deadline` (of `time.monotonic`)."""

    stop: threading.Event
    deadline: float | None = None

    def is_over(self) -> bool:
        late = self.deadline is not None and time.monotonic() >= self.deadline
        return late or self.stop.is_set()


@dataclass(frozen=True)
class Worker:
    """What does the jobs of a night."""

    nights: Nights
    purse: Purse
    clock: Clock
    logs: Path
    say: Callable[[str], None]

    def work(self, job: Job, sharers: Callable[[], int], tries: int) -> Ended:
        """Do the job. What goes wrong is part of the record: it ends nothing but this job."""
        entry, began = self.nights.campaign.entry(job.entry), now()
        run, code = None, None
        try:
            if entry is None:
                raise AutoresearchError("no longer an entry of the campaign's file")
            run = self._run(job, entry)
            kinds = kinds_of(run, asks_model=job.kind != "verify")
            self.purse.give(run, entry, kinds, sharers())
            try:
                code, said = self._child(job, run)
            finally:
                self.purse.take_back(run)
            state, reason = _outcome(job, code, said)
        except BudgetEnded as error:
            state, reason = "budget", str(error)
        except AutoresearchError as error:
            state, reason = "failed", _line(str(error))
        except OSError as error:  # its log
            state, reason = "failed", _line(str(cannot_write(self.logs, error)))
        account = self.nights.account(run) if run else Account()
        return Ended(
            job=job, run=run.folder.name if run else None, state=state, reason=reason, exit_code=code,
            began=began, ended=now(), tries=tries, **dict(account),
        )  # fmt: skip

    def _run(self, job: Job, entry: Entry) -> Run:
        """The job's run, made first where it is a new one."""
        if job.run is not None:
            return Run(self.nights.runs_folder / job.run)
        campaign = self.nights.campaign
        settings = settings_of(campaign, entry)
        earlier = self.nights.runs_of(entry.key)
        return start(settings, earlier=earlier, carry=campaign.carry, entry=entry.key)

    def _child(self, job: Job, run: Run) -> tuple[int | None, str]:
        """The exit code (None: it was ended by the clock), and what was said last on standard error, or
        the JSON of a verification."""
        arguments = ["resume", str(run.folder)]
        if job.kind == "verify":
            seeds = self.nights.campaign.verify.seeds
            arguments = ["reproduce", str(run.folder), str(job.idea), "--json"]
            arguments += ["--seeds", str(seeds)] if seeds else []
        files = [self.logs / f"{job.name}.{end}" for end in ("out", "err")]
        code = _on_a_leash(arguments, files, self.clock)
        texts = [path.read_text(errors="replace") for path in files]
        for path in files:
            path.unlink()
        log = self.logs / f"{job.name}.log"
        log.write_text(redactor(run.folder)("".join(texts)))
        return code, texts[0] if job.kind == "verify" else texts[1]


def _on_a_leash(arguments: Sequence[str], files: Sequence[Path], clock: Clock) -> int | None:
    """Run the product's own command; its exit code, None where the clock ended it."""
    ours, lifeline = os.pipe()
    command = [
        sys.executable, "-I", "-S", str(leash.__file__), str(ours),
        sys.executable, "-m", "autoresearch", *arguments,
    ]  # fmt: skip
    with files[0].open("wb") as out, files[1].open("wb") as err:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, pass_fds=(ours,),
            start_new_session=True,
        )  # fmt: skip
    os.close(ours)
    cut = False
    try:
        while process.poll() is None:
            if clock.is_over():
                cut = True
                break
            time.sleep(POLL)
    finally:
        os.close(lifeline)  # lets go of it, and of all that it has started
        code = process.wait()
    return None if cut else code


def _outcome(job: Job, code: int | None, said: str) -> tuple[State, str]:
    if code is None:
        return "cut off", CUT
    if job.kind == "verify":
        return _verified(code, said)
    if code == 0:
        return "done", "finished"
    told = [line for line in said.splitlines() if line.startswith("error: ")]
    reason = _line(told[-1].removeprefix("error: ") if told else f"ended with exit code {code}")
    return ("budget" if code == BudgetEnded.exit_code else "failed"), reason


def _verified(code: int, said: str) -> tuple[State, str]:
    try:
        found: Any = json.loads(said)
        holds, reason = found["holds"], _line(str(found["reason"]))
    except (ValueError, KeyError, TypeError):
        state: State = "budget" if code == BudgetEnded.exit_code else "failed"
        return state, f"ended with exit code {code}"
    if holds is None and reason.startswith("not run"):
        return "drifted", reason
    answer = {True: "holds", False: "does not hold"}.get(holds, "undecided")
    return ("refuted" if holds is False else "done"), f"{answer}: {reason}"


def _line(text: str) -> str:
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:600]
