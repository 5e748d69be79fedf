"""What a finished run claims, as a person reads it: what stands, what was refuted and by what."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from autoresearch.chart import Kind
from autoresearch.records import Claim, Claims, Cost, Idea, Lesson, Trial
from autoresearch.report import Row, floor_of_run, model_name, number, plain, rows_of, task_of
from autoresearch.reproduced import claim_of, command_of
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


NOTHING = "No idea improved on the baseline beyond noise; the test split was not opened."
NOTHING_REPORTED = (
    "No idea improved on the baseline beyond noise (self-reported; there is no sealed test)."
)


def claims_of(run: Run) -> Claims | None:
    """What a finished run claims, the largest gain on the test split first; None while it is not finished."""
    path = run.folder / "claims.json"
    if not path.is_file():
        return None
    found = read(path, Claims)
    return found.model_copy(update={"claims": tuple(sorted(found.claims, key=_smallest_last))})


def _smallest_last(claim: Claim) -> float:
    return -((claim.verdict.effect if claim.self_reported else claim.test_effect) or 0.0)


def claims_part(run: Run) -> "RenderableType | None":
    """What a finished run ended with: test scores of what improved, and what that does not say."""
    found = claims_of(run)
    if found is None:
        return None
    claims = list(found.claims)
    if task_of(run).reported:
        return _self_reported(run, claims)
    if not claims:
        return f"\n{NOTHING}"
    from rich.console import Group

    standing = [claim for claim in claims if not claim.refuted]
    opened = any(claim.test_effect is not None for claim in claims)
    said = "on the sealed test split, opened once" if opened else "the test split was not opened"
    first = _table(standing) if standing else f"\nNo gain stands; {said}."
    return Group(first, *_refuted(claims), *_took(run), _again(run, claims))


def _took(run: Run) -> list[str]:
    line = falsifiers_line(run)
    return [f"\nfalsifiers took {line}"] if line else []


def falsifiers_line(run: Run) -> str:
    """How much of the seconds that the run's experiments took went into refuting gains, from claims.json; ""
    where nothing was run for that."""
    claims = claims_of(run)
    if claims is None or claims.everything.experiments == 0:
        return ""
    tests = _sum([claims.shared, *(each.cost for c in claims.claims for each in c.evidence)])
    if tests.experiments == 0:
        return ""
    line = f"{_shares(tests, claims.everything)} of all experiments"
    control = _shares(claims.control, claims.everything)
    return f"{line}; the control arm {control}" if claims.control.experiments else line


def _shares(part: Cost, whole: Cost) -> str:
    wall, cpu = (
        f"{mine:.1f} of {all_of_it:.1f} {unit} ({100 * mine / max(all_of_it, 1e-9):.0f} %)"
        for mine, all_of_it, unit in (
            (part.seconds, whole.seconds, "s"),
            (part.cpu_seconds, whole.cpu_seconds, "CPU-s"),
        )
    )
    return f"{wall} and {cpu}"


def _sum(costs: list[Cost]) -> Cost:
    return Cost(
        experiments=sum(each.experiments for each in costs),
        seconds=sum(each.seconds for each in costs),
        cpu_seconds=sum(each.cpu_seconds for each in costs),
    )


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
        lines.append(f"[red]refuted[/red] {plain(claim.slug)}: {plain(why_refuted(claim))}")
    return ["", *lines] if lines else []


def why_refuted(claim: Claim) -> str:
    """By what, and why; untrusted text."""
    found = [each for each in claim.evidence if each.outcome == "refuted"]
    why = "; ".join(f"{each.falsifier}: {each.reason}" for each in found)
    return why or f"not {claim.refuted[0]}: {_on_test(claim)}"


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
        return f"\n{NOTHING_REPORTED}"
    table = _empty(
        "Self-reported gains. No sealed test: the program's own figure",
        "self-reported",
        ("score", "baseline", "gain"),
    )
    standing = [each for each in claims if not each.refuted]
    for claim in standing:
        scores = (number(claim.verdict.score), number(floor.mean))
        table.add_row(plain(claim.slug), *scores, f"{claim.verdict.effect or 0.0:+.4f}")
    table.caption = f"Unconfirmed. {_untested(standing or claims)}"
    return Group(table, *_refuted(claims), *_took(run), _again(run, claims))


def _again(run: Run, claims: list[Claim]) -> str:
    """The command that runs a claim again, once for all of them."""
    command = command_of(run, "IDEA" if len(claims) > 1 else claims[0].slug)
    return f"\nRun the baseline and a claim again, on fresh seeds:\n{plain(command)}"


def evidence_part(run: Run, name: str) -> list[str]:
    """All that tried to refute the claim of one trial, for its page; [] where it claims nothing."""
    claim = claim_of(run, name)
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
    if claim.environment is not None:
        lines.append(f"  commit {claim.commit[:10]}, environment {claim.environment}")
    if claim.fidelity:
        said = claim.fidelity
        lines.append(
            f"[bold]does the code do what the idea says[/bold] (opinion of {model_name(run)}) "
            f"{said.faithful}: {plain(said.reason)}"
        )
    return lines


@dataclass(frozen=True)
class Entry:
    """One idea of a run with what it claims; `trial` is read for claims only."""

    row: Row
    claim: Claim | None
    trial: Trial | None

    @property
    def idea(self) -> Idea:
        return self.row.idea

    @property
    def lesson(self) -> Lesson | None:
        return self.row.lesson

    @property
    def place(self) -> str:
        return f"{self.row.round}.{self.row.number}"

    @property
    def anchor(self) -> str:
        return f"idea-{self.row.round}-{self.row.number}"

    @property
    def kind(self) -> Kind:
        return self.lesson.verdict.outcome.value if self.lesson else "unfinished"

    @property
    def claim_state(self) -> Literal["stands", "refuted", ""]:
        if self.claim is None:
            return ""
        return "refuted" if self.claim.refuted else "stands"


def entries_of(run: Run) -> list[Entry]:
    """Every idea of the run, in order, with what it claims."""
    found = claims_of(run)
    claims = {claim.name: claim for claim in found.claims} if found else {}
    return [_entry(row, claims.get(trial_name(row))) for row in rows_of(run)]


def _entry(row: Row, claim: Claim | None) -> Entry:
    return Entry(row, claim, read(row.folder / "practice.json", Trial) if claim else None)


def trial_name(row: Row) -> str:
    """A trial's name in the records."""
    return f"{row.folder.parent.name}/{row.folder.name}"
