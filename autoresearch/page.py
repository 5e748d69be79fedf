"""A run as one file for a browser: `report.html`, without scripts, fonts or anything from elsewhere.

Everything is read from the run's directory. All text is untrusted: the template escapes every value, after
control characters are taken out, and its policy lets a browser run and load nothing.
"""

import base64
import hashlib
import importlib.metadata
import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.claimed import (
    NOTHING,
    NOTHING_REPORTED,
    Entry,
    claims_of,
    entries_of,
    falsifiers_line,
    trial_name,
    why_refuted,
)
from autoresearch.picture import draw
from autoresearch.plotted import chart_of, legend_of
from autoresearch.prompts import shipped
from autoresearch.records import Opening, Task
from autoresearch.report import (
    caption_of,
    facts_of,
    floor_of_run,
    gain_of,
    number,
    printable,
    state_of,
    task_of,
    whence,
)
from autoresearch.reproduced import command_of
from autoresearch.shapes import swatch
from autoresearch.store import FORMAT, Run, read, write

if TYPE_CHECKING:
    from jinja2 import Environment

NAME = "report.html"
SHOWN = 1_000  # lines of a diff
KINDS = {"+++": "file", "---": "file", "diff": "file", "@@": "place", "+": "added", "-": "removed"}


def write_page(run: Run) -> Path:
    """Write `report.html` into the run's directory. Raises RecordError for a run that cannot be read and
    BadInput where the file cannot be written."""
    path = run.folder / NAME
    write(path, page(run))
    return path


def page(run: Run) -> str:
    """The page's text."""
    return rendered("page.html", _content(run))


def _content(run: Run) -> dict[str, Any]:
    """What the template shows."""
    entries, floor, task, claims = entries_of(run), floor_of_run(run), task_of(run), claims_of(run)
    took = falsifiers_line(run)
    order = [claim.name for claim in claims.claims] if claims else []
    claimed = sorted((e for e in entries if e.claim), key=lambda e: order.index(trial_name(e.row)))
    chart = chart_of(run, floor, entries) if floor else None
    facts = facts_of(run) | {"run": f"{run.folder.name} ({state_of(run)})"}
    return {
        "facts": facts | ({"falsifiers": f"took {took}"} if took else {}),
        "state": state_of(run),
        "warning": whence(task) if task.reported else "",
        "whence": whence(task),
        "baseline": floor.mean if floor else None,
        "chart": chart,
        "legend": legend_of(chart, floor, run) if chart and floor else [],
        "caption": caption_of(run),
        "entries": entries,
        "claimed": claimed,
        "others": [entry for entry in entries if entry.claim is None],
        "nothing": _nothing(run, task, claimed),
        "foot": _foot(run),
        "resume_command": f"autoresearch resume {_named(run)}",
        "show_command": lambda entry: f"autoresearch show {_named(run)} {entry.place}",
        "reproduce_command": lambda entry: command_of(run, entry.place),
    }


def _named(run: Run) -> str:
    return shlex.quote(run.folder.name)


def _nothing(run: Run, task: Task, claimed: list[Entry]) -> str:
    """What stands in the place of claims where there are none."""
    if state_of(run) != "finished":
        return "None yet: what improved is tested when the search is over."
    nothing = NOTHING_REPORTED if task.reported else NOTHING
    if claimed and all(entry.claim_state == "refuted" for entry in claimed):
        return (
            "No gain stands; the test split was not opened."
            if not task.reported
            else "No gain stands."
        )
    return "" if claimed else nothing


def _foot(run: Run) -> dict[str, str]:
    made, here = (
        str(run.manifest.get("version", "unknown")),
        importlib.metadata.version("autoresearch"),
    )
    seal = run.folder / "seal.json"
    opened = read(seal, Opening).opened if seal.is_file() else "never"
    return {
        "written": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} by autoresearch {here}",
        "run": f"{run.folder.name}, of {run.created}, by autoresearch {made}, format {FORMAT}",
        "sealed test split opened": opened,
    }


# --- the template -------------------------------------------------------------------------------


def rendered(name: str, content: Mapping[str, Any], clean: Callable[[str], str] = str) -> str:
    """A template of `templates/page` with that content, in the style that all pages have and that their
    policy names. `clean` is told every text before it is escaped."""
    environment = _environment(clean)
    style = environment.loader.get_source(environment, "page.css")[0] if environment.loader else ""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    template = environment.get_template(name)
    return template.render(style=style, style_hash=f"sha256-{digest}", **content) + "\n"


def _environment(clean: Callable[[str], str]) -> "Environment":
    """Escapes everything that is not marked as markup of our own, and takes control characters out."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        finalize=partial(_shown, clean), loader=FileSystemLoader(shipped("templates") / "page"),
    )  # fmt: skip
    environment.filters |= {"number": number, "signed": signed, "interval": interval}
    environment.globals |= {
        "diff_lines": diff_lines, "draw": draw, "gain_of": gain_of, "swatch": swatch,
        "why_refuted": why_refuted,
    }  # fmt: skip
    return environment


def _shown(clean: Callable[[str], str], value: object) -> object:
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return printable(clean(str(value))) if is_text else value


def signed(value: float | None) -> str:
    return "none" if value is None else f"{value:+.4f}"


def interval(ends: tuple[float, float] | None) -> str:
    return "none" if ends is None else f"[{ends[0]:+.4f}, {ends[1]:+.4f}]"


def diff_lines(diff: str) -> tuple[list[tuple[str, str]], int]:
    """The lines of a diff, each with what it is, and how many more there are than are shown."""
    lines = diff.split("\n") if diff.strip() else []
    shown = [(_kind(line), line) for line in lines[:SHOWN]]
    return shown, max(0, len(lines) - SHOWN)


def _kind(line: str) -> str:
    return next((kind for start, kind in KINDS.items() if line.startswith(start)), "same")
