"""The commands on task folders: `autoresearch task ...`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

task_app = typer.Typer(no_args_is_help=True, help="Work with task folders.")

Folder = Annotated[str, typer.Argument(metavar="DIR", help="A task's folder or name.")]
Wall = Annotated[str | None, typer.Option(help="docker, local, auto or none.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Any setting, for example model.temperature=0.7."
    ),
]

Metric = Annotated[
    str | None,
    typer.Option(
        help="Of a folder without a task.toml: a pattern for what it prints, or the metric's name."
    ),
]
Direction = Annotated[str | None, typer.Option(help="Its direction: maximize or minimize.")]


@task_app.command()
def check(
    folder: Folder,
    metric: Metric = None,
    direction: Direction = None,
    sandbox: Wall = None,
    assignments: Assignments = None,
) -> None:
    """Run a task's data recipe, baseline and scorer once, and say what is wrong with it."""
    from rich.console import Console

    from autoresearch.buildlog import building
    from autoresearch.config import load_settings
    from autoresearch.doctor import check_task

    options = {"task": folder, "metric": metric, "direction": direction, "sandbox.kind": sandbox, "model.name": "offline"}  # fmt: skip
    settings = load_settings(Path(), options, assignments or ())
    for line in check_task(settings, partial(building, Console())):
        typer.echo(line)


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
