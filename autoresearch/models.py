"""The models that the settings name: for which roles, where, at what price, and whether they answer."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from autoresearch.catalog import is_local, key_of, price_of, provider_of, thinks
from autoresearch.command import PREFIX
from autoresearch.config import ModelSettings
from autoresearch.errors import BadInput, ModelError
from autoresearch.faults import scrub
from autoresearch.llm import Request
from autoresearch.records import Patch
from autoresearch.roles import ROLES
from autoresearch.routing import WHOLE_RUN, chain_of, check_one, open_model

if TYPE_CHECKING:
    from rich.table import Table

PING_OUTPUT = 16  # tokens
PING_OUTPUT_THINKING = 1024  # for models whose thoughts count
PING_TIMEOUT = 60.0  # seconds


@dataclass(frozen=True)
class Row:
    """One model. `key` is the variable that is sent, or why the model cannot be asked; `answer` what
    a ping gave; `works` whether neither shows a problem."""

    roles: str
    model: str
    server: str
    price: str
    source: str
    key: str
    answer: str
    works: bool


def models_table(settings: ModelSettings, ping: bool) -> tuple["Table", bool]:
    """The models as a table, and whether all of them can be asked and, with `ping`, do answer."""
    from rich.markup import escape
    from rich.table import Table

    rows = rows_of(settings, ping)
    columns = ["roles", "model", "server", "$ per Mtok in, out", "price from", "key"]
    table = Table()
    for column in [*columns, *(["answers"] if ping else [])]:
        table.add_column(column, overflow="fold")  # a name that is cut short is of no use
    for row in rows:
        cells = [row.roles, row.model, row.server, row.price, row.source, row.key]
        cells += [row.answer] if ping else []
        table.add_row(*map(escape, cells), style="" if row.works else "red")
    return table, all(row.works for row in rows)


def rows_of(settings: ModelSettings, ping: bool) -> list[Row]:
    """One row for each model, in the order of the roles."""
    if settings.name.startswith(WHOLE_RUN):
        said = "needs no call" if ping else ""
        return [Row("all", settings.name, "this machine", "0, 0", "local", "none", said, True)]
    uses: dict[tuple[str, str | None], _Use] = {}
    for role in ROLES:
        for number, each in enumerate(chain_of(settings, role)):
            use = uses.setdefault((each.name, each.api_base), _Use(each))
            (use.spare if number else use.own).append(role)
    with ThreadPoolExecutor(len(uses)) as pool:
        return list(pool.map(lambda use: _row(use, ping), uses.values()))


@dataclass
class _Use:
    """The roles that a model has, and those that it is a fallback of."""

    settings: ModelSettings
    own: list[str] = field(default_factory=list)
    spare: list[str] = field(default_factory=list)


def _row(use: _Use, ping: bool) -> Row:
    settings, name = use.settings, scrub(use.settings.name)
    parts = [_listed(use.own), _listed(use.spare) and f"fallback of {_listed(use.spare)}"]
    roles = "; ".join(part for part in parts if part)
    try:
        check_one(settings)
    except BadInput as error:
        return Row(roles, name, "", "unknown", "", str(error), "not asked" if ping else "", False)
    price, source = _price(settings)
    answer, works = _ping(settings) if ping else ("", True)
    return Row(roles, name, _server(settings), price, source, _key(settings), answer, works)


def _listed(roles: list[str]) -> str:
    return "all" if len(roles) == len(ROLES) else ", ".join(roles)


def _is_command(settings: ModelSettings) -> bool:
    return settings.name.startswith(PREFIX)


def _server(settings: ModelSettings) -> str:
    if settings.api_base is not None:
        return scrub(settings.api_base)
    if _is_command(settings) or is_local(settings.name, settings):
        return "this machine"
    return provider_of(settings.name) or "its provider"


def _key(settings: ModelSettings) -> str:
    return "none" if _is_command(settings) else key_of(settings) or "none"


def _price(settings: ModelSettings) -> tuple[str, str]:
    found = price_of(settings.name, settings)
    if found is None:
        return "unknown", "nobody"
    ingoing, outgoing, source = found
    return f"{_plain(ingoing)}, {_plain(outgoing)}", source


def _plain(dollars: Decimal) -> str:
    """3, 0.25, 0.000031."""
    return f"{dollars:.6f}".rstrip("0").rstrip(".")


def _ping(settings: ModelSettings) -> tuple[str, bool]:
    """What one small call gave, and whether that was an answer."""
    thinking = not _is_command(settings) and thinks(settings)
    small = {
        "max_output": PING_OUTPUT_THINKING if thinking else PING_OUTPUT,
        "timeout": min(settings.timeout, PING_TIMEOUT),
        "retries": 0,
        "effort": None,
    }
    # A patch is asked for in words: whatever the answer is, it is not read.
    request = Request("ping", {}, "Reply with the word ready", Patch, "ping")
    try:
        model = open_model(settings.model_copy(update=small), lambda note: None)
        answer = model.answer(request)
    except ModelError as error:
        return str(error), False
    cost = "" if answer.dollars is None else f", ${_plain(Decimal(answer.dollars))}"
    return f"in {answer.seconds:.1f} s{cost}", True
