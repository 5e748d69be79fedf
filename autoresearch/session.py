"""One session of work on a run, new or resumed: under its lock, with the progress on screen, to its page."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from autoresearch.assembly import extend_budget, open_lab
from autoresearch.buildlog import building
from autoresearch.display import summary, watching
from autoresearch.errors import AutoresearchError, BudgetEnded, RunFailed
from autoresearch.loop import research
from autoresearch.page import write_page
from autoresearch.sandbox.probe import described
from autoresearch.store import Run

if TYPE_CHECKING:
    from rich.console import Console


def work(found: Run, console: "Console", budget: Sequence[str] = ()) -> None:
    """Run or resume. What was measured is shown also when a budget ends; the page is written whenever the
    baseline was measured. Raises what ended the run."""
    try:
        ended = _research(found, console, budget)
    except RunFailed:
        with suppress(AutoresearchError):  # what failed first is what the user should read
            _leave_page(found)
        raise
    summary(found, console)
    if _leave_page(found):
        console.print(f"page      {found.folder / 'report.html'}", highlight=False, soft_wrap=True)
    if ended is not None:
        raise ended


def _leave_page(found: Run) -> bool:
    """Whether there was something to show on it. The lock is free by then: the page says what has ended."""
    measured = (found.folder / "floor.json").is_file()
    if measured:
        write_page(found)
    return measured


def _research(found: Run, console: "Console", budget: Sequence[str]) -> BudgetEnded | None:
    """What ended it early, if a budget did."""
    with found.locked():
        stop_on_interrupt(f"autoresearch resume {found.folder}")
        extend_budget(found, budget)
        lab = open_lab(found, found.settings.parallel, partial(building, console))
        console.print(f"run {found.folder}", highlight=False)
        console.print(f"sandbox: {described(lab.sandbox.name)}", highlight=False)
        if "recognised" in found.manifest:
            console.print(f"task: {found.manifest['recognised']}", highlight=False)
        try:
            with watching(found, console):
                research(lab)
        except BudgetEnded as error:
            return error
        except RunFailed as error:
            error.args = (f"{error} [autoresearch resume {found.folder.name}]",)
            raise
        finally:
            lab.close()
    return None


def stop_on_interrupt(again: str) -> None:
    """Ctrl-C and SIGTERM end the process at once; `again` is the command that goes on. What is recorded
    is on disk; sandboxes end with their orchestrator."""

    def stop(number: int, _frame: object) -> None:
        sys.stdout.flush()
        show_cursor = "\x1b[?25h" if sys.stdout.isatty() else ""
        os.write(2, f"{show_cursor}\nstopped; go on with: {again}\n".encode())
        os._exit(128 + number)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
