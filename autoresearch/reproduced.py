"""Reproductions of a run's ideas: what is on disk of them, and how a person reads it.

    reproductions/00-label-smoothing/seeds.json    the fresh seeds, drawn before anything ran
    reproductions/00-label-smoothing/result.json   what came of them

Beside these lie the runs and scores of every seed, `baseline-seed-…` and `idea-seed-…`.
"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autoresearch.records import Claim, Claims, Cost, Lesson, Outcome, Record, Verdict
from autoresearch.report import MARK, number, plain
from autoresearch.store import Run, read

if TYPE_CHECKING:
    from rich.table import Table

FOLDER = "reproductions"


class Drawn(Record):
    """The fresh seeds of one reproduction and the commits that they are for; written before any runs."""

    name: str  # of the trial
    commit: str
    baseline: str
    seeds: tuple[int, ...]
    began: str  # UTC


class Fresh(Record):
    """What baseline and idea scored with one fresh seed; None where there was no score."""

    seed: int
    baseline: float | None
    idea: float | None


class Reproduction(Record):
    """Baseline and idea, run again on fresh seeds from their commits, and whether the gain is there.

    `effect` is the mean paired gain (positive is better) in the metric's unit, `interval` its 95 %
    interval and `p` one-sided for a gain; None where they could not be reckoned. `holds` is None where
    it is undecided. `standing` is what the run itself says of the idea, `differs` what is not as it was
    in the run without making scores incomparable.
    """

    name: str  # of the trial
    slug: str
    commit: str
    baseline: str
    began: str
    ended: str
    metric: str
    split: Literal["validation", "self-reported"]
    standing: str
    claimed: Verdict
    scores: tuple[Fresh, ...]
    effect: float | None
    interval: tuple[float, float] | None
    p: float | None
    test: str
    holds: bool | None
    reason: str
    sandbox: str
    environment: str | None
    differs: tuple[str, ...]
    cost: Cost

    @property
    def answer(self) -> str:
        return {True: "holds", False: "does not hold", None: "undecided"}[self.holds]

    @property
    def shown_metric(self) -> str:
        """With where its values are from."""
        return f"{self.metric} ({MARK})" if self.split == MARK else f"{self.metric} on validation"


STYLES = {True: "bold green", False: "red", None: "yellow"}


def folders_of(run: Path) -> list[Path]:
    """The folders of all reproductions of a run, in the order in which they began."""
    found = [path for path in (run / FOLDER).glob("*-*") if path.name.split("-")[0].isdecimal()]
    return sorted(found, key=lambda path: int(path.name.split("-")[0]))


def is_of(folder: Path, lesson: Lesson) -> bool:
    """Whether a reproduction is one of that idea."""
    if folder.name.partition("-")[2] != lesson.idea.slug:
        return False
    path = folder / "seeds.json"
    return not path.is_file() or read(path, Drawn).name == lesson.name


def last_of(run: Path, lesson: Lesson) -> Reproduction | None:
    """The last finished reproduction of an idea."""
    done = [folder / "result.json" for folder in folders_of(run) if is_of(folder, lesson)]
    paths = [path for path in done if path.is_file()]
    return read(paths[-1], Reproduction) if paths else None


def command_of(run: Run, slug: str) -> str:
    return f"autoresearch reproduce {shlex.quote(run.folder.name)} {slug}"


def claim_of(run: Run, name: str) -> Claim | None:
    """The claim of one trial; None where the run claims nothing of it, or is not finished."""
    path = run.folder / "claims.json"
    claims = read(path, Claims).claims if path.is_file() else ()
    return next((each for each in claims if each.name == name), None)


def standing_of(run: Run, lesson: Lesson) -> str:
    """What the run says of an idea: a claim or not, and what refuted it."""
    outcome, claim = lesson.verdict.outcome, claim_of(run, lesson.name)
    if claim is None:
        improved = outcome is Outcome.improved
        return f"{outcome.value}; " + (
            "nothing has tried to refute it yet" if improved else "not a claim"
        )
    if not claim.refuted:
        return "improved; a claim that stands"
    why = [each.reason for each in claim.evidence if each.outcome == "refuted"]
    return f"improved; the claim was refuted by {claim.refuted[0]}{': ' if why else ''}{'; '.join(why)}"


def with_interval(effect: float | None, interval: tuple[float, float] | None) -> str:
    """ "+0.064 [+0.049, +0.08]"; what is not known is left out, or said."""
    if effect is None:
        return "no gain measured"
    return f"{effect:+.4g}" + (f" [{interval[0]:+.4g}, {interval[1]:+.4g}]" if interval else "")


def reproduction_part(made: Reproduction, folder: Path) -> "Table":
    """One reproduction beside what was claimed."""
    from rich.table import Table

    claimed, grid = made.claimed, Table.grid(padding=(0, 2))
    p = "" if made.p is None else f", p = {made.p:.2g}"
    facts = {
        "idea": f"{made.slug} ({made.standing})",
        "claimed"
        if claimed.outcome is Outcome.improved
        else "in the run": f"{with_interval(claimed.effect, claimed.interval)} {made.shown_metric}, "
        f"{claimed.seeds} seed{'' if claimed.seeds == 1 else 's'}",
        "reproduced": f"{with_interval(made.effect, made.interval)} {made.shown_metric}, "
        f"{len(made.scores)} fresh seeds{p}",
        "scores": "; ".join(
            f"{each.seed}: {number(each.baseline)} to {number(each.idea)}" for each in made.scores
        )
        + " (seed: baseline to idea)",
        "sandbox": made.sandbox,
        "time": f"{made.cost.seconds:.1f} s in the sandbox, {made.cost.experiments} experiments",
        "differs": "; ".join(made.differs),
        "recorded": f"{FOLDER}/{folder.name}/result.json",
    }
    for name, value in facts.items():
        if value:
            grid.add_row(f"[dim]{name}[/dim]", plain(value))
    style = STYLES[made.holds]
    grid.add_row(f"[{style}]{made.answer}[/{style}]", plain(made.reason))
    return grid


def reproductions_part(run: Run, lesson: Lesson) -> list[str]:
    """All reproductions of an idea, and the command for the next one; [] of an idea without a score."""
    if lesson.commit is None or lesson.verdict.outcome is Outcome.failed:
        return []
    lines = ["\n[bold]reproductions[/bold] (baseline and idea again, on fresh seeds)"]
    for folder in folders_of(run.folder):
        if is_of(folder, lesson):
            lines += _line(folder)
    lines += ["  none yet"] if len(lines) == 1 else []
    return [*lines, f"run it again: {plain(command_of(run, lesson.idea.slug))}"]


def _line(folder: Path) -> list[str]:
    if not (folder / "seeds.json").is_file():
        return []
    drawn = read(folder / "seeds.json", Drawn)
    if not (folder / "result.json").is_file():
        return [f"  {drawn.began[:10]} unfinished, {len(drawn.seeds)} seeds; the command goes on"]
    made = read(folder / "result.json", Reproduction)
    style, said = STYLES[made.holds], with_interval(made.effect, made.interval)
    return [
        f"  {made.ended[:10]} [{style}]{made.answer}[/{style}] {said} {plain(made.shown_metric)} "
        f"over {len(made.scores)} fresh seeds ({folder.name})"
    ]
