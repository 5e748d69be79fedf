"""The log of an environment's build on screen while it grows: its end on a terminal, all of it elsewhere."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from autoresearch.report import printable

if TYPE_CHECKING:
    from rich.console import Console

INTERVAL = 0.25  # seconds between two looks at the log
SHOWN = 8  # lines on a terminal


@contextmanager
def building(console: "Console", log: Path) -> Iterator[None]:
    """Show what is written to `log` until the block ends."""
    say(console, f"building the environment, once for this recipe (log: {log})")
    stop, began = threading.Event(), time.monotonic()
    show = _live if console.is_terminal else _lines
    thread = threading.Thread(target=show, args=(log, console, stop), daemon=True)
    thread.start()
    try:
        yield
        stop.set()
        thread.join()
        say(console, f"built in {time.monotonic() - began:.0f} s")
    finally:
        stop.set()
        thread.join()


def say(console: "Console", line: str) -> None:
    console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def _lines(log: Path, console: "Console", stop: threading.Event) -> None:
    with log.open(errors="replace") as file:
        started = ""
        while True:
            finished = stop.wait(INTERVAL)
            *whole, started = (started + file.read()).split("\n")
            for line in filter(str.strip, [*whole, started] if finished else whole):
                say(console, f"  {line}")
            if finished:
                return


def _live(log: Path, console: "Console", stop: threading.Event) -> None:
    from rich.live import Live
    from rich.text import Text

    began = time.monotonic()
    with log.open("rb") as file, Live(console=console, transient=True, auto_refresh=False) as live:
        while True:
            elapsed = int(time.monotonic() - began)
            shown = [f"{elapsed // 60}:{elapsed % 60:02}", *_last(file)]
            live.update(Text("\n".join(shown), "dim", no_wrap=True), refresh=True)
            if stop.wait(INTERVAL):
                return


def _last(file: IO[bytes]) -> list[str]:
    """The last lines, of logs of any length."""
    file.seek(max(0, file.seek(0, 2) - 400 * SHOWN))
    lines = file.read().decode(errors="replace").splitlines()
    return [printable(line)[:300] for line in lines if line.strip()][-SHOWN:]
