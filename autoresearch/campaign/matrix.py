"""`campaign.toml`: topics x tasks x models x seeds as entries, and what the nights may spend.

[matrix]                     every combination is an entry
topic = ["..."]
task = ["digits", "tasks/mine"]
model = ["openai/gpt-5-mini"]
seed = [0]

[[include]]                  of combinations that match it: more to say of them; else one more entry
task = "digits"
priority = 2

[[exclude]]                  combinations that match all of it are left out
"""

import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from autoresearch.budgets import Budget
from autoresearch.config import Carry, Settings, load_settings
from autoresearch.errors import BadInput
from autoresearch.roles import Section
from autoresearch.store import digest
from autoresearch.toml_files import explain, parse_toml, read_toml

MOST = 10_000  # entries
AXES = ("topic", "task", "model", "seed")


class MatrixTable(Section):
    topic: tuple[str, ...] = Field(default=("",), min_length=1)  # "": the task's own
    task: tuple[str, ...] = Field(default=("digits",), min_length=1)
    model: tuple[str, ...] = Field(default=("offline",), min_length=1)
    seed: tuple[int, ...] = Field(default=(0,), min_length=1)


class Selector(Section):
    """What an [[include]] or [[exclude]] names; None matches everything."""

    topic: str | None = None
    task: str | None = None
    model: str | None = None
    seed: int | None = None

    def matches(self, axes: Mapping[str, Any]) -> bool:
        named = {axis: getattr(self, axis) for axis in AXES}
        return all(value is None or axes[axis] == value for axis, value in named.items())


class Include(Selector):
    priority: int | None = None
    budget: tuple[str, ...] = ()  # of this topic, over all nights
    settings: dict[str, Any] = Field(default_factory=dict)  # dotted keys, as with --set


class BudgetTable(Section):
    """What may be spent at most: over all nights, in a night, and on each entry over all nights."""

    campaign: tuple[str, ...] = ()
    night: tuple[str, ...] = ()
    topic: tuple[str, ...] = ()

    @field_validator("campaign", "night", "topic")
    @classmethod
    def _is_a_budget(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        try:
            Budget.parse(texts)
        except BadInput as error:
            raise ValueError(str(error).removeprefix("--budget ")) from None
        return texts


class StopTable(Section):
    """When an entry is done: a confirmed gain of that size (in the metric's unit), or that many rounds
    without a new claim."""

    gain: float | None = Field(default=None, gt=0)
    rounds_without: int | None = Field(default=None, ge=1)


class VerifyTable(Section):
    """Claims are reproduced again every so many nights (0: never), with so many seeds (0: the task's)."""

    every: int = Field(default=7, ge=0)
    seeds: int = Field(default=0, ge=0)
    claims: int = Field(default=5, ge=1)  # of a night, at most


class WebhookTable(Section):
    """Where the morning report is sent as JSON. `url` may be "env:NAME", so that no secret is in the file."""

    url: str
    tries: int = Field(default=4, ge=1, le=10)


class CampaignTable(Section):
    name: str | None = None  # the file's own, otherwise
    parallel: int = Field(default=1, ge=1, le=64)  # runs at a time
    retries: int = Field(default=1, ge=0, le=5)  # of what failed, later in the same night
    fresh: int = Field(default=1, ge=0)  # new runs of an entry in a night


class _File(Section):
    campaign: CampaignTable = CampaignTable()
    matrix: MatrixTable | None = None
    include: tuple[Include, ...] = ()
    exclude: tuple[Selector, ...] = ()
    budget: BudgetTable = BudgetTable()
    stop: StopTable = StopTable()
    carry: Carry = Carry()
    verify: VerifyTable = VerifyTable()
    webhook: WebhookTable | None = None
    settings: dict[str, Any] = Field(default_factory=dict)  # of every run, as in autoresearch.toml


class Entry(Section):
    """One topic on one task with one model and one seed; `key` names it in every night."""

    key: str
    topic: str
    task: str
    model: str
    seed: int
    priority: int = 0
    budget: tuple[str, ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict)


class Campaign(Section):
    """A campaign file that was read: its entries, the most important first."""

    name: str
    file: Path
    text: str
    folder: Path
    entries: tuple[Entry, ...]
    campaign: CampaignTable
    budget: BudgetTable
    stop: StopTable
    carry: Carry
    verify: VerifyTable
    webhook: WebhookTable | None

    def entry(self, key: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.key == key), None)


