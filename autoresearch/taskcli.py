"""The commands on task folders."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from autoresearch.errors import BadInput

if TYPE_CHECKING:
    from rich.console import Console

task_app = typer.Typer(no_args_is_help=True, help="Work with task folders.")

Metric = Annotated[
    str | None,
    typer.Option(
        help="Of a folder without a task.toml: a pattern for what it prints, or the metric's name."
    ),
]
Folder = Annotated[str, typer.Argument(metavar="DIR", help="A task's folder or name.")]
Wall = Annotated[str | None, typer.Option(help="docker, local, auto or none.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Any setting, for example model.temperature=0.7."
    ),
]
Data = Annotated[
    Path | None, typer.Option(help="A data set's folder, for tasks that need one of yours.")
]
Direction = Annotated[str | None, typer.Option(help="Its direction: maximize or minimize.")]


@task_app.command()
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.")],
    source: Annotated[Path | None, typer.Option("--from", metavar="CODE", help="A program or a folder of code to become the baseline; left as it is.")] = None,
    metric: Annotated[str, typer.Option(help="accuracy, error, mse, rmse, mae, or a name of your own.")] = "accuracy",
    direction: Annotated[Literal["maximize", "minimize"] | None, typer.Option(help="Of a metric of your own.")] = None,
) -> None:  # fmt: skip
    """Write a task around existing code, or a small example to start from."""
    from autoresearch import records
    from autoresearch.newtask import new_task

    wanted = records.Direction(direction) if direction else None
    for line in new_task(folder, source, metric, wanted):
        typer.echo("".join(c for c in line if c.isprintable()))


@task_app.command()
def check(
    folder: Folder,
    metric: Metric = None,
    direction: Direction = None,
    data: Data = None,
    sandbox: Wall = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out the noise floor, which runs all seeds.")] = False,
    gain: Annotated[float | None, typer.Option(min=0, help="The gain that should be seen, in the metric's unit (default: a tenth of what is left to a perfect score).")] = None,
    assignments: Assignments = None,
) -> None:  # fmt: skip
    """Run a task's data recipe, baseline and scorer, and say what is wrong with them."""
    from rich.console import Console
    from rich.text import Text

    from autoresearch.buildlog import building
    from autoresearch.config import load_settings
    from autoresearch.taskcheck import Wish, check_task

    options = {"task": folder, "metric": metric, "direction": direction, "sandbox.kind": sandbox,
               "data": data and str(data), "model.name": "offline"}  # fmt: skip
    settings = load_settings(Path(), options, assignments or ())
    console, counts = Console(highlight=False), {"error": 0, "warning": 0, "ok": 0}
    with _progress(console) as say:
        for finding in check_task(settings, Wish(quick, gain), say, partial(building, console)):
            counts[finding.level] += 1
            for line in finding.lines():
                text = Text("".join(c for c in line if c.isprintable()))
                text.highlight_regex("^(?P<red>error)|^(?P<yellow>warning)|^(?P<green>ok)", "")
                console.print(text, soft_wrap=True)
    typer.echo(
        f"{counts['error']} to mend, {counts['warning']} to think about, {counts['ok']} fine"
    )
    if counts["error"]:
        raise typer.Exit(BadInput.exit_code)


@task_app.command()
def lock(folder: Folder, sandbox: Wall = None, assignments: Assignments = None) -> None:
    """Write requirements.lock: exactly what its environment holds, which is installed from then on."""
    from rich.console import Console

    from autoresearch.buildlog import building
    from autoresearch.config import load_settings
    from autoresearch.walls import write_lock

    options = {"task": folder, "sandbox.kind": sandbox, "model.name": "offline"}
    settings = load_settings(Path(), options, assignments or ())
    typer.echo(f"wrote {write_lock(settings, partial(building, Console()))}")


@contextmanager
def _progress(console: "Console") -> Iterator[Callable[[str], None]]:
    """A line that says what is being done, on a terminal only."""
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("") as status:
        yield status.update
