"""The ledger of a run: what it may spend, what is reserved, and what was spent.

Each spending is reserved at its worst case, on disk, before it begins, and settled at what it really
cost. Money is counted in whole nano-dollars, so sums are exact.
"""

import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from autoresearch.errors import BadInput, BudgetEnded, RecordError
from autoresearch.records import Record
from autoresearch.store import Run, cannot_write, read, write

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Dollars = Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=40)]

_UNITS = {
    "nanodollars": {"usd": 10**9},
    "tokens": {"tok": 1, "ktok": 10**3, "Mtok": 10**6},
    "gpu_seconds": {"gpuh": 3600},
    "wall_seconds": {"s": 1, "m": 60, "h": 3600, "d": 86400},
}
_SAID = "5usd, 500ktok or 3Mtok, 10gpuh, 90m or 2h (s, m, h, d)"


class Amounts(Record):
    """What a call or an experiment costs. `tokens` is in and out together."""

    nanodollars: Count = 0
    tokens_in: Count = 0
    tokens_out: Count = 0
    gpu_seconds: Seconds = 0.0
    cpu_seconds: Seconds = 0.0

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out

    @property
    def dollars(self) -> Decimal:
        return Decimal(self.nanodollars) / 10**9

    def __add__(self, other: Self) -> Self:
        names = type(self).model_fields
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in names})


class Price(Record):
    """Dollars per million tokens, and who says so: "litellm 1.91.5 price map", "--price"."""

    input: Dollars
    output: Dollars
    source: str

    def cost(self, tokens_in: int, tokens_out: int) -> int:
        """Nano-dollars, rounded up."""
        cost = tokens_in * Fraction(self.input) + tokens_out * Fraction(self.output)
        return math.ceil(cost * 10**9 / 10**6)


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
        caps = [(kind, getattr(self, kind)) for kind in _UNITS]
        said = [_say(cap, kind, cap) for kind, cap in caps if cap is not None]
        return ", ".join(said) or "no budget"


def budget_of(run: Run) -> Budget:
    """What a run may spend: as it was started with, or as it was last resumed with."""
    path = run.folder / "budget.json"
    return read(path, Budget) if path.is_file() else Budget.parse(run.settings.budget)


def _parse(text: str) -> tuple[str, Fraction]:
    """The kind of a budget and its cap."""
    match = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([A-Za-z]+)\s*", text)
    for kind, units in _UNITS.items():
        for unit, scale in units.items():
            if match and match[2].lower() == unit.lower():
                return kind, Fraction(match[1]) * scale
    raise BadInput(f"--budget {text[:60]!r}: write a number and a unit, such as {_SAID}")


def _say(amount: float, kind: str, cap: float) -> str:
    """The amount in the largest unit that `cap` is a whole number of, or the smallest."""
    units = [(scale, unit) for unit, scale in _UNITS[kind].items()]
    scale, unit = max([each for each in units if cap % each[0] == 0] or [min(units)])
    number = Decimal(str(amount)) / scale
    said = f"{number:.9f}" if kind == "nanodollars" else f"{number:.4f}"
    return said.rstrip("0").rstrip(".") + unit


class Spent(Amounts):
    """What was spent. `unsettled` of the `calls` count at their worst case, since nobody knows what
    they cost: their process died, or they failed where the provider may have billed them."""

    calls: Count = 0
    unsettled: Count = 0


class Totals(Record):
    """What all sessions of a run have spent, and what is reserved for what is going on."""

    overall: Spent
    roles: dict[str, Spent]
    reserved: Amounts
    wall_seconds: float


class Entry(Record):
    """One line of `ledger.jsonl`. `seconds` is since its session began; `amounts` is the worst case
    of what is reserved or unsettled, the real cost of what is charged; `over`: it is the larger."""

    kind: Literal["reserved", "charged", "unsettled", "released"]
    id: int
    session: int = 0
    seconds: Seconds = 0.0
    what: str
    role: str
    amounts: Amounts = Amounts()
    over: bool = False


