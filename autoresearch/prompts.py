"""Prompts are files: `prompts/<phase>/<name>.md`, Jinja templates with strict variables.

A user's own folder may replace any of them; what each file may use is in VARIABLES.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.errors import BadInput

if TYPE_CHECKING:
    from jinja2 import Environment, Template

_TASK = frozenset({"topic", "task"})
_LAB = frozenset({"task", "setting"})
VARIABLES: Mapping[str, frozenset[str]] = {
    "think/query": _TASK | {"attributes"},
    "think/attributes": _TASK,
    "think/rank": _TASK | {"attributes", "papers"},
    "think/ideas": _TASK
    | {"setting", "sources", "papers", "lessons", "count", "rounds_left"}
    | {"shown", "map", "tried"},
    "think/novelty": _TASK | {"idea", "papers"},
    "practice/code": _LAB | {"idea", "code", "parent", "whole", "map", "looked"},
    "practice/debug": _LAB
    | {"idea", "code", "attempts", "failure", "attempts_left", "again", "arm", "whole"}
    | {"map", "looked", "between", "strategy", "strategies", "remembered"},
    "feedback/analysis": _LAB | {"trial", "verdict", "floor", "parent"},
    "feedback/review": _LAB | {"trial", "verdict", "floor", "parent"},
    "feedback/fidelity": frozenset({"task", "trial", "parent"}),
}


def shipped(folder: str) -> Path:
    """Where `prompts` or `sandboxes` are: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parent
    inside = package / "_shipped" / folder
    return inside if inside.is_dir() else package.parent / folder


class Prompts:
    """All prompt files, the user's own first. Raises BadInput for a file that cannot be used."""

    def __init__(self, own: Path | None = None):
        if own is not None and not own.is_dir():
            raise BadInput(f"prompts: {own} is not a folder")
        for file in sorted(own.rglob("*.md")) if own else ():
            if file.relative_to(own or file).with_suffix("").as_posix() not in VARIABLES:
                raise BadInput(f"{file} replaces no prompt; there are: {', '.join(VARIABLES)}")
        folders = [folder for folder in (own, shipped("prompts")) if folder is not None]
        self.texts = {name: _read(name, folders) for name in VARIABLES}
        for name, text in self.texts.items():
            _check(name, text)
        self._compiled: dict[str, Template] = {}

    def render(self, name: str, variables: Mapping[str, Any]) -> str:
        """The prompt's text. `variables` are those of VARIABLES[name]."""
        if name not in self._compiled:  # compiling takes longer than rendering
            self._compiled[name] = _environment().from_string(self.texts[name])
        from jinja2 import TemplateError

        try:
            return self._compiled[name].render(variables).strip() + "\n"
        except TemplateError as error:
            raise BadInput(f"prompt {name}.md: {error.message}") from None


def _read(name: str, folders: list[Path]) -> str:
    for folder in folders:
        path = folder / f"{name}.md"
        if path.is_file():
            try:
                return path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                raise BadInput(f"{path} is not UTF-8 text; save it as UTF-8") from None
    raise BadInput(f"prompt {name}.md is in none of: {', '.join(map(str, folders))}")


def _check(name: str, text: str) -> None:
    from jinja2 import TemplateSyntaxError, meta

    try:
        used = meta.find_undeclared_variables(_environment().parse(text))
    except TemplateSyntaxError as error:
        raise BadInput(f"prompt {name}.md, line {error.lineno}: {error.message}") from None
    unknown = used - VARIABLES[name]
    if unknown:
        known = ", ".join(sorted(VARIABLES[name]))
        raise BadInput(f"prompt {name}.md uses {sorted(unknown)}; it may use: {known}")


def fence(text: object, name: str) -> str:
    """Untrusted text as data: between tags that it cannot close itself."""
    body = str(text).replace("</data", "<\\/data").strip("\n")
    label = re.sub(r'[<>"\s]+', " ", name)  # a file's or paper's name is untrusted too
    return f'<data name="{label}">\n{body}\n</data>'


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["fence"] = fence
    return environment
