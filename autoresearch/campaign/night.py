"""One night: the plan's jobs, a few at a time, within the budgets, until they are done or its time ends."""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from autoresearch.budgets import Budget
from autoresearch.campaign.jobs import CUT, Clock, Worker
from autoresearch.campaign.matrix import Campaign
from autoresearch.campaign.nights import Account, Costs, Ended, Job, Night, Nights, now
from autoresearch.campaign.planning import plan_night
from autoresearch.campaign.purse import Purse

FAIL_ON = {"failed": 1, "budget": 3, "claims": 4}  # what may make a night's exit code, and which


@dataclass
class Queue:
    """Jobs and how often they were tried. Two jobs of one entry never run at the same time."""

    jobs: deque[tuple[int, Job, int]]
    busy: set[str] = field(default_factory=set)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self) -> tuple[int, Job, int] | None:
        """The first that may run now; waits for one. None where nothing is left to wait for."""
        with self.changed:
            while True:
                ready = [each for each in self.jobs if each[1].entry not in self.busy]
                if ready:
                    self.jobs.remove(ready[0])
                    self.busy.add(ready[0][1].entry)
                    return ready[0]
                if not self.busy:
                    return None
                self.changed.wait()

    def done(self, job: Job, again: tuple[int, Job, int] | None) -> None:
        with self.changed:
            self.busy.discard(job.entry)
            if again is not None:
                self.jobs.append(again)
            self.changed.notify_all()

    def sharers(self, parallel: int) -> int:
        """How many jobs have or want a share of what is left at the same time."""
        with self.changed:
            waiting = {job.entry for _, job, _ in self.jobs} - self.busy
            return min(parallel, len(self.busy) + len(waiting))


def run_night(campaign: Campaign, say: Callable[[str], None], fail_on: frozenset[str]) -> Night:
    """Do what is planned for this night and write down how it ended."""
    nights = Nights(campaign)
    with nights.locked():
        _close_killed(nights)
        before = nights.books()
        number, began = nights.begin(plan_night(nights)), now()
        clock = Clock(threading.Event(), _deadline(campaign))
        purse = Purse(nights, before, clock.deadline)
        worker = Worker(nights, purse, clock, nights.night_folder(number), say)
        with _until_told(clock):
            _work_off(nights, number, worker)
        night = _closed(nights, number, began, before, clock, fail_on)
        nights.close(night)
    return night


def _close_killed(nights: Nights) -> None:
    """A night that was killed wrote nothing of the jobs that it was at: their runs know."""
    number = max(nights.numbers(), default=None)
    if number is None or nights.night(number) is not None:
        return
    plan, at = nights.plan(number), now()
    jobs = {job.entry: (place, job) for place, job in enumerate(plan.jobs)}
    for run in nights.runs():
        account = nights.account(run)
        if account == Account():
            continue
        entry = str(run.manifest.get("entry"))
        other = Job(kind="resume", entry=entry, why="of an earlier form of the campaign's file")
        place, job = jobs.get(entry, (len(plan.jobs), other))
        ended = Ended(
            job=job, run=run.folder.name, state="cut off", reason="the night was killed", exit_code=None,
            began=at, ended=at, **dict(account),
        )  # fmt: skip
        nights.keep(number, place, ended)
    night = Night(
        number=number, began=nights.began(number), ended=at, state="cut off", reason="it was killed",
        before=plan.books, after=nights.books(), exit_code=137,
    )  # fmt: skip
    nights.close(night)


def _deadline(campaign: Campaign) -> float | None:
    seconds = Budget.parse(campaign.budget.night).wall_seconds
    return None if seconds is None else time.monotonic() + seconds


@contextmanager
def _until_told(clock: Clock) -> Iterator[None]:
    """SIGTERM and SIGINT end the night in order: its jobs are let go and its report is written."""
    kept = {
        number: signal.signal(number, lambda *_: clock.stop.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _work_off(nights: Nights, number: int, worker: Worker) -> None:
    """All jobs of the plan, `parallel` at a time; what fails or runs out of its share is tried again at
    the end, when others may have left something over."""
    plan, table = nights.plan(number), nights.campaign.campaign
    queue = Queue(deque((place, job, 1) for place, job in enumerate(plan.jobs)))

    def work() -> None:
        while (taken := queue.take()) is not None:
            place, job, tries = taken
            again, told = None, False
            try:
                ended = _one(worker, job, partial(queue.sharers, table.parallel), tries)
                nights.keep(number, place, ended)
                worker.say(describe(ended))
                told = True
                if ended.state in ("failed", "budget") and tries <= table.retries:
                    # A run that was started meanwhile is gone on with.
                    again = (place, job.model_copy(update={"run": ended.run}), tries + 1)
            finally:
                if not told:
                    worker.clock.stop.set()  # the others end too, and then what went wrong is raised
                queue.done(job, again)

    with ThreadPoolExecutor(table.parallel) as pool:
        for future in [pool.submit(work) for _ in range(table.parallel)]:
            future.result()


def _one(worker: Worker, job: Job, sharers: Callable[[], int], tries: int) -> Ended:
    if worker.clock.is_over():
        at = now()
        return Ended(job=job, run=job.run, state="cut off", reason=f"not begun: {CUT}", exit_code=None,
                     spent=Costs(), began=at, ended=at, tries=tries)  # fmt: skip
    worker.say(f"{job.kind} {job.entry}{f' {job.idea}' if job.idea else ''}: {job.why}")
    return worker.work(job, sharers, tries)


def describe(ended: Ended) -> str:
    """One line of a night's log."""
    job, spent = ended.job, ended.spent
    what = f"{job.kind} {job.entry}{f' {job.idea}' if job.idea else ''}"
    return (
        f"{what}: {ended.state}: {ended.reason} (${spent.dollars:.4f}, {spent.wall_seconds:.0f} s)"
    )


def _closed(
    nights: Nights, number: int, began: str, before: Costs, clock: Clock, fail_on: frozenset[str]
) -> Night:
    """How the night ended, from what is on disk."""
    ended, after = nights.last_tries(number), nights.books()
    states = [each.state for each in ended]
    codes = {
        "claims": "refuted" in states or "drifted" in states,
        "budget": "budget" in states or "cut off" in states,
        "failed": "failed" in states,
    }
    code = next((FAIL_ON[name] for name, hit in codes.items() if hit and name in fail_on), 0)
    said = {state: states.count(state) for state in dict.fromkeys(states)}
    reason = (
        ", ".join(f"{count} {state}" for state, count in said.items()) or "nothing was to be done"
    )
    if "failed" in states:
        state = "failed"
    elif clock.is_over() or "cut off" in states:
        state = "cut off"
    else:
        state = "budget" if "budget" in states else "done"
    return Night(
        number=number, began=began, ended=now(), state=state, reason=reason, before=before, after=after,
        exit_code=code,
    )  # fmt: skip
