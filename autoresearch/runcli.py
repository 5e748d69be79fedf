"""What commands on a run share, and those that reproduce an idea and take it home."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoresearch.errors import NotTheSame, RunFailed

if TYPE_CHECKING:
    from rich.console import Console

    from autoresearch.records import Lesson
    from autoresearch.reproduced import Reproduction
    from autoresearch.store import Desk, Run

Budgets = Annotated[
    list[str] | None,
    typer.Option(
        "--budget", metavar="AMOUNT", help="The most to spend: 5usd, 3Mtok, 10gpuh, 2h; repeatable."
    ),
]
RunsFolder = Annotated[
    Path | None, typer.Option("--runs", help="Where runs are kept (default: runs).")
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder or name.")]


def find(name: str, runs: Path | None) -> "Run":
    """The run of that folder or name. Raises BadInput where there is none."""
    from autoresearch.config import load_settings
    from autoresearch.store import Run, find_run

    options = {"runs": None if runs is None else str(runs)}
    return Run(find_run(name, load_settings(Path(), options).runs))


def reproduce(
    name: RunName,
    idea: Annotated[str, typer.Argument(metavar="IDEA", help="An idea's slug or its number, such as 0.3.")],
    seeds: Annotated[int | None, typer.Option(metavar="N", help="Fresh seeds to run (default: as many as the task has, at least 3).")] = None,
    budget: Budgets = None,
    runs: RunsFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON object, and nothing else, on standard output.")] = False,
) -> None:  # fmt: skip
    """Run baseline and idea again on fresh seeds, and say whether the gain holds (exit code 0) or not (1)."""
    from rich.console import Console

    from autoresearch.assembly import extend_budget
    from autoresearch.detail import find_row
    from autoresearch.reproduced import reproduction_part
    from autoresearch.reproduction import lesson_of, open_reproduction
    from autoresearch.session import stop_on_interrupt

    found, console = find(name, runs), Console(stderr=as_json, highlight=False)
    lesson = lesson_of(find_row(found, idea))
    with found.locked():
        stop_on_interrupt(f"autoresearch reproduce {found.folder} {lesson.idea.slug}")
        desk = open_reproduction(found, lesson, seeds)
        extend_budget(found, budget or [])
        made = _reproduced(found, desk, lesson, seeds, console, as_json)
    if as_json:
        typer.echo(made.model_dump_json(indent=1))
    else:
        console.print(reproduction_part(made, desk.folder))
    if not made.holds:
        raise typer.Exit(1)


def apply(
    name: RunName,
    idea: Annotated[str, typer.Argument(metavar="IDEA", help="An idea's slug or its number, such as 0.3.")],
    to: Annotated[Path, typer.Option("--to", metavar="REPOSITORY", help="Your git repository.")] = Path(),
    directory: Annotated[str | None, typer.Option("--directory", metavar="SUB", help="Where in it the baseline's code is (default: looked for).")] = None,
    branch: Annotated[str | None, typer.Option("--branch", help="The branch to make, from HEAD (default: autoresearch/IDEA).")] = None,
    unconfirmed: Annotated[bool, typer.Option("--unconfirmed", help="Also what is refuted, self-reported or no claim; the commit says so.")] = False,
    runs: RunsFolder = None,
) -> None:  # fmt: skip
    """Make an idea's patch a commit in your repository, whose message states the claim.

    The commit is on a new branch; your working tree, your index and HEAD stay as they are."""
    from autoresearch.application import Wish
    from autoresearch.application import apply as apply_to
    from autoresearch.detail import find_row

    run = find(name, runs)
    for line in apply_to(run, find_row(run, idea), Wish(to, directory, branch, unconfirmed)):
        typer.echo(line)


def _reproduced(
    found: "Run", desk: "Desk", lesson: "Lesson", seeds: int | None, console: "Console", as_json: bool
) -> "Reproduction":  # fmt: skip
    """In the sandbox and environment of the run, or not at all."""
    import json

    from autoresearch.assembly import open_bench
    from autoresearch.buildlog import building
    from autoresearch.reproduction import reproduce
    from autoresearch.sandbox.probe import described

    try:
        lab = open_bench(found, found.settings.parallel, partial(building, console))
    except NotTheSame as error:
        if as_json:
            answer = {"slug": lesson.idea.slug, "holds": None, "reason": f"not run: {error}"}
            typer.echo(json.dumps(answer))
        raise RunFailed(f"does not reproduce here: {error}") from None
    try:
        console.print(f"reproducing {lesson.idea.slug} of {found.folder}", soft_wrap=True)
        console.print(f"sandbox: {described(lab.sandbox.name)}", soft_wrap=True)
        with _progress(console) as told:
            return reproduce(found, lab, desk, lesson, seeds, told)
    except RunFailed as error:
        again = f"autoresearch reproduce {found.folder.name} {lesson.idea.slug}"
        error.args = (f"{error} [{again}]",)
        raise
    finally:
        lab.close()


@contextmanager
def _progress(console: "Console") -> Iterator[Callable[[str], None]]:
    """The last seed that is done and the time on a terminal, a line for each seed elsewhere."""
    from autoresearch.report import printable

    if not console.is_terminal:
        yield lambda line: console.print(printable(line), markup=False, soft_wrap=True)
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.text import Text

    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.completed} seeds done"))
    with Progress(*columns, console=console, transient=True) as progress:
        work = progress.add_task("")

        def told(line: str) -> None:
            progress.console.print(Text(printable(line), "dim"), overflow="ellipsis", no_wrap=True)
            progress.advance(work)

        yield told
