"""A campaign in a terminal: what tonight would do, and how far it is."""

from typing import TYPE_CHECKING, Any

from autoresearch.budgets import Budget
from autoresearch.campaign.matrix import Campaign
from autoresearch.campaign.morning import Morning, morning
from autoresearch.campaign.nights import Costs, Nights, Plan, sum_of
from autoresearch.campaign.planning import plan_night
from autoresearch.campaign.purse import KINDS, amount
from autoresearch.campaign.standing import Standing
from autoresearch.campaign.words import gain, money
from autoresearch.report import plain

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def planned(campaign: Campaign) -> dict[str, Any]:
    """The plan of the next night, and what it comes to."""
    plan = plan_night(Nights(campaign))
    return plan.model_dump(mode="json") | {"estimate": expected(plan).model_dump(mode="json")}


def status(campaign: Campaign) -> dict[str, Any]:
    return morning(Nights(campaign)).model_dump(mode="json")


def confirmed(campaign: Campaign, new: bool, best: bool) -> list[Standing]:
    """The claims that stand on the sealed test split, the largest gain first. `new`: of the last night;
    `best`: the first of each task, whatever night it is from."""
    facts = morning(Nights(campaign))
    found: dict[str | int, Standing] = {}
    for place, each in enumerate(facts.standing):
        entry = campaign.entry(each.entry)
        if entry is not None and each.test_effect is not None:
            found.setdefault(entry.task if best else place, each)
    return [each for each in found.values() if not new or each.night == facts.number]


def expected(plan: Plan) -> Costs:
    """The sum of the estimates there are."""
    return sum_of([job.estimate for job in plan.jobs if job.estimate])


def plan_parts(campaign: Campaign) -> list["RenderableType"]:
    nights = Nights(campaign)
    plan = plan_night(nights)
    table = _table("job", "topic", "why", "estimate")
    for job in plan.jobs:
        what = f"{job.entry}{f' {job.idea}' if job.idea else ''}"
        table.add_row(
            job.kind,
            plain(what),
            plain(job.why),
            money(job.estimate) if job.estimate else "unknown",
        )
    unknown = sum(job.estimate is None for job in plan.jobs)
    parts: list[RenderableType] = [
        f"night {max(nights.numbers(), default=-1) + 1} of {plain(campaign.name)}: {len(plan.jobs)} jobs, "
        f"{campaign.campaign.parallel} at a time, of {len(campaign.entries)} topics",
        table,
        f"expected: {money(expected(plan))}"
        + (f", and {unknown} jobs without a history to tell from" if unknown else ""),
        *_bounds(campaign, plan),
    ]
    return [
        *parts,
        *(f"nothing for {plain(each.entry)}: {plain(each.why)}" for each in plan.skipped),
    ]


def _bounds(campaign: Campaign, plan: Plan) -> list[str]:
    """Where the budgets end it before, as far as estimates tell."""
    lines = []
    whole = expected(plan)
    for name, spent in (("night", Costs()), ("campaign", plan.books)):
        budget = Budget.parse(getattr(campaign.budget, name))
        lines.append(f"budget of the {name}: {budget.describe()}")
        for kind in KINDS:
            cap = getattr(budget, kind)
            at_once = (
                campaign.campaign.parallel if kind == "wall_seconds" and name == "night" else 1
            )
            if cap is not None and amount(spent, kind) + amount(whole, kind) / at_once > cap:
                said = kind.replace("nanodollars", "dollars").replace("_", " ")
                lines.append(
                    f"  [yellow]its {said} are expected to end before the jobs do[/yellow]"
                )
    return lines


def status_parts(campaign: Campaign) -> list["RenderableType"]:
    facts = morning(Nights(campaign))
    table = _table("night", "began", "ended", "ideas", "standing", "spent")
    for point in facts.trend:
        cells = (str(point.night), point.began, point.state, str(point.ideas), str(point.standing))
        table.add_row(*cells, money(point.spent))
    parts: list[RenderableType] = [
        f"{plain(facts.campaign)}: {len(campaign.entries)} topics, {len(facts.trend)} nights in {campaign.folder}",
        table,
        f"spent: {money(facts.spent)} (the runs' ledgers)",
    ]
    return [*parts, *_claims(facts)]


def _claims(facts: Morning) -> list["RenderableType"]:
    if not facts.standing:
        return ["no claim stands yet"]
    table = _table("topic", "claim", "gain on sealed test", "verified")
    for each in facts.standing:
        seen = "self-reported" if each.self_reported else gain(each.test_effect, each.test_interval)
        verified = "not yet" if each.verified is None else f"night {each.verified}"
        table.add_row(plain(each.entry), plain(each.idea), seen, verified)
    return [table]


def _table(*columns: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table
