"""The command line. Only this module prints errors, and only as one line."""

import errno
import os
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from autoresearch.campaigncli import campaign
from autoresearch.errors import AutoresearchError, BadInput
from autoresearch.runcli import Budgets, RunName, RunsFolder, apply, find, reproduce
from autoresearch.taskcli import Assignments, Data, Direction, Metric, task_app

if TYPE_CHECKING:
    from autoresearch.config import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"autoresearch {version('autoresearch')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """A closed-loop research agent whose results hold up."""


app.add_typer(task_app, name="task")


@app.command()
def run(
    topic: Annotated[str | None, typer.Argument(help="The research question; may be left out when the task names one.")] = None,
    task: Annotated[str | None, typer.Option(help="A task that ships with the product, or a folder.")] = None,
    metric: Metric = None,
    direction: Direction = None,
    data: Data = None,
    model: Annotated[str | None, typer.Option(help="A LiteLLM name (anthropic/..., openai/..., ollama/...), offline, or replay:RUN (or a cassette).")] = None,
    api_base: Annotated[str | None, typer.Option(help="An OpenAI-compatible server.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Turns of think, practice, feedback.")] = None,
    ideas: Annotated[int | None, typer.Option(help="Ideas a round.")] = None,
    parallel: Annotated[int | None, typer.Option(help="Ideas worked on at the same time.")] = None,
    sandbox: Annotated[str | None, typer.Option(help="docker, local (memory is measured, not bounded by the kernel), auto (the strongest there is) or none (not a sandbox). docs/sandboxes.md says what each stops.")] = None,
    papers: Annotated[Path | None, typer.Option(help="A folder of PDFs or text files to read.")] = None,
    budget: Budgets = None,
    price: Annotated[str | None, typer.Option(metavar="IN,OUT", help="Dollars per million tokens, for a model whose price is not known.")] = None,
    runs: RunsFolder = None,
    assignments: Assignments = None,
    trust: Annotated[bool, typer.Option("--i-trust-generated-code", help="Allow --sandbox none with a language model.")] = False,
) -> None:  # fmt: skip
    """Start a run: one research topic, from papers to claims."""
    from autoresearch.assembly import start
    from autoresearch.buildlog import building
    from autoresearch.replayed import recorded_defaults
    from autoresearch.session import work

    options = {
        "topic": topic, "task": task, "data": _text(data), "metric": metric, "direction": direction,
        "rounds": rounds, "ideas": ideas, "parallel": parallel,
        "model.name": model, "model.api_base": api_base, "sandbox.kind": sandbox,
        "papers.folder": _text(papers), "runs": _text(runs),
        "sandbox.i_trust_generated_code": trust or None, "budget": budget or None, "model.price": price,
    }  # fmt: skip
    settings = _settings(options, assignments)
    settings = _settings(options, assignments, recorded_defaults(settings))
    work(start(settings, partial(building, _console())), _console())


@app.command()
def resume(
    name: RunName,
    budget: Budgets = None,
    runs: RunsFolder = None,
) -> None:
    """Go on with a run where it stopped; nothing recorded is done or paid again."""
    from autoresearch.session import work

    work(find(name, runs), _console(), budget or [])


@app.command()
def cassette(
    name: RunName,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write, such as run.json.gz.")],
    runs: RunsFolder = None,
) -> None:  # fmt: skip
    """Write a run as one redacted file that `--model replay:OUT` runs again, without a provider."""
    from autoresearch.cassette import write_cassette

    for remark in write_cassette(find(name, runs), out):
        typer.echo(f"note: {remark}", err=True)


@app.command()
def show(
    name: RunName,
    idea: Annotated[str | None, typer.Argument(help="An idea's slug or its number, such as 0.3.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All ideas of a long run, not only the best.")] = False,
    runs: RunsFolder = None,
) -> None:  # fmt: skip
    """Show a run's ideas with their verdicts, or one idea in full."""
    from autoresearch.detail import find_row, idea_page
    from autoresearch.display import SHOWN, summary

    found, console = find(name, runs), _console()
    if idea is None:
        summary(found, console, sys.maxsize if everything else SHOWN)
        return
    for part in idea_page(found, find_row(found, idea)):
        console.print(part)


app.command()(reproduce)
app.command()(apply)
app.command()(campaign)


@app.command()
def report(
    name: RunName,
    runs: RunsFolder = None,
) -> None:
    """Write a run as one page for a browser, report.html in its folder, and print where it is."""
    from autoresearch.page import write_page

    typer.echo(write_page(find(name, runs)))


@app.command("list")
def list_command(runs: RunsFolder = None) -> None:
    """List all runs."""
    from autoresearch.report import runs_table

    _console().print(runs_table(_settings({"runs": _text(runs)}).runs))


@app.command()
def doctor(
    strongest: Annotated[bool, typer.Option("--strongest", help="Only print the name of the strongest sandbox that works here.")] = False,
    assignments: Assignments = None,
) -> None:  # fmt: skip
    """Say what works on this machine, and what to do about what does not."""
    from autoresearch.doctor import examine, strongest_sandbox

    settings = _settings({}, assignments)
    if strongest:
        typer.echo(strongest_sandbox(settings))
    else:
        _console().print(examine(settings))


@app.command()
def clean(
    older_than: Annotated[str, typer.Option(metavar="AGE", help="Remove what was last used longer ago: 30d, 12h.")] = "30d",
    everything: Annotated[bool, typer.Option("--all", help="However old, and the locks of what was built too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    assignments: Assignments = None,
) -> None:  # fmt: skip
    """Remove environments that nothing uses, and what killed runs have left behind."""
    from autoresearch.cleaning import clean_up

    for line in clean_up(_settings({}, assignments).sandbox, older_than, everything, dry_run):
        typer.echo(line)


@app.command()
def models(
    ping: Annotated[bool, typer.Option("--ping", help="Call each of them once, with a few tokens.")] = False,
    assignments: Assignments = None,
) -> None:  # fmt: skip
    """Say which models the settings name, where they are, what they cost and whether they answer."""
    from autoresearch.models import models_table

    table, works = models_table(_settings({}, assignments).model, ping)
    _console().print(table)
    if not works:
        raise typer.Exit(1)


def _settings(
    options: dict[str, Any],
    assignments: list[str] | None = None,
    defaults: dict[str, Any] | None = None,
) -> "Settings":
    from autoresearch.config import load_settings

    return load_settings(Path(), options, assignments or (), defaults or {})


def _console() -> Any:
    from rich.console import Console

    return Console()


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def main() -> None:
    """The entry point: errors as one line on standard error, with the exit code of their kind."""
    if os.geteuid() == 0:
        os.umask(0o022)  # experiments run as another user and must be able to read their inputs
    try:
        app()
    except AutoresearchError as error:
        _fail(str(error), error.exit_code, getattr(error, "__notes__", ()))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" ({error.filename})" if error.filename else ""
        _fail(f"{error.strerror}{where}; free some space, then resume", BadInput.exit_code)


def _fail(message: str, exit_code: int, notes: Iterable[str] = ()) -> NoReturn:
    lines = (f"error: {' '.join(message.split())}", *"\n".join(notes).splitlines())
    shown = ("".join(c for c in line if c.isprintable()) for line in lines)
    sys.stderr.write("".join(f"{line}\n" for line in shown))
    sys.exit(exit_code)
