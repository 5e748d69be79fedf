"""Budgets: what a run may spend, in the units that people say them in."""

import math
import re
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

from pydantic import Field

from autoresearch.errors import BadInput
from autoresearch.records import Record
from autoresearch.store import Run, read

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]

UNITS = {
    "nanodollars": {"usd": 10**9},
    "tokens": {"tok": 1, "ktok": 10**3, "Mtok": 10**6},
    "gpu_seconds": {"gpuh": 3600},
    "wall_seconds": {"s": 1, "m": 60, "h": 3600, "d": 86400},
}
_SAID = "5usd, 500ktok or 3Mtok, 10gpuh, 90m or 2h (s, m, h, d)"


class Budget(Record):
    """The most that a run may spend, over all its sessions; None where there is no bound."""

    nanodollars: Count | None = None
    tokens: Count | None = None
    gpu_seconds: Seconds | None = None
    wall_seconds: Seconds | None = None

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "Budget":
        """The budget in texts such as "5usd" or "90m", each kind at most once. Raises BadInput."""
        caps: dict[str, float] = {}
        for text in texts:
            kind, cap = _parse(text)
            if kind in caps:
                raise BadInput(f"--budget {text.strip()}: give at most one of each of {_SAID}")
            caps[kind] = math.floor(cap) if kind in ("nanodollars", "tokens") else float(cap)
        return cls.model_validate(caps)

    def describe(self) -> str:
        """In the form that `parse` takes: "5usd, 90m"."""
        caps = [(kind, getattr(self, kind)) for kind in UNITS]
        said = [say(cap, kind, cap) for kind, cap in caps if cap is not None]
        return ", ".join(said) or "no budget"


def budget_of(run: Run) -> Budget:
    """What a run may spend: as it was started with, or as it was last resumed with."""
    path = run.folder / "budget.json"
    return read(path, Budget) if path.is_file() else Budget.parse(run.settings.budget)


def _parse(text: str) -> tuple[str, Fraction]:
    """The kind of a budget and its cap."""
    match = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([A-Za-z]+)\s*", text)
    for kind, units in UNITS.items():
        for unit, scale in units.items():
            if match and match[2].lower() == unit.lower():
                return kind, Fraction(match[1]) * scale
    raise BadInput(f"--budget {text[:60]!r}: write a number and a unit, such as {_SAID}")


def say(amount: float, kind: str, cap: float) -> str:
    """The amount in the largest unit that `cap` is a whole number of, or the smallest."""
    units = [(scale, unit) for unit, scale in UNITS[kind].items()]
    scale, unit = max([each for each in units if cap % each[0] == 0] or [min(units)])
    number = Decimal(str(amount)) / scale
    said = f"{number:.9f}" if kind == "nanodollars" else f"{number:.4f}"
    return said.rstrip("0").rstrip(".") + unit