class Ledger:
    """The budget and the books of one run. Safe to use from several threads, of one process.

    Opening reads the file and changes nothing: a last line that a crash cut short is dropped with
    the first write. Raises RecordError when another line cannot be read. `clock` is in seconds.
    """

    def __init__(self, path: Path, budget: Budget, clock: Callable[[], float] = time.monotonic):
        self._path, self.budget, self._clock, self._began = path, budget, clock, clock()
        self._lock = threading.Lock()
        self._roles: dict[str, Spent] = {}
        self._reserved: dict[int, Entry] = {}
        self._walls: dict[int, float] = {}  # seconds by session
        self._last, self._size = 0, 0  # the last reservation's id; the bytes of whole lines
        for entry, self._size in _read(path):
            self._count(entry)
        self._torn = path.exists() and path.stat().st_size > self._size
        for entry in list(self._reserved.values()):  # of a process that died
            self._count(entry.model_copy(update={"kind": "unsettled"}))
        self._session, self._past = max(self._walls, default=0) + 1, sum(self._walls.values())

    def reserve(self, what: str, role: str, worst: Amounts, seconds: float) -> Entry:
        """Permission for something that costs `worst` and takes `seconds` at most.

        Raises BudgetEnded where that does not fit into a budget beside all that is spent and
        reserved (what is not asked for always fits), BadInput where it cannot be written down.
        """
        what, role = (text.encode("utf-8", "replace").decode() for text in (what, role))
        with self._lock:
            self._check(what, worst, seconds)
            self._last += 1
            entry = Entry(kind="reserved", id=self._last, what=what, role=role, amounts=worst)
            return self._append(entry)

    def settle(self, reservation: Entry, actual: Amounts) -> None:
        """Charge what it really cost and free the rest. Raises ValueError when it is not open."""
        worst, names = reservation.amounts, Amounts.model_fields
        over = any(getattr(actual, name) > getattr(worst, name) for name in names)
        self._close(reservation, kind="charged", amounts=actual, over=over)

    def release(self, reservation: Entry) -> None:
        """Free all of it: nothing can have been billed. Raises ValueError when it is not open."""
        self._close(reservation, kind="released", amounts=Amounts())

    @contextmanager
    def spending(self, what: str, role: str, worst: Amounts, seconds: float) -> Iterator[Entry]:
        """A reservation that counts at its worst case unless it is settled or released inside."""
        reservation = self.reserve(what, role, worst, seconds)
        try:
            yield reservation
        finally:
            if reservation.id in self._reserved:
                self._close(reservation, kind="unsettled")

    def totals(self) -> Totals:
        """What all sessions have spent until now."""
        with self._lock:
            spent, held = self._sums()
            roles = dict(sorted(self._roles.items()))
            return Totals(overall=spent, roles=roles, reserved=held, wall_seconds=self._wall())

    def _check(self, what: str, worst: Amounts, seconds: float) -> None:
        spent, held = self._sums()
        for kind in _UNITS:
            cap = getattr(self.budget, kind)
            amounts = [self._wall(), 0, seconds]
            if kind != "wall_seconds":
                amounts = [getattr(each, kind) for each in (spent, held, worst)]
            if cap is not None and amounts[-1] and not sum(amounts) <= cap:
                used, reserved, asked = (_say(amount, kind, cap) for amount in amounts)
                raise BudgetEnded(
                    f"the budget of {_say(cap, kind, cap)} has no room for {what}: {used} spent, "
                    f"{reserved} reserved, {asked} asked for; resume with a larger one: "
                    f"--budget {_say(2 * sum(amounts), kind, cap)}"
                )

    def _close(self, reservation: Entry, **changes: Any) -> None:
        with self._lock:
            if reservation.id not in self._reserved:
                raise ValueError(f"{reservation.what} ({reservation.id}) is settled or released")
            self._append(reservation.model_copy(update=changes))

    def _append(self, entry: Entry) -> Entry:
        """Write a line, and count it when it is on disk."""
        now = {"session": self._session, "seconds": round(self._clock() - self._began, 3)}
        entry = entry.model_copy(update=now)
        line = entry.model_dump_json(exclude_defaults=True).encode() + b"\n"
        try:
            if self._size == 0 and not self._path.exists():
                write(self._path, "")  # syncs the folder too
            self._write(line)
        except OSError as error:
            raise cannot_write(self._path, error) from None
        self._size, self._torn = self._size + len(line), False
        self._count(entry)
        return entry

    def _write(self, line: bytes) -> None:
        with open(self._path, "r+b") as file:
            extra = file.seek(0, os.SEEK_END) - self._size
            if extra < 0 or (extra > 0 and not self._torn):
                raise RecordError(f"{self._path} was changed by another program; stop that, resume")
            self._torn = True  # until all of it is on disk
            file.truncate(self._size)
            file.seek(self._size)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def _count(self, entry: Entry) -> None:
        """Take in one line. A charge counts also where the line that reserved it was lost."""
        self._last = max(self._last, entry.id)
        self._walls[entry.session] = max(self._walls.get(entry.session, 0), entry.seconds)
        if entry.kind == "reserved":
            self._reserved[entry.id] = entry
            return
        self._reserved.pop(entry.id, None)
        if entry.kind != "released":
            unsettled = int(entry.kind == "unsettled")
            spent = Spent(**entry.amounts.model_dump(), calls=1, unsettled=unsettled)
            self._roles[entry.role] = self._roles.get(entry.role, Spent()) + spent

    def _sums(self) -> tuple[Spent, Amounts]:
        """What is spent, and what is reserved."""
        held = (entry.amounts for entry in self._reserved.values())
        return sum(self._roles.values(), Spent()), sum(held, Amounts())

    def _wall(self) -> float:
        return self._past + self._clock() - self._began


def _read(path: Path) -> Iterator[tuple[Entry, int]]:
    """The lines of a ledger, each with where it ends; a torn last line is passed over."""
    end, lines = 0, path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    for number, line in enumerate(lines, start=1):
        try:
            entry = Entry.model_validate_json(line)
        except ValueError:
            raise RecordError(
                f"{path}, line {number}: not a line of a ledger; restore the file, or delete that "
                f"line (sed -i {number}d): a charge is then forgotten, or counts at its worst case"
            ) from None
        end += len(line) + 1
        yield entry, end
