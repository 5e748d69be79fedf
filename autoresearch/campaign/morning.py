"""What there is to say in the morning: one record of facts, from what is on disk; shown as Markdown, as a
page, as JSON and to CI, always the same numbers."""

from collections import Counter
from collections.abc import Iterable, Sequence

from autoresearch.budgets import Budget
from autoresearch.campaign.accounts import (
    Check,
    Error,
    Use,
    cap_of,
    checks,
    clock_of,
    errors,
    is_killed,
    uses,
)
from autoresearch.campaign.nights import Costs, Ended, Kind, Night, Nights, Plan, sum_of
from autoresearch.campaign.planning import Past, plan_night
from autoresearch.campaign.standing import (
    Refuted,
    Since,
    Standing,
    best_of,
    claims_of_all,
    compared,
)
from autoresearch.records import Lesson, Outcome, Record
from autoresearch.store import read


class Learnt(Record):
    """What one idea of this night came to; `failure` is the kind of its last failure."""

    entry: str
    run: str
    idea: str
    outcome: Outcome
    reason: str
    failure: str = ""


class Point(Record):
    """One night in the trend. `state` is "killed" for a night that left no word of its own. `seconds` is by
    the clock, None where nobody knows; `kinds` is `spent` by the kind of job."""

    night: int
    began: str
    state: str
    reason: str
    ideas: int
    standing: int  # claims, of this and all earlier nights
    best: dict[str, float]  # by entry: the largest gain (see Standing.gain) of what stood by then
    spent: Costs
    kinds: dict[Kind, Costs]
    seconds: float | None
    cap: Budget  # of that night


class Morning(Record):
    campaign: str
    night: Night | None  # None: it was killed, or is going on
    number: int | None
    jobs: tuple[Ended, ...]
    standing: tuple[Standing, ...]
    refuted: tuple[Refuted, ...]
    learnt: tuple[Learnt, ...]
    spent: Costs  # in all nights
    tonight: Costs  # in this one
    budgets: dict[str, str]
    uses: tuple[Use, ...]
    checks: tuple[Check, ...]
    errors: tuple[Error, ...]
    since: Since
    trend: tuple[Point, ...]
    next: Plan


def morning(nights: Nights, number: int | None = None) -> Morning:
    """The facts after a night: after the last one, where `number` is not given."""
    known = nights.numbers()
    number = number if number is not None or not known else known[-1]
    past, jobs = Past(nights), nights.ended(number) if number is not None else []
    last = nights.last_tries(number) if number is not None else []
    standing, refuted = claims_of_all(past, _made(nights))
    budgets, books = nights.campaign.budget, nights.books()
    tonight, checked = sum_of([each.spent for each in jobs]), checks(last, jobs)
    return Morning(
        campaign=nights.campaign.name,
        number=number,
        night=nights.night(number) if number is not None else None,
        jobs=tuple(last),
        standing=tuple(standing),
        refuted=tuple(refuted),
        learnt=tuple(_learnt(past, jobs)),
        spent=books,
        tonight=tonight,
        budgets={name: Budget.parse(getattr(budgets, name)).describe() for name in ("campaign", "night", "topic")},
        uses=tuple(uses(nights, number, books, tonight)) if number is not None else (),
        checks=tuple(checked),
        errors=tuple(errors(checked)),
        since=compared(known, number, standing, refuted),
        trend=tuple(_trend(nights, standing)),
        next=plan_night(nights),
    )  # fmt: skip


def failures(facts: Morning) -> Counter[str]:
    """This night's failures by kind: of ideas by stage, of jobs by what they say."""
    kinds = Counter(f"idea: {each.failure}" for each in facts.learnt if each.failure)
    kinds.update(f"job: {each.reason}" for each in facts.jobs if each.state == "failed")
    return kinds


def _made(nights: Nights) -> dict[str, int]:
    """The night that finished each run."""
    return {
        str(each.run): number
        for number in nights.numbers()
        for each in nights.ended(number)
        if each.claimed
    }


def _learnt(past: Past, jobs: Iterable[Ended]) -> list[Learnt]:
    found = []
    for job in jobs:
        for name in job.learnt:
            lesson = read(past.nights.runs_folder / str(job.run) / name / "feedback.json", Lesson)
            failed = lesson.verdict.outcome is Outcome.failed and lesson.failures
            found.append(
                Learnt(
                    entry=job.job.entry,
                    run=str(job.run),
                    idea=lesson.idea.slug,
                    outcome=lesson.verdict.outcome,
                    reason=lesson.verdict.reason,
                    failure=lesson.failures[-1].split(":")[0] if failed else "",
                )
            )
    return found


def _trend(nights: Nights, standing: Sequence[Standing]) -> list[Point]:
    """Night by night. What was refuted since stands in none of them: it never was a gain."""
    return [_point(nights, number, standing) for number in nights.numbers()]


def _point(nights: Nights, number: int, standing: Iterable[Standing]) -> Point:
    jobs, night = nights.ended(number), nights.night(number)
    then = [each for each in standing if each.night is not None and each.night <= number]
    best = {entry: each.gain for entry, each in best_of(then).items() if each.gain is not None}
    state: str = "going on, or killed"
    if night is not None:
        state = "killed" if is_killed(night) else night.state
    kinds: dict[Kind, list[Costs]] = {}
    for each in jobs:
        kinds.setdefault(each.job.kind, []).append(each.spent)
    return Point(
        night=number, began=night.began if night else (jobs[0].began if jobs else ""), state=state,
        reason=night.reason if night else "", ideas=sum(len(each.learnt) for each in jobs),
        standing=len(then), best=best, spent=sum_of([each.spent for each in jobs]),
        kinds={kind: sum_of(costs) for kind, costs in sorted(kinds.items())},
        seconds=clock_of(night), cap=cap_of(nights, number),
    )  # fmt: skip
