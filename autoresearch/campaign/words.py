"""The morning in Markdown: for the page of a CI job, for a mail, for reading."""

import re
from collections.abc import Iterable, Sequence
from html import escape

from autoresearch.campaign.morning import Morning, Standing, failures
from autoresearch.campaign.nights import Costs, Job
from autoresearch.report import printable

SHOWN = 30  # rows of a table in the summary


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
        "## Confirmed claims", _standing(facts, limit),
        "## Refuted", _refuted(facts, limit),
        "## What ran", _jobs(facts, limit),
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
    budgets = "; ".join(f"{name}: {said}" for name, said in facts.budgets.items())
    return (
        f"{safe(state)}{began}.  \nSpent this night: {money(facts.tonight)}. In all nights: {money(facts.spent)}. "
        f"Budgets: {budgets}. From the runs' ledgers."
    )


def _standing(facts: Morning, limit: int | None) -> str:
    if not facts.standing:
        return "None yet."
    rows = [
        (
            each.topic or each.entry, each.idea, gain(each.test_effect, each.test_interval),
            gain(each.effect, each.interval), f"{each.seeds}", _worth(each), f"`{each.reproduce}`",
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


def _worth(each: Standing) -> str:
    said = ["self-reported, unconfirmed"] if each.self_reported else []
    said += [f"from night {each.night}"] if each.night is not None else []
    said += [f"reproduced in night {each.verified}"] if each.verified is not None else []
    return ", ".join(said)


def _refuted(facts: Morning, limit: int | None) -> str:
    rows = [(each.entry, each.idea, each.why) for each in facts.refuted]
    return table(("topic", "idea", "refuted by"), rows, limit) if rows else "None."


def _jobs(facts: Morning, limit: int | None) -> str:
    rows = [
        (
            each.job.kind, each.job.entry, each.job.idea or "", each.state, each.reason,
            money(each.spent), money(each.job.estimate) if each.job.estimate else "no estimate",
        )
        for each in facts.jobs
    ]  # fmt: skip
    head = ("job", "topic", "claim", "ended", "why", "spent", "estimated")
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
            gain(max(each.best.values(), default=None), None), money(each.spent),
        )
        for each in facts.trend
    ]  # fmt: skip
    head = ("night", "day", "ended", "ideas", "claims that stand", "largest gain by then", "spent")
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
    parts = [f"${costs.dollars:.4f}", f"{costs.wall_seconds / 60:.1f} min"]
    parts += [f"{costs.tokens:,} tokens"] if costs.tokens else []
    parts += [f"{costs.gpu_seconds / 3600:.2f} GPU-h"] if costs.gpu_seconds else []
    return ", ".join(parts)


def gain(effect: float | None, interval: tuple[float, float] | None) -> str:
    if effect is None:
        return "none"
    return f"{effect:+.4g}" + (f" [{interval[0]:+.4g}, {interval[1]:+.4g}]" if interval else "")


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
