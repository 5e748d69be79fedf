"""What a night sets out to do, and what that is likely to take, told from what earlier nights took.

First what was not finished, then claims whose reproduction is due, then new runs; each of these in the
order of the entries' priorities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from autoresearch.budgets import Budget
from autoresearch.campaign.matrix import Campaign, Entry
from autoresearch.campaign.nights import (
    Costs,
    Ended,
    Job,
    Nights,
    Plan,
    Skipped,
    costs_of,
    less,
    now,
    sum_of,
)
from autoresearch.campaign.purse import KINDS, amount
from autoresearch.records import Claim, Claims
from autoresearch.store import Run, read

RECENT = 5  # finished runs that an estimate is the mean of


@dataclass
class Past:
    """All that earlier nights did, read once."""

    nights: Nights
    runs: dict[str, list[Run]] = field(default_factory=dict)  # by entry, oldest first

    def __post_init__(self) -> None:
        for run in self.nights.runs():
            self.runs.setdefault(str(run.manifest.get("entry")), []).append(run)

    @property
    def campaign(self) -> Campaign:
        return self.nights.campaign

    @cached_property
    def verified(self) -> dict[tuple[str, str], tuple[int, Ended]]:
        """The last verification of each claim (run and idea) that came to an answer, and its night."""
        return {
            (str(each.run), str(each.job.idea)): (number, each)
            for number in self.nights.numbers()
            for each in self.nights.ended(number)
            if each.job.kind == "verify" and each.state in ("done", "refuted")
        }

    @cached_property
    def verifications(self) -> dict[str, list[Costs]]:
        """What verifications took that came to an answer, by entry."""
        took: dict[str, list[Costs]] = {}
        for each in self.nights.history():
            if each.job.kind == "verify" and each.state != "failed":
                took.setdefault(each.job.entry, []).append(each.spent)
        return took

    def of(self, entry: Entry) -> list[Run]:
        return self.runs.get(entry.key, [])

    def finished(self, entry: Entry) -> list[Run]:
        return [run for run in self.of(entry) if is_finished(run)]

    def claims(self, run: Run) -> list[Claim]:
        """Those that stand, also by the last night that verified them."""
        return [
            claim
            for claim in claims_of(run)
            if not claim.refuted and not self.is_refuted(run, claim)
        ]

    def is_refuted(self, run: Run, claim: Claim) -> bool:
        found = self.verified.get((run.folder.name, claim.slug))
        return found is not None and found[1].state == "refuted"


def is_finished(run: Run) -> bool:
    return (run.folder / "claims.json").is_file()


def claims_of(run: Run) -> tuple[Claim, ...]:
    path = run.folder / "claims.json"
    return _claims(path, path.stat().st_mtime_ns) if path.is_file() else ()


@lru_cache(maxsize=20_000)
def _claims(path: Path, _changed: int) -> tuple[Claim, ...]:
    return read(path, Claims).claims


def plan_night(nights: Nights) -> Plan:
    """The jobs of the next night, in order, and the entries that it does nothing for."""
    past, number = Past(nights), max(nights.numbers(), default=-1) + 1
    resumed: list[Job] = []
    started: list[Job] = []
    skipped: list[Skipped] = []
    for entry in nights.campaign.entries:
        unfinished = [run for run in past.of(entry) if not is_finished(run)]
        why = why_stopped(past, entry)
        if why is not None:
            skipped.append(Skipped(entry=entry.key, why=why))
        elif unfinished:
            resumed += [_resume(past, entry, run) for run in unfinished]
        else:
            started += [_start(past, entry)] * nights.campaign.campaign.fresh
    jobs = (*resumed, *_due(past, number), *started)
    return Plan(jobs=jobs, skipped=tuple(skipped), books=nights.books(), made=now())


def why_stopped(past: Past, entry: Entry) -> str | None:
    """Why nothing more is to be done for an entry; None while there is."""
    stop, runs = past.campaign.stop, past.finished(entry)
    budget = Budget.parse(entry.budget or past.campaign.budget.topic)
    spent = sum_of([costs_of(run) for run in past.of(entry)])
    for kind in KINDS:
        cap = getattr(budget, kind)
        if cap is not None and amount(spent, kind) >= cap:
            return f"its budget is spent ({budget.describe()})"
    gains = [claim.test_effect or 0.0 for run in runs for claim in past.claims(run)]
    if stop.gain is not None and gains and max(gains) >= stop.gain:
        return f"a gain of {max(gains):+.4g} on the sealed test split reaches {stop.gain:g}"
    idle = 0
    for run in reversed(runs):
        if past.claims(run):
            break
        idle += run.settings.rounds
    if stop.rounds_without is not None and idle >= stop.rounds_without:
        return f"no new claim in its last {idle} rounds"
    return None


def _resume(past: Past, entry: Entry, run: Run) -> Job:
    whole, basis = estimate(past, entry)
    done = len(list(run.folder.glob("round-*/think.json")))
    why = f"unfinished: {done} of {run.settings.rounds} rounds begun"
    left = less(whole, costs_of(run)) if whole else None
    return Job(
        kind="resume", entry=entry.key, run=run.folder.name, why=why, estimate=left, basis=basis
    )


def _start(past: Past, entry: Entry) -> Job:
    whole, basis = estimate(past, entry)
    why = f"run {len(past.of(entry)) + 1} of this topic"
    return Job(kind="start", entry=entry.key, why=why, estimate=whole, basis=basis)


def _due(past: Past, number: int) -> list[Job]:
    """Claims to reproduce, those first that were not for the longest time."""
    verify, due = past.campaign.verify, []
    if not verify.every:
        return []
    made = {each.run: night for night in past.nights.numbers() for each in past.nights.ended(night)}
    for entry in past.campaign.entries:
        for run in past.finished(entry):
            for claim in past.claims(run):
                last = past.verified.get((run.folder.name, claim.slug))
                night = last[0] if last else made.get(run.folder.name, 0)
                if number - night >= verify.every:
                    due.append((night, _verify(past, entry, run, claim, night)))
    return [job for _, job in sorted(due, key=lambda each: each[0])][: verify.claims]


def _verify(past: Past, entry: Entry, run: Run, claim: Claim, night: int) -> Job:
    took = past.verifications.get(entry.key, [])[-RECENT:]
    return Job(
        kind="verify", entry=entry.key, run=run.folder.name, idea=claim.slug,
        why=f"last confirmed in night {night}", estimate=_mean(took) if took else None,
        basis=f"the mean of {len(took)} verifications of this topic" if took else _UNKNOWN,
    )  # fmt: skip


_UNKNOWN = str(Job.model_fields["basis"].default)


def estimate(past: Past, entry: Entry) -> tuple[Costs | None, str]:
    """What a whole run of the entry takes: the mean of its last finished ones, else of those on its task
    with its model, else on its task; and which of these it is."""
    known = {each.key: each for each in past.campaign.entries}

    def like(keys: Sequence[str]) -> list[Run]:
        runs = [run for key in keys for run in past.runs.get(key, []) if is_finished(run)]
        return sorted(runs, key=lambda run: run.created)[-RECENT:]

    same = [key for key, each in known.items() if each.task == entry.task]
    both = [key for key in same if known[key].model == entry.model]
    groups: Mapping[str, list[str]] = {
        "runs of this topic": [entry.key],
        "runs on this task with this model": both,
        "runs on this task": same,
    }
    for name, keys in groups.items():
        runs = like(keys)
        if runs:
            return _mean([costs_of(run) for run in runs]), f"the mean of {len(runs)} {name}"
    return None, _UNKNOWN


def _mean(costs: Sequence[Costs]) -> Costs:
    whole, count = sum_of(list(costs)), len(costs)
    integers = {name: round(getattr(whole, name) / count) for name in ("nanodollars", "tokens_in", "tokens_out")}  # fmt: skip
    floats = {name: getattr(whole, name) / count for name in ("gpu_seconds", "cpu_seconds", "wall_seconds")}  # fmt: skip
    return Costs(**integers, **floats)
