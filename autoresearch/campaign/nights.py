"""A campaign's directory: all of its nights, and the runs of all of its entries.

nightly/lock                           held while a night runs
nightly/runs/2026-11-28-digits-7f3a/   runs as everywhere; run.toml names the entry of each
nightly/nights/003/campaign.toml       as the file was that night
nightly/nights/003/plan.json           what it set out to do
nightly/nights/003/0000-resume-….json    what came of each job
nightly/nights/003/night.json          written last: how it ended
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal

from autoresearch.campaign.matrix import Campaign
from autoresearch.errors import BadInput, RunLocked
from autoresearch.ledger import Amounts
from autoresearch.records import Record
from autoresearch.spending import totals_of
from autoresearch.store import Run, list_runs, read, write

Kind = Literal["resume", "verify", "start"]
State = Literal["done", "failed", "budget", "cut off", "refuted", "drifted"]


class Costs(Amounts):
    """What a job took, or is expected to take."""

    wall_seconds: float = 0.0


class Job(Record):
    """One thing that a night sets out to do. `run` is None for a run that is not there yet, `idea` the
    claim to verify. `estimate` is None without a history to tell it from, `basis` says which."""

    kind: Kind
    entry: str
    run: str | None = None
    idea: str | None = None
    why: str
    estimate: Costs | None = None
    basis: str = "no history: only the budgets bound it"

    @property
    def name(self) -> str:
        return "-".join(part for part in (self.kind, self.entry, self.idea) if part)[:120]


class Skipped(Record):
    """An entry that a night does nothing for, and why."""

    entry: str
    why: str


class Plan(Record):
    """`books`: what the whole campaign had spent when it was made."""

    jobs: tuple[Job, ...]
    skipped: tuple[Skipped, ...] = ()
    books: Costs = Costs()
    made: str = ""  # UTC


class Ended(Record):
    """What came of a job. `refuted`: a claim that was verified did not hold; `drifted`: it could
    not be, since its environment or data are not here as they were. `spent` is all of the run's
    books that no earlier job accounts for, `learnt` the trials whose lessons none of these added, so that
    jobs add up to the books also after a kill; `began` and `ended` are in UTC."""

    job: Job
    run: str | None
    state: State
    reason: str  # one line
    exit_code: int | None
    spent: Costs
    began: str
    ended: str
    tries: int = 1
    learnt: tuple[str, ...] = ()
    claimed: bool = False  # the run was finished by it: its claims are of this night


class Account(Record):
    spent: Costs = Costs()
    learnt: tuple[str, ...] = ()
    claimed: bool = False


class Night(Record):
    """How a night ended. `before` and `after` are the books of the whole campaign."""

    number: int
    began: str
    ended: str
    state: Literal["done", "failed", "budget", "cut off"]
    reason: str
    before: Costs
    after: Costs
    exit_code: int


class Nights:
    """The directory of a campaign. Reading it changes nothing."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign, self.folder = campaign, campaign.folder
        self.runs_folder = self.folder / "runs"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the campaign for this process. Raises RunLocked naming the process that has it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / "lock").open("a+")
        except OSError as error:
            raise BadInput(f"cannot write {self.folder}: {error.strerror}; mend that") from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "a process"
                raise RunLocked(
                    f"{self.folder} is being worked on by {holder}; wait for it"
                ) from None
            file.truncate(0)
            file.write(f"process {os.getpid()}, since {now()}\n")
            file.flush()
            yield

    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        return [Run(folder) for folder in list_runs(self.runs_folder)]

    def runs_of(self, entry: str) -> list[Run]:
        return [run for run in self.runs() if run.manifest.get("entry") == entry]

    def numbers(self) -> list[int]:
        """Of all nights that began, oldest first."""
        folders = (self.folder / "nights").glob("[0-9]*/plan.json")
        return sorted(int(path.parent.name) for path in folders)

    def night_folder(self, number: int) -> Path:
        return self.folder / "nights" / f"{number:03}"

    def begin(self, plan: Plan) -> int:
        """A new night's number; its folder holds the plan and the campaign's file as they are."""
        number = max(self.numbers(), default=-1) + 1
        folder = self.night_folder(number)
        write(folder / "campaign.toml", self.campaign.text)
        write(folder / "plan.json", plan.model_dump_json(indent=1))
        return number

    def began(self, number: int) -> str:
        return self.plan(number).made

    def plan(self, number: int) -> Plan:
        return read(self.night_folder(number) / "plan.json", Plan)

    def keep(self, number: int, place: int, ended: Ended) -> None:
        """Write down what came of the job at that place of the plan."""
        path = self.night_folder(number) / f"{place:04}-{ended.job.name}-{ended.tries}.json"
        write(path, ended.model_dump_json(indent=1))

    def ended(self, number: int) -> list[Ended]:
        """What came of the night's jobs, in their order, as far as they ended."""
        paths = sorted(self.night_folder(number).glob("[0-9]*-*.json"))
        return [_ended(path, path.stat().st_mtime_ns) for path in paths]

    def last_tries(self, number: int) -> list[Ended]:
        """The same, of a job that was tried more than once only how it ended."""
        paths = sorted(self.night_folder(number).glob("[0-9]*-*.json"))
        last = {path.name.split("-")[0]: path for path in paths}
        return [_ended(path, path.stat().st_mtime_ns) for path in last.values()]

    def night(self, number: int) -> Night | None:
        """None while it is going on, or where it was killed."""
        path = self.night_folder(number) / "night.json"
        return read(path, Night) if path.is_file() else None

    def close(self, night: Night) -> None:
        path = self.night_folder(night.number) / "night.json"
        write(path, night.model_dump_json(indent=1))

    def books(self) -> Costs:
        """What all runs have spent until now."""
        return sum_of([costs_of(run) for run in self.runs()])

    def account(self, run: Run) -> Account:
        """What is on the run's books and in its lessons that no job of the history accounts for."""
        mine = [each for each in self.history() if each.run == run.folder.name]
        lessons = run.folder.glob("round-*/*/feedback.json")
        names = {str(path.parent.relative_to(run.folder)) for path in lessons}
        told = {name for each in mine for name in each.learnt}
        finished = (run.folder / "claims.json").is_file()
        return Account(
            spent=less(costs_of(run), sum_of([each.spent for each in mine])),
            learnt=tuple(sorted(names - told)),
            claimed=finished and not any(each.claimed for each in mine),
        )

    def history(self) -> list[Ended]:
        """What came of all jobs of all nights."""
        return [each for number in self.numbers() for each in self.ended(number)]


@lru_cache(maxsize=20_000)
def _ended(path: Path, _changed: int) -> Ended:
    return read(path, Ended)


def costs_of(run: Run) -> Costs:
    """The books of a run: what its ledger says, with what is unsettled at its worst case."""
    path = run.folder / "ledger.jsonl"
    if not path.exists():
        return Costs()
    found = path.stat()
    return _costs(run.folder, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=20_000)
def _costs(folder: Path, _changed: int, _size: int) -> Costs:
    totals = totals_of(Run(folder))
    amounts = {name: getattr(totals.overall, name) for name in Amounts.model_fields}
    return Costs(**amounts, wall_seconds=totals.wall_seconds)


def sum_of(costs: list[Costs]) -> Costs:
    return sum(costs, Costs())


def less(after: Costs, before: Costs) -> Costs:
    """What was spent in between."""
    names = Costs.model_fields
    return Costs(**{name: max(getattr(after, name) - getattr(before, name), 0) for name in names})


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