def read_campaign(file: Path, folder: Path | None = None) -> Campaign:
    """The campaign of a file; its directory is `folder`, or one of the file's name beside it.

    Raises BadInput naming the file, the key and the line."""
    text = read_toml(file, BadInput)
    try:
        read = _File.model_validate(parse_toml(text, file, BadInput))
    except ValidationError as error:
        raise BadInput(explain(error, text, str(file))) from None
    entries = sorted(_entries(read, file), key=lambda entry: -entry.priority)
    return Campaign(
        name=read.campaign.name or file.stem,
        file=file.resolve(),
        text=text,
        folder=(folder or file.with_suffix("")).resolve(),
        entries=tuple(entries),
        **{name: getattr(read, name) for name in ("campaign", "budget", "stop", "carry", "verify", "webhook")},
    )  # fmt: skip


def settings_of(campaign: Campaign, entry: Entry) -> Settings:
    """What a run of the entry is configured by. Raises BadInput naming the key."""
    file = parse_toml(campaign.text, campaign.file, BadInput)
    options = {
        "topic": entry.topic or None, "task": _task(campaign, entry.task), "model.name": entry.model,
        "seed": entry.seed, "runs": str(campaign.folder / "runs"), **entry.settings,
    }  # fmt: skip
    try:
        return load_settings(campaign.file.parent, options, (), file.get("settings", {}))
    except BadInput as error:
        raise BadInput(f"{campaign.file}, {entry.key}: {error}") from None


def _task(campaign: Campaign, name: str) -> str:
    """A folder is looked for beside the campaign's file."""
    beside = campaign.file.parent / name
    return str(beside) if (beside / "task.toml").is_file() or beside.is_dir() else name


def _entries(read: _File, file: Path) -> list[Entry]:
    """Raises BadInput where there are none, or too many."""
    matrix = read.matrix or (MatrixTable() if not read.include else None)
    axes = [getattr(matrix, axis) for axis in AXES] if matrix else []
    if axes and len(axes[0]) * len(axes[1]) * len(axes[2]) * len(axes[3]) > MOST:
        raise BadInput(f"{file}: the matrix has more than {MOST:,} combinations; leave some out")
    found: list[dict[str, Any]] = [
        dict(zip(AXES, each, strict=True)) for each in (product(*axes) if axes else ())
    ]
    found = [each for each in found if not any(out.matches(each) for out in read.exclude)]
    whole = len(found)  # an [[include]] says more of the matrix's entries only
    for more in read.include:
        extra = more.model_dump(exclude_unset=True, include={"priority", "budget", "settings"})
        matched = [each for each in found[:whole] if more.matches(each)]
        for each in matched:
            each.update(extra | {"settings": each.get("settings", {}) | more.settings})
        if not matched:
            given = {axis: getattr(more, axis) for axis in AXES}
            default = {axis: getattr(MatrixTable(), axis)[0] for axis in AXES}
            found.append(default | {k: v for k, v in given.items() if v is not None} | extra)
    entries = {entry.key: entry for entry in (Entry(key=key_of(each), **each) for each in found)}
    if not entries:
        raise BadInput(f"{file}: no entries: give a [matrix] or an [[include]]")
    return list(entries.values())


def key_of(axes: Mapping[str, Any]) -> str:
    """A name that is the same in every night, readable, and fit for a file."""
    words = f"{Path(axes['task']).name} {axes['topic']}".lower()
    said = re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:40].strip("-")
    return f"{said}-{digest(repr([axes[axis] for axis in AXES]))[:6]}"
