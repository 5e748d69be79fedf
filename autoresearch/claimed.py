"""What a finished run claims, as a person reads it: what stands, what was refuted and by what."""

from typing import TYPE_CHECKING

from autoresearch.records import Claim, Claims
from autoresearch.report import floor_of_run, model_name, number, plain, task_of
from autoresearch.store import Run, read

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

MARKS = {
    "survived": "stands",
    "refuted": "[red]refuted[/red]",
    "noted": "noted",
    "untested": "untested",
}


def claims_part(run: Run) -> "RenderableType | None":
    """What a finished run ended with: test scores of what improved, and what that does not say."""
    path = run.folder / "claims.json"
    if not path.is_file():
        return None
    claims = sorted(read(path, Claims).claims, key=lambda claim: -(claim.test_effect or 0.0))
    if task_of(run).reported:
        return _self_reported(run, claims)
    if not claims:
        return "\nNo idea improved on the baseline beyond noise; the test split was not opened."
    from rich.console import Group

    standing = [claim for claim in claims if not claim.refuted]
    opened = any(claim.test_effect is not None for claim in claims)
    said = "on the sealed test split, opened once" if opened else "the test split was not opened"
    return Group(_table(standing) if standing else f"\nNo gain stands; {said}.", *_refuted(claims))


def _table(claims: list[Claim]) -> "Table":
    table = _empty(
        "On the sealed test split, opened once",
        "claim",
        ("score", "baseline", "gain", "validation"),
    )
    for claim in claims:
        effect = "none" if claim.test_effect is None else f"{claim.test_effect:+.4f}"
        seen = "none" if claim.verdict.effect is None else f"{claim.verdict.effect:+.4f}"
        scores = (number(claim.test_score), number(claim.test_baseline))
        table.add_row(plain(claim.slug), *scores, effect, seen)
        for each in claim.evidence:
            if each.outcome == "noted":
                times = "" if each.ratio is None else f" ({each.ratio:.2f} times)"
                table.add_row(f"  [dim]{plain(each.reason)}{times}[/dim]", "", "", "", "")
    table.caption = f"validation: the gain there, which chose it. {_untested(claims)}"
    return table


def _untested(claims: list[Claim]) -> str:
    missing = dict.fromkeys(each for claim in claims for each in claim.untested)
    return f"Not tested: {plain(', '.join(missing))}." if missing else "All falsifiers were tried."


def _refuted(claims: list[Claim]) -> list[str]:
    lines = []
    for claim in (each for each in claims if each.refuted):
        why = [
            f"{each.falsifier}: {each.reason}"
            for each in claim.evidence
            if each.outcome == "refuted"
        ]
        said = "; ".join(why) or f"not {claim.refuted[0]}: {_on_test(claim)}"
        lines.append(f"[red]refuted[/red] {plain(claim.slug)}: {plain(said)}")
    return ["", *lines] if lines else []


def _on_test(claim: Claim) -> str:
    """The gain on the test split with its 95 % interval, and what it was held to."""
    effect, p, level = claim.test_effect or 0.0, claim.test_p, claim.test_level
    low, high = claim.test_interval or (effect, effect)
    held = (
        "" if p is None or level is None else f", p = {p:.2g} against a level of {level:.2g} (Holm)"
    )
    return f"gain {effect:+.4f} [{low:+.4f}, {high:+.4f}]{held}"


def _empty(title: str, what: str, columns: tuple[str, ...]) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, title=f"\n{title}")
    table.title_justify = table.caption_justify = "left"
    table.add_column(what, overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _self_reported(run: Run, claims: list[Claim]) -> "RenderableType":
    """There is no sealed test to open: what is left is the program's own figure, and that is said."""
    from rich.console import Group

    floor = floor_of_run(run)
    if not claims or floor is None:
        return "\nNo idea improved on the baseline beyond noise (self-reported; there is no sealed test)."
    table = _empty(
        "Self-reported gains. No sealed test: the program's own figure",
        "self-reported",
        ("score", "baseline", "gain"),
    )
    standing = [each for each in claims if not each.refuted]
    for claim in sorted(standing, key=lambda each: -(each.verdict.effect or 0.0)):
        scores = (number(claim.verdict.score), number(floor.mean))
        table.add_row(plain(claim.slug), *scores, f"{claim.verdict.effect or 0.0:+.4f}")
    table.caption = f"Unconfirmed. {_untested(standing or claims)}"
    return Group(table, *_refuted(claims))


def evidence_part(run: Run, name: str) -> list[str]:
    """All that tried to refute the claim of one trial, for its page; [] where it claims nothing."""
    path = run.folder / "claims.json"
    claims = read(path, Claims).claims if path.is_file() else ()
    claim = next((each for each in claims if each.name == name), None)
    if claim is None or not claim.evidence:
        return []
    lines = ["\n[bold]what tried to refute it[/bold]"]
    for each in claim.evidence:
        cost = each.cost
        times = "" if each.ratio is None else f" ({each.ratio:.2f} times)"
        ran = (
            f"{times} ({cost.experiments} experiments, {cost.seconds:.1f} s)"
            if cost.experiments
            else times
        )
        lines.append(f"  {MARKS[each.outcome]:9} {each.falsifier}: {plain(each.reason)}{ran}")
    if claim.test_effect is not None:
        gap = f", {claim.gap:+.4f} less than on validation" if claim.gap is not None else ""
        lines.append(f"  sealed test split: {_on_test(claim)}{gap}")
    if claim.fidelity:
        said = claim.fidelity
        lines.append(
            f"[bold]does the code do what the idea says[/bold] (opinion of {model_name(run)}) "
            f"{said.faithful}: {plain(said.reason)}"
        )
    return lines
