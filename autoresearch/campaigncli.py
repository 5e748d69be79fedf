"""The command for campaigns."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoresearch.errors import BadInput

if TYPE_CHECKING:
    from autoresearch.campaign.matrix import Campaign

ACTIONS = ("run", "plan", "status", "report", "claims", "recipe")
USE = "[plan|status|report|claims] FILE, or recipe NAME"


def campaign(
    arguments: Annotated[list[str], typer.Argument(metavar="[plan|status|report|claims|recipe] FILE", help="A campaign's file; alone, it runs tonight. Of recipe: the name of a file for CI, cron or systemd to print.")],
    folder: Annotated[Path | None, typer.Option("--folder", help="The campaign's directory (default: named like FILE, beside it).")] = None,
    fail_on: Annotated[str, typer.Option("--fail-on", metavar="WHAT", help="What ends a night with an exit code: failed (1), budget (3), claims (4), or none.")] = "failed,budget,claims",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for other programs.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Of claims: only those of the last night.")] = False,
    best: Annotated[bool, typer.Option("--best", help="Of claims: only the one of each task with the largest gain.")] = False,
) -> None:  # fmt: skip
    """Run many topics tonight, under shared budgets; or say what tonight would do, or what was done.

    `claims` prints RUN IDEA of each confirmed claim, the largest gain first, as `apply` takes them.
    Exit codes of a night: 0 done, 1 a job failed, 2 bad input, 3 a budget or the time ended, 4 a claim no
    longer reproduces."""
    from autoresearch.campaign.matrix import read_campaign

    *actions, file = arguments
    action = actions[0] if actions else "run"
    if len(actions) > 1 or action not in ACTIONS:
        raise BadInput(f"autoresearch campaign {' '.join(arguments)}: give {USE}")
    if action == "recipe":
        typer.echo(_recipe(file), nl=False)
        return
    found = read_campaign(Path(file), folder)
    if action == "run":
        _run(found, _fail_on(fail_on))
    elif action == "claims":
        _claims(found, as_json, new, best)
    else:
        _look(found, action, as_json)


def _run(found: "Campaign", fail_on: frozenset[str]) -> None:
    from autoresearch.campaign.night import run_night
    from autoresearch.campaign.outputs import write_outputs
    from autoresearch.report import printable

    night = run_night(found, lambda line: typer.echo(printable(line)), fail_on)
    for line in write_outputs(found, send=True):
        typer.echo(line)
    typer.echo(f"night {night.number}: {night.state}: {night.reason}")
    raise typer.Exit(night.exit_code)


def _look(found: "Campaign", action: str, as_json: bool) -> None:
    from rich.console import Console

    from autoresearch.campaign import looking
    from autoresearch.campaign.outputs import write_outputs

    if action == "report":
        for line in write_outputs(found):
            typer.echo(line)
    elif as_json:
        facts = looking.planned(found) if action == "plan" else looking.status(found)
        typer.echo(json.dumps(facts, indent=1))
    else:
        parts = looking.plan_parts(found) if action == "plan" else looking.status_parts(found)
        for part in parts:
            Console().print(part)


def _claims(found: "Campaign", as_json: bool, new: bool, best: bool) -> None:
    from autoresearch.campaign.looking import confirmed

    claims = confirmed(found, new, best)
    if as_json:
        typer.echo(json.dumps({"claims": [each.model_dump(mode="json") for each in claims]}, indent=1))  # fmt: skip
        return
    for each in claims:
        typer.echo(f"{each.run} {each.idea}")


def _recipe(name: str) -> str:
    """The text of a file that makes something else run campaigns."""
    from autoresearch.prompts import shipped

    known = {path.name: path for path in sorted((shipped("templates") / "ci").iterdir())}
    if name not in known:
        raise BadInput(f"no recipe {name!r}; there are: {', '.join(known)}")
    return known[name].read_text()


def _fail_on(text: str) -> frozenset[str]:
    from autoresearch.campaign.night import FAIL_ON

    named = {each.strip() for each in text.split(",") if each.strip()} - {"none"}
    _refuse(named - FAIL_ON.keys(), FAIL_ON)
    return frozenset(named)


def _refuse(unknown: Iterable[str], known: Iterable[str]) -> None:
    for name in sorted(unknown):
        raise BadInput(f"--fail-on {name}: give one or more of {', '.join(known)}, or none")
