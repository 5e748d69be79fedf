"""What a run has spent, read from its ledger, as a person reads it."""

from typing import TYPE_CHECKING

from autoresearch.budgets import Budget, budget_of
from autoresearch.ledger import Ledger, Totals
from autoresearch.roles import ROLES
from autoresearch.store import Run

if TYPE_CHECKING:
    from rich.table import Table


def totals_of(run: Run) -> Totals:
    """The books of all sessions of a run."""
    return Ledger(run.folder / "ledger.jsonl", Budget()).totals()


def spending_line(run: Run) -> str:
    """All that was spent, beside the budget."""
    totals = totals_of(run)
    spent = totals.overall
    calls = sum(each.calls for role, each in totals.roles.items() if role in ROLES)
    parts = [
        f"${spent.dollars:.4f}",
        f"{spent.tokens:,} tokens in {calls} calls",
        f"{spent.gpu_seconds / 3600:.2f} GPU-h",
        f"{spent.cpu_seconds / 60:.1f} CPU-min",
        f"{totals.wall_seconds / 60:.1f} min",
        budget_of(run).describe(),
    ]
    if spent.unsettled:
        what = "are going on and" if run.is_held() else "were cut off and"
        parts.append(f"{spent.unsettled} calls or runs {what} count at their worst case")
    return "; ".join(parts)


def spending_part(run: Run) -> "Table | None":
    """What the calls of each role cost; None where no model was paid or asked."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    roles = {role: spent for role, spent in totals_of(run).roles.items() if role in ROLES}
    if not roles:
        return None
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.title, table.title_justify = "\nModel calls, from ledger.jsonl", "left"
    table.add_column("role")
    for name in ("calls", "tokens in", "tokens out", "dollars"):
        table.add_column(name, justify="right")
    for role, spent in roles.items():
        counts = (spent.calls, spent.tokens_in, spent.tokens_out)
        table.add_row(role, *(f"{count:,}" for count in counts), f"{spent.dollars:.4f}")
    return table
