"""The command that takes an idea home."""

from pathlib import Path
from typing import Annotated

import typer


def apply(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder or name.")],
    idea: Annotated[str, typer.Argument(metavar="IDEA", help="An idea's slug or its number, such as 0.3.")],
    to: Annotated[Path, typer.Option("--to", metavar="REPOSITORY", help="Your git repository.")] = Path(),
    directory: Annotated[str | None, typer.Option("--directory", metavar="SUB", help="Where in it the baseline's code is (default: looked for).")] = None,
    branch: Annotated[str | None, typer.Option("--branch", help="The branch to make, from HEAD (default: autoresearch/IDEA).")] = None,
    unconfirmed: Annotated[bool, typer.Option("--unconfirmed", help="Also what is refuted, self-reported or no claim; the commit says so.")] = False,
    runs: Annotated[Path | None, typer.Option("--runs", help="Where runs are kept (default: runs).")] = None,
) -> None:  # fmt: skip
    """Make an idea's patch a commit in your repository, whose message states the claim.

    The commit is on a new branch; your working tree, your index and HEAD stay as they are."""
    from autoresearch.application import Wish, apply
    from autoresearch.config import load_settings
    from autoresearch.detail import find_idea
    from autoresearch.store import Run, find_run

    settings = load_settings(Path(), {"runs": None if runs is None else str(runs)})
    run = Run(find_run(name, settings.runs))
    for line in apply(run, find_idea(run, idea), Wish(to, directory, branch, unconfirmed)):
        typer.echo(line)
