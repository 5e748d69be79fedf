"""A run as a person reads it: read from its directory, shown as tables. No state of its own."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from autoresearch.errors import BadInput
from autoresearch.levels import PROCEDURE, tests_planned
from autoresearch.records import Agenda, Floor, Idea, Lesson, Outcome, Task
from autoresearch.spending import spending_line
from autoresearch.store import Run, list_runs, read

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

STYLES = {
    Outcome.improved: "bold green",
    Outcome.maintained: "yellow",
    Outcome.declined: "red",
    Outcome.failed: "magenta",
}


MARK = "self-reported"


@dataclass(frozen=True)
class Row:
    """One idea of a run and how far it is; `lesson` is None while it is worked on."""

    round: int
    number: int
    idea: Idea
    folder: Path
    lesson: Lesson | None

    def progress(self) -> str:
        """What is being done now, told from the files that are there already."""
        if not self.folder.is_dir():
            return "waiting"
        names = {path.name for path in self.folder.iterdir()}
        if "practice.json" in names:
            return "review"
        seeds = sum(name.startswith("seed-") and name.endswith("-score.json") for name in names)
        if any(name.startswith("seed-") for name in names):
            return f"{seeds + 1} seeds"
        attempt = sum(name.endswith("-patch.json") for name in names)
        ran = sum(name.endswith("-run.json") for name in names)
        return f"running {attempt}" if attempt > ran else f"writing {attempt + 1}"


def rows_of(run: Run) -> list[Row]:
    """Every idea on the run's agendas, in order."""
    rows = []
    for folder in sorted(run.folder.glob("round-*"), key=lambda each: (len(each.name), each.name)):
        number = int(folder.name.removeprefix("round-"))
        if (folder / "think.json").is_file():
            agenda = read(folder / "think.json", Agenda)
            for place, idea in enumerate(agenda.ideas):
                rows.append(_row(number, place, idea, folder / f"{place}-{idea.slug}"))
    return rows


def _row(round_number: int, place: int, idea: Idea, folder: Path) -> Row:
    path = folder / "feedback.json"
    lesson = _lesson(path, path.stat().st_mtime_ns) if path.is_file() else None
    return Row(round_number, place, idea, folder, lesson)


@lru_cache(maxsize=20_000)
def _lesson(path: Path, _changed: int) -> Lesson:
    """A lesson never changes; a live display would otherwise read them all twice a second."""
    return read(path, Lesson)


def best_of(rows: list[Row], limit: int) -> list[Row]:
    """At most `limit` rows of a long run, in order: the largest gains, and what is worked on."""

    def weight(row: Row) -> float:
        if row.lesson is None:
            return float("inf")
        effect = row.lesson.verdict.effect
        return float("-inf") if effect is None else effect

    chosen = {id(row) for row in sorted(rows, key=weight, reverse=True)[:limit]}
    return [row for row in rows if id(row) in chosen]


def state_of(run: Run) -> str:
    """Finished, being worked on, or waiting to be resumed."""
    if (run.folder / "claims.json").is_file():
        return "finished"
    return "running" if run.is_held() else "interrupted"


def floor_of_run(run: Run) -> Floor | None:
    path = run.folder / "floor.json"
    return read(path, Floor) if path.is_file() else None


# --- tables -------------------------------------------------------------------------------------


def facts_of(run: Run) -> dict[str, str]:
    """What the run is, in a few lines, which are untrusted text."""
    settings, floor = run.settings, floor_of_run(run)
    origin = run.manifest.get("recognised")
    facts = {
        "topic": settings.topic,
        "task": run.task_name + (f" ({origin})" if origin else ""),
        "model": model_name(run),
        "sandbox": str(run.manifest["sandbox"]["name"]),
        "run": f"{run.folder} ({state_of(run)})",
        **({"carried": run.manifest["carried"]} if "carried" in run.manifest else {}),
    }
    if floor is not None:
        facts["baseline"] = _floor_line(run, floor)
    return facts | {"spent": spending_line(run)}


def headline(run: Run) -> "RenderableType":
    """The facts, for a terminal."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    for name, value in facts_of(run).items():
        grid.add_row(f"[dim]{name}[/dim]", plain(value))
    return grid


def model_name(run: Run) -> str:
    name = run.settings.model.name
    if name.startswith("replay:"):
        return f"{name} ({run.manifest.get('origin', 'recorded')})"
    return "offline (no language model)" if name == "offline" else name


def _floor_line(run: Run, floor: Floor) -> str:
    task, seeds = task_of(run), len(floor.measurements)
    where = "self-reported" if task.reported else "on validation"
    line = f"{task.metric} {floor.mean:.4f} {where}, {seeds} seeds"
    if floor.deviation is not None and floor.smallest_gain is not None:
        line += (
            f", sd {floor.deviation:.4f}; 4 times in 5 a gain of {floor.smallest_gain:.4f} is found"
        )
    return line


def task_of(run: Run) -> Task:
    from autoresearch.config import load_task

    return load_task(run.task_folder)


def whence(task: Task) -> str:
    """Where the scores of a task are from."""
    if task.reported:
        return "self-reported: the program's own figure, checked by nothing"
    return "validation, from score.py"


def ideas_table(run: Run, rows: list[Row], compact: bool = False) -> "Table":
    """All ideas with attempts, verdict, score and gain; the caption says where numbers are from.
    `compact` is one line an idea, for a live screen."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, caption=caption_of(run))
    table.caption_justify = "left"
    for name in ("#", "tries", "verdict", "score", "gain"):
        table.add_column(name, justify="left" if name == "verdict" else "right", no_wrap=True)
        if name == "#":
            table.add_column("idea", overflow="ellipsis" if compact else "fold", no_wrap=compact)
    for row in rows:
        title = row.idea.slug if compact else _title(row)
        table.add_row(f"{row.round}.{row.number}", plain(title), *_outcome_cells(row, compact))
    return table


