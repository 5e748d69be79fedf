"""What there is to say in the morning: one record of facts, from what is on disk; shown as Markdown, as a
page, as JSON and to CI, always the same numbers."""

from collections import Counter
from collections.abc import Iterable

from autoresearch.budgets import Budget
from autoresearch.campaign.matrix import Entry
from autoresearch.campaign.nights import Costs, Ended, Kind, Night, Nights, Plan, sum_of
from autoresearch.campaign.planning import Past, claims_of, plan_night
from autoresearch.records import Claim, Lesson, Outcome, Record
from autoresearch.store import Run, read


class Standing(Record):
    """A claim of some night. `effect` is on validation, `test_effect` on the sealed split (None where the
    score is self-reported); `verified` is the last night that reproduced it."""

    entry: str
    topic: str
    run: str
    idea: str
    metric: str
    effect: float | None
    interval: tuple[float, float] | None
    test_effect: float | None
    test_interval: tuple[float, float] | None
    seeds: int
    self_reported: bool
    night: int | None  # that it is from
    verified: int | None
    reproduce: str


class Refuted(Record):
    entry: str
    run: str
    idea: str
    night: int | None
    why: str


class Learnt(Record):
    """What one idea of this night came to; `failure` is the kind of its last failure."""

    entry: str
    run: str
    idea: str
    outcome: Outcome
    reason: str
    failure: str = ""


class Point(Record):
    """One night in the trend."""

    night: int
    began: str
    state: str
    ideas: int
    standing: int  # claims, of this and all earlier nights
    best: dict[str, float]  # by entry: the largest gain on the sealed split of what stood by then
    spent: Costs


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
    trend: tuple[Point, ...]
    next: Plan


def morning(nights: Nights, number: int | None = None) -> Morning:
    """The facts after a night: after the last one, where `number` is not given."""
    known = nights.numbers()
    number = number if number is not None or not known else known[-1]
    past, jobs = Past(nights), nights.ended(number) if number is not None else []
    made = _made(nights)
    standing, refuted = _claims(past, made)
    budgets = nights.campaign.budget
    return Morning(
        campaign=nights.campaign.name,
        number=number,
        night=nights.night(number) if number is not None else None,
        jobs=tuple(nights.last_tries(number)) if number is not None else (),
        standing=tuple(standing),
        refuted=tuple(refuted),
        learnt=tuple(_learnt(past, jobs)),
        spent=nights.books(),
        tonight=sum_of([each.spent for each in jobs]),
        budgets={name: Budget.parse(getattr(budgets, name)).describe() for name in ("campaign", "night", "topic")},
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


def _claims(past: Past, made: dict[str, int]) -> tuple[list[Standing], list[Refuted]]:
    standing, refuted = [], []
    for entry in past.campaign.entries:
        for run in past.finished(entry):
            for claim in claims_of(run):
                night = made.get(run.folder.name)
                why = _why_refuted(past, run, claim)
                if why:
                    refuted.append(Refuted(entry=entry.key, run=run.folder.name, idea=claim.slug, night=night, why=why))  # fmt: skip
                else:
                    standing.append(_standing(past, entry, run, claim))
    best_first = sorted(standing, key=lambda each: -(each.test_effect or each.effect or 0.0))
    return best_first, refuted


def _why_refuted(past: Past, run: Run, claim: Claim) -> str:
    if claim.refuted:
        found = [e.reason for e in claim.evidence if e.outcome == "refuted"]
        return f"{claim.refuted[0]}{f': {found[0]}' if found else ''}"
    if past.is_refuted(run, claim):
        number, ended = past.verified[run.folder.name, claim.slug]
        return f"no longer reproduces (night {number}): {ended.reason}"
    return ""


def _standing(past: Past, entry: Entry, run: Run, claim: Claim) -> Standing:
    from autoresearch.config import load_task

    verified = past.verified.get((run.folder.name, claim.slug))
    return Standing(
        entry=entry.key,
        topic=run.settings.topic,
        run=run.folder.name,
        idea=claim.slug,
        metric=load_task(run.task_folder).metric,
        effect=claim.verdict.effect,
        interval=claim.verdict.interval,
        test_effect=claim.test_effect,
        test_interval=claim.test_interval,
        seeds=claim.verdict.seeds,
        self_reported=claim.self_reported,
        night=_made(past.nights).get(run.folder.name),
        verified=verified[0] if verified else None,
        reproduce=f"autoresearch reproduce {run.folder.name} {claim.slug} --runs {past.campaign.folder.name}/runs",
    )


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


def _trend(nights: Nights, standing: Iterable[Standing]) -> list[Point]:
    """Night by night. What was refuted since stands in none of them: it never was a gain."""
    points = []
    for number in nights.numbers():
        jobs, night = nights.ended(number), nights.night(number)
        then = [each for each in standing if each.night is not None and each.night <= number]
        best: dict[str, float] = {}
        for each in then:
            gain = each.test_effect if each.test_effect is not None else each.effect or 0.0
            best[each.entry] = max(gain, best.get(each.entry, gain))
        spent = sum_of([each.spent for each in jobs])
        points.append(
            Point(
                night=number,
                began=night.began if night else (jobs[0].began if jobs else ""),
                state=night.state if night else "going on, or killed",
                ideas=sum(len(each.learnt) for each in jobs),
                standing=len(then),
                best=best,
                spent=spent,
            )
        )
    return points


def kinds_of(plan: Plan) -> dict[Kind, int]:
    counts: Counter[Kind] = Counter(job.kind for job in plan.jobs)
    return dict(counts)
