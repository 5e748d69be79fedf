"""`autoresearch --help` against an empty typer application in the same interpreter."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

EMPTY = """
import typer
app = typer.Typer(add_completion=False)
@app.command()
def one() -> None: "Nothing."
@app.command()
def two() -> None: "Nothing."
app()
"""


def main() -> Iterator[str]:
    empty = [sys.executable, "-c", EMPTY, "--help"]
    ours = [sys.executable, "-m", "autoresearch", "--help"]
    times: dict[str, list[float]] = {"empty": [], "ours": []}
    for _ in range(15):
        for name, command in (("empty", empty), ("ours", ours)):
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - began)
    mine, bare = (statistics.median(times[name]) for name in ("ours", "empty"))
    yield f"--help takes {mine / bare:.2f} of an empty typer app: {mine:.3f} s over {bare:.3f} s (goal 1.5)"