def caption_of(run: Run) -> str:
    """Where the numbers of the table of ideas are from."""
    floor, task = floor_of_run(run), task_of(run)
    seeds = f"mean over the seeds run (up to {len(floor.measurements) if floor else 0})"
    where = (
        f", {seeds}, {whence(task)}" if task.reported else f" on validation, {seeds}, from score.py"
    )
    return (
        f"score: {task.metric}{where}. gain: paired with the baseline's seeds, ± half a 95 % interval; where "
        f"seeds are named, the others could not make it improved. {_level(run, floor)}"
    )


def _level(run: Run, floor: Floor | None) -> str:
    if floor is None:
        return ""
    return (
        f"verdicts: {PROCEDURE}, which holds the false discovery rate of the run below {run.settings.alpha:g}: "
        f"p below {floor.alpha:.2g} ({run.settings.alpha:g} over the {tests_planned(run.settings)} ideas that it may test) times one more "
        "than the ideas from the baseline that improved in earlier rounds."
    )


def _title(row: Row) -> str:
    """The slug, and below it the parent: an idea may improve on the baseline and yet fall behind the
    idea that it was built on."""
    return row.idea.slug if row.idea.parent is None else f"{row.idea.slug}\n↳ {row.idea.parent}"


def _outcome_cells(row: Row, compact: bool) -> tuple[str, str, str, str]:
    if row.lesson is None:
        return "", f"[dim]{row.progress()}[/dim]", "", ""
    verdict = row.lesson.verdict
    style = STYLES[verdict.outcome]
    score = "-" if verdict.score is None else f"{verdict.score:.4f}"
    return (
        str(row.lesson.attempts),
        f"[{style}]{verdict.outcome.value}[/{style}]",
        score,
        gain_of(row.lesson, compact),
    )


def gain_of(lesson: Lesson, compact: bool = False) -> str:
    """The gain; below it, unless `compact`, how many seeds it took to stop the idea, and its gain over
    what it was built on."""
    verdict = lesson.verdict
    if verdict.effect is None:
        return "-"
    stopped = verdict.p is None and (verdict.interval is not None or verdict.seeds == 1)
    seeds = f"{verdict.seeds} seed{'s' if verdict.seeds > 1 else ''}" if stopped else ""
    half = ""
    if verdict.interval is not None:
        low, high = verdict.interval
        half = f" ±{max(verdict.effect - low, high - verdict.effect):.4f}"
    if compact:
        return f"{verdict.effect:+.4f}" + (f", {seeds}" if seeds else half)
    above = "" if verdict.over_parent is None else f"{verdict.over_parent:+.4f} on parent"
    return "\n".join(line for line in (f"{verdict.effect:+.4f}{half}", seeds, above) if line)


def mark_of(run: Run) -> str:
    """What the scores of a run are worth, where space is short."""
    return MARK if run.manifest.get("scores") == MARK else ""


def number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def runs_table(runs: Path) -> "Table":
    """All runs below a folder."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, expand=True)
    table.add_column(
        "run", no_wrap=True, min_width=max((len(f.name) for f in list_runs(runs)), default=3)
    )
    table.add_column("state", no_wrap=True, min_width=11)
    for name in ("ideas", "improved"):
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    table.add_column("topic", overflow="ellipsis", no_wrap=True, ratio=1)
    for folder in list_runs(runs):
        try:
            run = Run(folder)
            rows = rows_of(run)
        except BadInput as error:
            table.add_row(folder.name, "unreadable", "", "", plain(str(error)))
            continue
        good = [
            row for row in rows if row.lesson and row.lesson.verdict.outcome is Outcome.improved
        ]
        done = sum(row.lesson is not None for row in rows)
        mark = f"({mark_of(run)}) " if mark_of(run) else ""
        table.add_row(
            folder.name, state_of(run), f"{done}/{len(rows)}", str(len(good)),
            mark + plain(run.settings.topic),
        )  # fmt: skip
    return table


def plain(text: str) -> str:
    """Untrusted text for a terminal: no markup and no control characters."""
    from rich.markup import escape

    return escape(printable(text))


def printable(text: str) -> str:
    """Without control characters, which a terminal would obey."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")
