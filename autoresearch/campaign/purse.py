"""What a night may still spend: the campaign's, the night's and the entry's budgets at once.

The books are the runs' own ledgers; nothing is counted twice. A run is given a share of what is left
as its own budget, which its ledger holds to, so that no sum of parallel runs goes beyond a budget.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from autoresearch.budgets import Budget
from autoresearch.campaign.matrix import Campaign, Entry
from autoresearch.campaign.nights import Costs, Nights, costs_of, less, sum_of
from autoresearch.config import load_task
from autoresearch.errors import BudgetEnded
from autoresearch.store import Run, write
from autoresearch.walls import needs_provider

KINDS = ("nanodollars", "tokens", "gpu_seconds", "wall_seconds")


@dataclass
class Purse:
    """`before` is what the campaign had spent when the night began. Wall time is the runs' own, added up,
    but for the night's: that is what the clock says."""

    nights: Nights
    before: Costs
    deadline: float | None = None  # of `time.monotonic`
    lock: threading.Lock = field(default_factory=threading.Lock)
    given: dict[str, Budget] = field(default_factory=dict)  # run -> what it may still spend now
    at_start: dict[str, Costs] = field(default_factory=dict)  # run -> its books when that was given

    @property
    def campaign(self) -> Campaign:
        return self.nights.campaign

    def left(self, entry: Entry) -> Budget:
        """What may still be promised to a run of the entry."""
        runs = self.nights.runs()
        whole = sum_of([costs_of(run) for run in runs])
        own = sum_of([costs_of(run) for run in runs if run.manifest.get("entry") == entry.key])
        budgets = self.campaign.budget
        night = Budget.parse(budgets.night).model_copy(update={"wall_seconds": None})
        scopes = [
            (Budget.parse(budgets.campaign), whole, self._promised(None)),
            (night, less(whole, self.before), self._promised(None)),
            (Budget.parse(entry.budget or budgets.topic), own, self._promised(entry.key)),
        ]
        caps: dict[str, float | int | None] = {}
        for kind in KINDS:
            rooms = [
                max(cap - amount(spent, kind) - promised.get(kind, 0), 0)
                for budget, spent, promised in scopes
                if (cap := getattr(budget, kind)) is not None
            ]
            caps[kind] = min(rooms) if rooms else None
        return Budget.model_validate(caps)

    def give(self, run: Run, entry: Entry, kinds: Iterable[str], sharers: int) -> Budget:
        """A share of what is left as the run's budget, on disk before the run goes on, and what is returned.
        `kinds` is what it can spend at all; of the rest nothing is set aside. `sharers` is how many,
        with this one, have or want a share now. The run's own budget holds too.

        Raises BudgetEnded where nothing is left of something that it needs."""
        with self.lock:
            left, spent, own = self.left(entry), costs_of(run), Budget.parse(run.settings.budget)
            share, whole, others = {}, {}, max(sharers - len(self.given), 1)
            for kind in kinds:
                room, cap = getattr(left, kind), getattr(own, kind)
                if room is not None and room <= 0:
                    said = kind.replace("nanodollars", "dollars").replace("_", " ")
                    raise BudgetEnded(f"no {said} left in a budget of the campaign, night or topic")
                part = None if room is None else _part(kind, room, others)
                rest = None if cap is None else max(cap - amount(spent, kind), 0)
                parts = [each for each in (part, rest, self._time(kind)) if each is not None]
                share[kind] = min(parts) if parts else None
                whole[kind] = None if not parts else amount(spent, kind) + min(parts)
            budget = Budget.model_validate(whole)
            write(run.folder / "budget.json", budget.model_dump_json(indent=1))
            given = Budget.model_validate(share)
            self.given[run.folder.name], self.at_start[run.folder.name] = given, spent
            return given

    def _time(self, kind: str) -> float | None:
        """What the clock leaves of the night; it passes for all at once, so it is not shared."""
        if kind != "wall_seconds" or self.deadline is None:
            return None
        return max(self.deadline - time.monotonic(), 0.0)

    def take_back(self, run: Run) -> None:
        """The run has stopped: what it has left of its share is free again."""
        with self.lock:
            self.given.pop(run.folder.name, None)

    def _promised(self, entry: str | None) -> dict[str, float]:
        """What runs that are going on may still spend: their shares less what their books have grown by."""
        promised: dict[str, float] = {}
        for run in self.nights.runs():
            share = self.given.get(run.folder.name)
            if share is None or (entry and run.manifest.get("entry") != entry):
                continue
            grown = less(costs_of(run), self.at_start[run.folder.name])
            for kind in KINDS:
                room = (getattr(share, kind) or 0) - amount(grown, kind)
                promised[kind] = promised.get(kind, 0) + max(room, 0)
        return promised


def amount(costs: Costs, kind: str) -> float:
    return costs.tokens if kind == "tokens" else float(getattr(costs, kind))


def kinds_of(run: Run, asks_model: bool) -> list[str]:
    """What the run can spend at all."""
    model, gpus = run.settings.model.name, load_task(run.task_folder).limits.gpus
    paid = asks_model and needs_provider(model)
    wanted = {"nanodollars": paid, "tokens": paid, "gpu_seconds": gpus > 0, "wall_seconds": True}
    return [kind for kind in KINDS if wanted[kind]]


def _part(kind: str, room: float, sharers: int) -> float:
    part = room / max(sharers, 1)
    return int(part) if kind in ("nanodollars", "tokens") else part
