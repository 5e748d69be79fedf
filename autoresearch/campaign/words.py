"""The morning in Markdown: for the page of a CI job, for a mail, for reading."""

import re
from collections.abc import Iterable, Sequence
from html import escape

from autoresearch.campaign.accounts import KIND_NAMES, Check, Error, Use, duration, quantity
from autoresearch.campaign.morning import Morning, failures
from autoresearch.campaign.nights import Costs, Job
from autoresearch.campaign.purse import amount
from autoresearch.campaign.standing import Best, Refuted, Since, Standing
from autoresearch.report import printable

SHOWN = 30  # rows of a table in the summary
NAMED = 5  # claims named in a line
WALL = "Wall time is the runs' own, added up; the night's is by the clock. All from the runs' ledgers and the nights' records."
NO_CHECK = "No job that had an estimate came to its end this night: nothing to check."


def report(facts: Morning) -> str:
    """Everything."""
    return _page(facts, limit=None)


def summary(facts: Morning) -> str:
    """The same with short tables: pages of CI jobs have a bound."""
    return _page(facts, limit=SHOWN)


def _page(facts: Morning, limit: int | None) -> str:
    parts = [
        f"# {safe(facts.campaign)}: night {facts.number}" if facts.number is not None else f"# {safe(facts.campaign)}",
        _headline(facts),
        "## Since last night", _since(facts, limit),
        "## Confirmed claims", _standing(facts, limit),
        "## Refuted", _refuted(facts, limit),
        "## Spent, of what was allowed", _uses(facts),
        "## What ran", _jobs(facts, limit),
        "## Estimates, against what was spent", _estimates(facts, limit),
        "## What was learnt", _learnt(facts, limit),
        "## Failures by kind", _failures(facts),
        "## Nights", _trend(facts, limit),
        "## What tonight will try", _next(facts, limit),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _headline(facts: Morning) -> str:
    night = facts.night
    state = f"{night.state}: {night.reason}" if night else "it was killed, or is going on"
    began = f" ({night.began} to {night.ended} UTC)" if night else ""
    budgets = "; ".join(f"{name}: {safe(said)}" for name, said in facts.budgets.items())
    return (
        f"{safe(state)}{began}.  \nSpent this night: {money(facts.tonight)}. In all nights: {money(facts.spent)}. "
        f"Budgets: {budgets}. From the runs' ledgers."
    )


def _standing(facts: Morning, limit: int | None) -> str:
    if not facts.standing:
        return "None yet."
    rows = [
        (
            topic(each), each.idea, gain(each.test_effect, each.test_interval),
            gain(each.effect, each.interval), f"{each.seeds}", worth(each), f"`{each.reproduce}`",
        )
        for each in facts.standing
    ]  # fmt: skip
    head = (
        "topic",
        "idea",
        "gain on the sealed test",
        "gain on validation, which chose it",
        "seeds",
        "",
        "reproduce",
    )
    return table(head, rows, limit)


def topic(each: Standing) -> str:
    """In the user's words, and by name: on two tasks or with two models it is another one."""
    return f"{each.topic} ({each.entry})" if each.topic else each.entry


def worth(each: Standing) -> str:
    said = ["self-reported, unconfirmed"] if each.self_reported else []
    said += [f"from night {each.night}"] if each.night is not None else []
    said += [f"reproduced in night {each.verified}"] if each.verified is not None else []
    return ", ".join(said)


def _refuted(facts: Morning, limit: int | None) -> str:
    rows = [(each.entry, each.idea, claimed(each), each.why) for each in facts.refuted]
    head = ("topic", "idea", "gain that was claimed", "refuted by")
    return table(head, rows, limit) if rows else "None."


def claimed(each: Refuted) -> str:
    """What a refuted claim had claimed, and where."""
    if each.test_effect is not None:
        return f"{gain(each.test_effect, None)} on the sealed test"
    where = "self-reported" if each.self_reported else "on validation"
    return f"{gain(each.effect, None)} {where}"


def _since(facts: Morning, limit: int | None) -> str:
    rows = [
        (each.entry, best(each), each.idea, gain(each.before, None), change(each))
        for each in facts.since.best
    ]
    head = ("topic", "largest gain ever", "idea", "after the night before", "change")
    parts = [safe(compared(facts.since)) + ".", *([table(head, rows, limit)] if rows else [])]
    return "\n\n".join(parts)


def compared(since: Since) -> str:
    """The night against the one before, in a line."""
    first = "The first night" if since.night is None else f"Against night {since.night}"
    groups = {
        "new": since.new,
        "no longer stands" if len(since.lost) == 1 else "no longer stand": since.lost,
        "refuted before it could stand" if len(since.refuted) == 1 else "refuted before they could stand": since.refuted,
        "reproduced": since.reproduced,
    }  # fmt: skip
    said = [
        f"{len(named)} {what} ({', '.join(dict.fromkeys(idea for _, idea in named[:NAMED]))}"
        f"{', ...' if len(named) > NAMED else ''})"
        for what, named in groups.items()
        if named
    ]
    return f"{first}, of the claims: {'; '.join(said) or 'nothing new, and nothing refuted'}"


def best(each: Best) -> str:
    mark = " (self-reported)" if each.self_reported and each.gain is not None else ""
    metric = f" {each.metric}" if each.metric else ""
    return f"{gain(each.gain, None)}{metric if each.gain is not None else ''}{mark}"


def change(each: Best) -> str:
    if each.gain is None:
        return "lost"
    return "new" if each.change is None else f"{each.change:+.4g}" if each.change else "none"


def _uses(facts: Morning) -> str:
    rows = [(each.scope, KIND_NAMES[each.kind], *use(each)) for each in facts.uses]
    head = ("budget", "of", "spent", "allowed", "share")
    return (
        table(head, rows, None) if rows else "Nothing, and no budget bounds it."
    ) + f"\n\n{WALL}"


def use(each: Use) -> tuple[str, str, str]:
    """What was spent, what may be, and which share that is."""
    spent = "not known" if each.spent is None else quantity(each.kind, each.spent)
    cap = "no bound" if each.cap is None else quantity(each.kind, each.cap)
    share = "" if not each.cap or each.spent is None else f"{100 * each.spent / each.cap:.1f} %"
    return spent, cap, share


def _estimates(facts: Morning, limit: int | None) -> str:
    rows = [
        (each.kind, each.entry, each.idea or "", each.state, *checked)
        for each in facts.checks
        for checked in check(each)
    ]
    head = ("job", "topic", "claim", "ended", "of", "estimated", "spent", "spent / estimated")
    said = [f"- {error(each)}" for each in facts.errors] or [NO_CHECK]
    return "\n\n".join(["\n".join(said), *([table(head, rows, limit)] if rows else [])])


def check(each: Check) -> list[tuple[str, str, str, str]]:
    """For each kind that was estimated: the kind, the estimate, what was spent, and the ratio."""
    if each.estimate is None:
        return []
    note = "" if each.whole else " (did not come to its end)"
    return [
        (
            KIND_NAMES[kind], quantity(kind, amount(each.estimate, kind)),
            quantity(kind, amount(each.spent, kind)), f"{ratio:.2f}{note}",
        )
        for kind, ratio in each.ratios.items()
    ]  # fmt: skip


def error(each: Error) -> str:
    jobs = (
        "1 job that came to its end"
        if each.jobs == 1
        else f"{each.jobs} jobs that came to their end"
    )
    return (
        f"{KIND_NAMES[each.kind]}: {quantity(each.kind, each.spent)} spent of "
        f"{quantity(each.kind, each.estimate)} estimated, {each.ratio:.2f} times as much, over {jobs}; "
        f"a job was off by {100 * each.off:.0f} % on average"
    )


def _jobs(facts: Morning, limit: int | None) -> str:
    rows = [
        (
            each.job.kind, each.job.entry, each.job.idea or "", each.state, each.reason, f"{each.tries}",
            money(found.spent), money(each.job.estimate) if each.job.estimate else "no estimate",
        )
        for each, found in zip(facts.jobs, facts.checks, strict=True)
    ]  # fmt: skip
    head = ("job", "topic", "claim", "ended", "why", "tries", "spent", "estimated")
    return table(head, rows, limit) if rows else "Nothing was to be done."


def _learnt(facts: Morning, limit: int | None) -> str:
    rows = [(each.entry, each.idea, each.outcome.value, each.reason) for each in facts.learnt]
    return (
        table(("topic", "idea", "verdict", "why"), rows, limit)
        if rows
        else "No idea was tried to its end."
    )


def _failures(facts: Morning) -> str:
    counts = failures(facts)
    rows = [(kind, str(count)) for kind, count in counts.most_common()]
    return table(("kind", "times"), rows, None) if rows else "None."


def _trend(facts: Morning, limit: int | None) -> str:
    rows = [
        (
            str(each.night), each.began[:10], each.state, str(each.ideas), str(each.standing),
            str(len(each.best)), money(each.spent), each.cap.describe(),
        )
        for each in facts.trend
    ]  # fmt: skip
    head = (
        "night",
        "day",
        "ended",
        "ideas",
        "claims that stand",
        "topics with a gain",
        "spent",
        "budget",
    )
    return table(head, rows[-limit:] if limit else rows, None)


def _next(facts: Morning, limit: int | None) -> str:
    rows = [(job.kind, job.entry, job.why, _expected(job)) for job in facts.next.jobs]
    said = table(("job", "topic", "why", "estimate"), rows, limit) if rows else "Nothing."
    idle = [f"- {safe(each.entry)}: {safe(each.why)}" for each in facts.next.skipped]
    return "\n\n".join(
        [said, *(["Nothing more for:\n\n" + "\n".join(idle[:limit])] if idle else [])]
    )


def _expected(job: Job) -> str:
    return f"{money(job.estimate)} ({job.basis})" if job.estimate else job.basis


def money(costs: Costs) -> str:
    parts = [f"${costs.dollars:.4f}", duration(costs.wall_seconds)]
    parts += [f"{costs.tokens:,} tokens"] if costs.tokens else []
    parts += [f"{costs.gpu_seconds / 3600:.2f} GPU-h"] if costs.gpu_seconds else []
    return ", ".join(parts)


def gain(effect: float | None, interval: tuple[float, float] | None) -> str:
    if effect is None:
        return "none"
    return f"{effect:+.4g}" + (f" {ends(interval)}" if interval else "")


def ends(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:+.4g}, {interval[1]:+.4g}]"


def table(head: Sequence[str], rows: Sequence[Iterable[str]], limit: int | None) -> str:
    shown = list(rows)[:limit]
    lines = [head, ["---"] * len(head), *shown]
    said = "\n".join(f"| {' | '.join(safe(cell) for cell in line)} |" for line in lines)
    more = len(rows) - len(shown)
    return said + (f"\n\n... and {more} more in report.md" if more else "")


def safe(text: str) -> str:
    """Untrusted text in a cell: one line, and nothing of it is markup."""
    line = " ".join(printable(text).split())[:400]
    code = line.startswith("`") and line.endswith("`") and line.count("`") == 2
    return (
        line.replace("|", "\\|")
        if code
        else re.sub(r"([\\`*_{}\[\]|#!~@])", r"\\\1", escape(line, quote=False))
    )
