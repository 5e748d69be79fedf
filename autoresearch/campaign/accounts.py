"""What was spent, held against what was allowed and against what was expected.

Amounts are in the units of a budget: billionths of a dollar, tokens, GPU-seconds, seconds.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal

from autoresearch.budgets import Budget
from autoresearch.campaign.nights import Costs, Ended, Kind, Night, Nights, sum_of
from autoresearch.campaign.purse import KINDS, amount
from autoresearch.errors import BadInput
from autoresearch.records import Record
from autoresearch.toml_files import parse_toml, read_toml

KIND_NAMES = {
    "nanodollars": "dollars",
    "tokens": "tokens",
    "gpu_seconds": "GPU time",
    "wall_seconds": "wall time",
}


class Use(Record):
    """One kind of one budget. `cap` is None where it has no bound, `spent` where it is not known."""

    scope: Literal["campaign", "night"]
    kind: str
    spent: float | None
    cap: float | None


class Check(Record):
    """What a job took in all its tries of the night, beside its estimate (None: there was none). `whole`:
    it came to its own end, so that the two can be compared; `ratios` are spent over estimate, by kind."""

    kind: Kind
    entry: str
    idea: str | None
    run: str | None
    state: str
    tries: int
    estimate: Costs | None
    spent: Costs
    whole: bool
    ratios: dict[str, float]


class Error(Record):
    """How far off the estimates of one kind were, over the jobs that came to their end. `off` is the sum of
    all differences, whichever way, as a share of the sum of the estimates."""

    kind: str
    jobs: int
    estimate: float
    spent: float
    ratio: float
    off: float


def uses(nights: Nights, number: int, books: Costs, tonight: Costs) -> list[Use]:
    """Every kind that has a bound or was spent, of the campaign's budget and of that night's. Wall time
    is the runs' own, added up, but for the night's: that is what the clock says."""
    campaign, night = Budget.parse(nights.campaign.budget.campaign), cap_of(nights, number)
    found = [
        Use(scope="campaign", kind=kind, spent=amount(books, kind), cap=getattr(campaign, kind))
        for kind in KINDS
    ]
    for kind in KINDS:
        spent: float | None = amount(tonight, kind)
        if kind == "wall_seconds":
            spent = clock_of(nights.night(number))
        found.append(Use(scope="night", kind=kind, spent=spent, cap=getattr(night, kind)))
    return [use for use in found if use.cap is not None or use.spent]


def cap_of(nights: Nights, number: int) -> Budget:
    """The night's budget as the campaign's file said that night."""
    path = nights.night_folder(number) / "campaign.toml"
    return _night_budget(path) if path.is_file() else Budget()


@lru_cache(maxsize=2_000)
def _night_budget(path: Path) -> Budget:
    file = parse_toml(read_toml(path, BadInput), path, BadInput)
    return Budget.parse(file.get("budget", {}).get("night", ()))


def clock_of(night: Night | None) -> float | None:
    """How long it took. None where nobody knows when it ended: it goes on, or was killed."""
    if night is None or is_killed(night):
        return None
    try:
        ends = [datetime.fromisoformat(at) for at in (night.began, night.ended)]
    except ValueError:
        return None
    return max(0.0, (ends[1] - ends[0]).total_seconds())


def is_killed(night: Night) -> bool:
    return night.state == "cut off" and night.exit_code == 137  # as the next night wrote it down


def checks(last: Iterable[Ended], tries: Sequence[Ended]) -> list[Check]:
    """Each job of a night by how it ended, with what all of its tries took."""
    found = []
    for each in last:
        own = [other for other in tries if other is each or _same_work(other, each)]
        estimate, spent = each.job.estimate, sum_of([other.spent for other in own])
        ratios = {
            kind: amount(spent, kind) / amount(estimate, kind)
            for kind in KINDS
            if estimate and amount(estimate, kind)
        }
        found.append(
            Check(
                kind=each.job.kind,
                entry=each.job.entry,
                idea=each.job.idea,
                run=each.run,
                state=each.state,
                tries=each.tries,
                estimate=estimate,
                spent=spent,
                whole=each.state in ("done", "refuted"),
                ratios=ratios,
            )
        )
    return found


def _same_work(one: Ended, other: Ended) -> bool:
    """Tries of one job: the run that the first one started is what the second goes on with."""
    named = one.run is not None and one.run == other.run
    return named and (one.job.kind, one.job.idea) == (other.job.kind, other.job.idea)


def errors(checked: Iterable[Check]) -> list[Error]:
    """By kind, where anything was estimated."""
    fair = [
        (each.estimate, each.spent) for each in checked if each.whole and each.estimate is not None
    ]
    found = []
    for kind in KINDS:
        pairs = [(amount(estimate, kind), amount(spent, kind)) for estimate, spent in fair]
        expected, spent = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
        if expected:
            off = sum(abs(took - wanted) for wanted, took in pairs) / expected
            found.append(
                Error(
                    kind=kind,
                    jobs=len(pairs),
                    estimate=expected,
                    spent=spent,
                    ratio=spent / expected,
                    off=off,
                )
            )
    return found


def quantity(kind: str, value: float) -> str:
    """An amount of that kind of a budget, with its unit."""
    return {
        "nanodollars": f"${value / 1e9:,.4f}",
        "tokens": f"{value:,.0f}",
        "gpu_seconds": f"{value / 3600:,.2f} GPU-h",
        "wall_seconds": duration(value),
    }[kind]


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
