"""The ledger of a run: what it may spend, what is reserved, and what was spent.

Each spending is reserved at its worst case, on disk, before it begins, and settled at what it really
cost. Money is counted in whole nano-dollars, so sums are exact.
"""

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from autoresearch.budgets import UNITS, Budget, Count, Seconds, say
from autoresearch.errors import BudgetEnded, RecordError
from autoresearch.records import Record
from autoresearch.store import cannot_write, write

Dollars = Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=40)]


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
    """One line of `ledger.jsonl`. `seconds` is since its session began, and `lasts` how many more a
    reservation may take; `amounts` is the worst case of what is reserved or unsettled, the real cost
    of what is charged; `over`: it is the larger."""

    kind: Literal["reserved", "charged", "unsettled", "released"]
    id: int
    session: int = 0
    seconds: Seconds = 0.0
    lasts: Seconds = 0.0
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
        for entry in list(self._reserved.values()):  # of a process that died, at some time in it
            ended = {"kind": "unsettled", "seconds": entry.seconds + entry.lasts}
            self._count(entry.model_copy(update=ended))
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
            entry = Entry(
                kind="reserved", id=self._last, what=what, role=role, amounts=worst, lasts=seconds
            )
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
        for kind in UNITS:
            cap = getattr(self.budget, kind)
            amounts = [self._wall(), 0, seconds]
            if kind != "wall_seconds":
                amounts = [getattr(each, kind) for each in (spent, held, worst)]
            if cap is not None and amounts[-1] and not sum(amounts) <= cap:
                used, reserved, asked = (say(amount, kind, cap) for amount in amounts)
                raise BudgetEnded(
                    f"the budget of {say(cap, kind, cap)} has no room for {what}: {used} spent, "
                    f"{reserved} reserved, {asked} asked for; go on with a larger one: "
                    f"--budget {say(2 * sum(amounts), kind, cap)}"
                )

    def _close(self, reservation: Entry, **changes: Any) -> None:
        with self._lock:
            if reservation.id not in self._reserved:
                raise ValueError(f"{reservation.what} ({reservation.id}) is settled or released")
            self._append(reservation.model_copy(update=changes | {"lasts": 0.0}))

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
