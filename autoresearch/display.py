"""Progress of a run while it runs, read from its directory: the loop knows nothing of it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from autoresearch.claimed import claims_part
from autoresearch.report import (
    Row,
    best_of,
    headline,
    ideas_table,
    mark_of,
    plain,
    printable,
    rows_of,
)
from autoresearch.spending import spending_part
from autoresearch.store import Run

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

INTERVAL = 0.5  # seconds between two looks at the directory
SHOWN = 60  # ideas in a summary


@contextmanager
def watching(run: Run, console: "Console") -> Iterator[None]:
    """Show the run's progress until the block ends: live on a terminal, one line an event elsewhere."""
    stop = threading.Event()
    show = _live if console.is_terminal else _lines
    thread = threading.Thread(target=show, args=(run, console, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def summary(run: Run, console: "Console", limit: int = SHOWN) -> None:
    """The run as a table, its claims and where it is. Of a long run the best `limit` ideas."""
    rows = rows_of(run)
    console.print(headline(run))
    console.print(ideas_table(run, best_of(rows, limit)))
    if len(rows) > limit:
        console.print(
            f"the {limit} largest gains of {len(rows)} ideas; `show --all` shows every one"
        )
    for part in (claims_part(run), spending_part(run)):
        if part is not None:
            console.print(part)


def _live(run: Run, console: "Console", stop: threading.Event) -> None:
    from rich.live import Live

    began = time.monotonic()
    with Live(console=console, transient=True, auto_refresh=False) as live:
        while True:
            live.update(_screen(run, began, console.height), refresh=True)
            if stop.wait(INTERVAL):
                return


def _screen(run: Run, began: float, height: int) -> "RenderableType":
    from rich.console import Group

    rows = rows_of(run)
    room = max(4, height - 15)
    elapsed = time.monotonic() - began
    status = f"[bold]{_phase(run, rows)}[/bold]  {int(elapsed // 60)}:{int(elapsed % 60):02} here"
    notes = [f"[yellow]{plain(note)}[/yellow]" for note in run.notes()[-3:]]
    return Group(headline(run), status, *notes, ideas_table(run, rows[-room:], compact=True))


def _phase(run: Run, rows: list[Row]) -> str:
    """What the run is busy with as a whole."""
    if not (run.folder / "data.json").is_file() and (run.task_folder / "data.py").is_file():
        return "making the data"
    if not (run.folder / "floor.json").is_file():
        done = len(list((run.folder / "baseline").glob("seed-*-score.json")))
        return f"measuring the baseline: {done} seeds done"
    done = sum(row.lesson is not None for row in rows)
    if done < len(rows):
        return (
            f"round {rows[-1].round + 1} of {run.settings.rounds}: {done} of {len(rows)} ideas done"
        )
    thinking = len(list(run.folder.glob("round-*/think.json"))) + 1
    if thinking > run.settings.rounds:
        return "claims" if mark_of(run) else "trying to refute what improved"
    return f"round {thinking} of {run.settings.rounds}: thinking"


def _lines(run: Run, console: "Console", stop: threading.Event) -> None:
    """For logs: each note, phase and finished idea once."""
    said: set[str] = set()
    while True:
        finished = stop.wait(INTERVAL)
        for line in _events(run):
            if line not in said:
                said.add(line)
                console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
        if finished:
            return


def _events(run: Run) -> list[str]:
    rows = rows_of(run)
    done = [row for row in rows if row.lesson is not None]
    over = (run.folder / "claims.json").is_file()
    phase = [] if over or (done and len(done) < len(rows)) else [_phase(run, rows)]
    return [*run.notes(), *map(_event, done), *phase]


def _event(row: Row) -> str:
    verdict = row.lesson.verdict if row.lesson else None
    said = f"{verdict.outcome.value}: {verdict.reason}" if verdict else ""
    return f"{row.round}.{row.number} {row.idea.slug}: {said}"
