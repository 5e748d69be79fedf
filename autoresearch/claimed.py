"""What a finished run claims, as a person reads it."""

from typing import TYPE_CHECKING

from autoresearch.records import Claim, Claims
from autoresearch.report import floor_of_run, number, plain, task_of
from autoresearch.store import Run, read

if TYPE_CHECKING:
    from rich.console import RenderableType


def claims_part(run: Run) -> "RenderableType | None":
    """What a finished run ended with: test scores of what improved, and what that does not say."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    path = run.folder / "claims.json"
    if not path.is_file():
        return None
    claims = sorted(read(path, Claims).claims, key=lambda claim: -(claim.test_effect or 0.0))
    if task_of(run).reported:
        return _self_reported(run, claims)
    if not claims:
        return "\nNo idea improved on the baseline beyond noise; the test split was not opened."
    table = Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        title="\nOn the sealed test split, opened once",
        title_justify="left",
        caption=f"Unconfirmed: not yet tested for {', '.join(claims[0].untested)}.",
        caption_justify="left",
    )
    table.add_column("claim", overflow="fold")
    for name in ("score", "baseline", "gain"):
        table.add_column(name, justify="right", no_wrap=True)
    for claim in claims:
        effect = "none" if claim.test_effect is None else f"{claim.test_effect:+.4f}"
        scores = (number(claim.test_score), number(claim.test_baseline))
        table.add_row(plain(claim.slug), *scores, effect)
    return table


def _self_reported(run: Run, claims: list[Claim]) -> "RenderableType":
    """There is no sealed test to open: what is left is the program's own figure, and that is said."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    floor = floor_of_run(run)
    if not claims or floor is None:
        return "\nNo idea improved on the baseline beyond noise (self-reported; there is no sealed test)."
    table = Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        title="\nSelf-reported gains. No sealed test: the program's own figure",
        title_justify="left",
        caption=f"Unconfirmed: not tested for {', '.join(claims[0].untested)}.",
        caption_justify="left",
    )
    table.add_column("self-reported", overflow="fold")
    for name in ("score", "baseline", "gain"):
        table.add_column(name, justify="right", no_wrap=True)
    for claim in sorted(claims, key=lambda each: -(each.verdict.effect or 0.0)):
        scores = (number(claim.verdict.score), number(floor.mean))
        table.add_row(plain(claim.slug), *scores, f"{claim.verdict.effect or 0.0:+.4f}")
    return table
