"""The ledger: no budget is overshot, no charge is lost, whatever is interleaved, killed or cut short."""

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from autoresearch.budgets import Budget
from autoresearch.errors import BadInput, BudgetEnded, RecordError, RunFailed
from autoresearch.ledger import Amounts, Entry, Ledger, Price

ROOT = Path(__file__).parents[1]
DOLLAR = 10**9
CENT = Amounts(nanodollars=DOLLAR // 100, tokens_in=900, tokens_out=100)


class Clock:
    """A clock that tests move."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def ledger_in(folder: Path, *caps: str, clock: Any = time.monotonic) -> Ledger:
    return Ledger(folder / "ledger.jsonl", Budget.parse(caps), clock)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]


KINDS = ("nanodollars", "tokens", "gpu_seconds")


def of_line(amounts: dict[str, Any]) -> Counter[str]:
    tokens = amounts.get("tokens_in", 0) + amounts.get("tokens_out", 0)
    counted = {key: amounts.get(key, 0) for key in ("nanodollars", "gpu_seconds", "cpu_seconds")}
    return Counter(counted | {"tokens": tokens})


def peaks_of(path: Path) -> Counter[str]:
    """The most that was spent and reserved after any line, counted apart from the product."""
    spent: Counter[str] = Counter()
    held: dict[int, Counter[str]] = {}
    peaks: Counter[str] = Counter()
    for text in path.read_text().splitlines():
        line = json.loads(text)
        if line["kind"] == "reserved":
            held[line["id"]] = of_line(line.get("amounts", {}))
        else:
            held.pop(line["id"])
            spent.update(of_line(line.get("amounts", {})))
        now = Counter(spent)
        for each in held.values():
            now.update(each)
        peaks |= now
    return peaks


# --- budgets and prices -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "caps"),
    [
        ("5usd", {"nanodollars": 5 * DOLLAR}),
        ("0.50usd", {"nanodollars": DOLLAR // 2}),
        ("0.123456789usd", {"nanodollars": 123_456_789}),
        ("999999999999.123456789USD", {"nanodollars": 999_999_999_999_123_456_789}),
        ("0usd", {"nanodollars": 0}),
        ("2h", {"wall_seconds": 7200}),
        ("90m", {"wall_seconds": 5400}),
        ("30 s", {"wall_seconds": 30}),
        ("1d", {"wall_seconds": 86400}),
        ("10gpuh", {"gpu_seconds": 36000}),
        ("3Mtok", {"tokens": 3_000_000}),
        ("500ktok", {"tokens": 500_000}),
        ("7tok", {"tokens": 7}),
    ],
)
def test_a_budget_is_read_exactly(text: str, caps: dict[str, float]) -> None:
    assert Budget.parse([text]) == Budget(**caps)


def test_several_budgets_are_read_at_once_and_said_in_the_same_form() -> None:
    budget = Budget.parse(["2h", "5usd", "10gpuh", "3Mtok"])
    assert budget.describe() == "5usd, 3Mtok, 10gpuh, 2h"
    assert Budget.parse(budget.describe().split(", ")) == budget
    assert Budget.parse(["100s"]).describe() == "100s"
    assert Budget.parse([]).describe() == "no budget"


@given(
    dollars=st.integers(0, 10**20),
    tokens=st.integers(0, 10**14),
    wall=st.integers(0, 10**7),
)
def test_what_a_budget_says_can_be_read_again(dollars: int, tokens: int, wall: int) -> None:
    budget = Budget(nanodollars=dollars, tokens=tokens, wall_seconds=wall)
    assert Budget.parse(budget.describe().split(", ")) == budget


@pytest.mark.parametrize(
    "text",
    ["", "5", "usd", "-5usd", "5eur", "1e9usd", "nanusd", "infh", "5usd,2h", "٥usd", "5 us d",
     "1.2.3h", "5usd\n5usd", "9" * 5000 + "usd", "0x5usd", "1_000tok", "5ktoken"],
)  # fmt: skip
def test_a_nonsense_budget_is_refused_in_one_line_with_the_units(text: str) -> None:
    with pytest.raises(BadInput, match=r"usd.*tok.*gpuh.*m.*h") as caught:
        Budget.parse([text])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "texts", [["5usd", "6usd"], ["2h", "90m"], ["1ktok", "1Mtok"], ["1h", "5usd", "1h"]]
)
def test_a_kind_of_budget_is_given_only_once(texts: list[str]) -> None:
    with pytest.raises(BadInput, match="one of each"):
        Budget.parse(texts)


@given(text=st.text(max_size=30))
def test_any_text_is_a_budget_or_bad_input(text: str) -> None:
    try:
        budget = Budget.parse([text])
    except BadInput:
        return
    assert budget != Budget()


PRICES = st.decimals(0, 10_000, places=9)
TOKENS = st.integers(0, 10**12)


@given(price=st.tuples(PRICES, PRICES), tokens=st.tuples(TOKENS, TOKENS))
def test_a_cost_is_exact_and_rounded_up_by_less_than_a_nanodollar(
    price: tuple[Decimal, Decimal], tokens: tuple[int, int]
) -> None:
    frozen = Price(input=price[0], output=price[1], source="test")
    thawed = Price.model_validate_json(frozen.model_dump_json())
    exact = sum(Fraction(p) * t for p, t in zip(price, tokens, strict=True)) / 10**6 * DOLLAR
    assert thawed == frozen and exact <= thawed.cost(*tokens) < exact + 1


def test_a_cost_that_floats_get_wrong_is_right() -> None:
    price = Price(input=Decimal("0.15"), output=Decimal("0.6"), source="test")
    assert price.cost(1, 0) == 150 and price.cost(3, 7) == 4650
    assert sum(price.cost(1, 1) for _ in range(1000)) == 750_000
    listed = Price(input=Decimal("2.9999900000000002000000"), output=Decimal(0), source="a map")
    assert listed.cost(10**6, 0) == 2_999_990_001  # as a price map of floats has it, rounded up
    assert Price(input=Decimal("0.0000001"), output=Decimal(0), source="x").cost(1, 0) == 1
    assert Price(input=Decimal(0), output=Decimal(0), source="local: free").cost(10**9, 10**9) == 0


@pytest.mark.parametrize("bad", ["-1", "NaN", "Infinity", "1e-999999", "1e30"])
def test_a_price_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(ValueError):
        Price(input=Decimal(bad), output=Decimal(0), source="test")


# --- reserving and settling ---------------------------------------------------------------------


def test_what_is_reserved_is_on_disk_before_it_is_allowed_and_settling_frees_the_rest(
    tmp_path: Path,
) -> None:
    ledger = ledger_in(tmp_path, "0.02usd")
    reservation = ledger.reserve("round-00/0-x", "code", CENT, 60)
    assert [line["kind"] for line in lines_of(tmp_path)] == ["reserved"]
    assert ledger.totals().reserved == CENT and ledger.totals().overall.calls == 0
    ledger.settle(reservation, Amounts(nanodollars=1, tokens_in=2, tokens_out=3))
    totals = ledger.totals()
    assert totals.reserved == Amounts() and totals.roles["code"] == totals.overall
    assert (totals.overall.nanodollars, totals.overall.tokens, totals.overall.calls) == (1, 5, 1)
    assert totals.overall.dollars == Decimal("0.000000001")
    assert "over" not in lines_of(tmp_path)[1]


def test_totals_are_by_role(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    for role, count in (("think", 1), ("code", 2)):
        for _ in range(count):
            ledger.settle(ledger.reserve("x", role, CENT, 1), CENT)
    experiment = Amounts(gpu_seconds=2.5, cpu_seconds=5)
    ledger.settle(ledger.reserve("x", "experiment", experiment, 1), experiment)
    totals = Ledger(tmp_path / "ledger.jsonl", Budget()).totals()
    assert {role: spent.calls for role, spent in totals.roles.items()} == {
        "think": 1, "code": 2, "experiment": 1,
    }  # fmt: skip
    assert totals.overall.nanodollars == 3 * CENT.nanodollars
    assert (totals.overall.gpu_seconds, totals.overall.cpu_seconds) == (2.5, 5)


@pytest.mark.parametrize(
    ("cap", "worst", "said"),
    [
        (
            "1usd",
            Amounts(nanodollars=DOLLAR // 4),
            ["1usd", "0.5usd", "0.25usd", "--budget 2.5usd"],
        ),
        ("4ktok", Amounts(tokens_in=900, tokens_out=100), ["4ktok", "2ktok", "1ktok", "10ktok"]),
        ("4gpuh", Amounts(gpu_seconds=3600), ["4gpuh", "2gpuh", "1gpuh", "10gpuh"]),
    ],
)
def test_what_does_not_fit_beside_the_spent_and_the_reserved_is_refused_and_leaves_no_trace(
    tmp_path: Path, cap: str, worst: Amounts, said: list[str]
) -> None:
    ledger = ledger_in(tmp_path, cap)
    for _ in range(2):
        ledger.settle(ledger.reserve("x", "code", worst, 1), worst)
        last = ledger.reserve("x", "code", worst, 1)
    before = (tmp_path / "ledger.jsonl").read_bytes()
    with pytest.raises(BudgetEnded, match=r"round-00/0-x: .* go on with a larger") as caught:
        ledger.reserve("round-00/0-x", "code", worst, 1)
    assert all(text in str(caught.value) for text in said) and "\n" not in str(caught.value)
    assert caught.value.exit_code == 3 and isinstance(caught.value, RunFailed)
    assert (tmp_path / "ledger.jsonl").read_bytes() == before
    ledger.release(last)
    ledger.reserve("x", "code", worst, 1)  # what was freed can be had


def test_the_larger_budget_that_is_named_is_large_enough(tmp_path: Path) -> None:
    asked = {"1usd": CENT.model_copy(update={"nanodollars": 7 * DOLLAR + 1}), "1tok": CENT}
    for cap, worst in asked.items():
        with pytest.raises(BudgetEnded) as caught:
            ledger_in(tmp_path, cap).reserve("x", "code", worst, 1)
        larger = str(caught.value).rpartition("--budget ")[2]
        ledger_in(tmp_path, larger).reserve("x", "code", worst, 1)
        (tmp_path / "ledger.jsonl").unlink()


def test_a_budget_of_nothing_still_allows_what_is_free(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, "0usd")
    ledger.settle(ledger.reserve("x", "code", Amounts(tokens_in=10**9), 1), Amounts(tokens_in=1))
    with pytest.raises(BudgetEnded):
        ledger.reserve("x", "code", Amounts(nanodollars=1), 1)


def test_books_can_be_finished_when_every_budget_is_overspent(tmp_path: Path) -> None:
    clock = Clock()
    ledger = ledger_in(tmp_path, "1usd", "1tok", "1gpuh", "1h", clock=clock)
    much = Amounts(nanodollars=9 * DOLLAR, tokens_in=9, gpu_seconds=9999)
    ledger.settle(ledger.reserve("x", "experiment", Amounts(), 0), much)
    clock.now += 9999
    scoring = Amounts(cpu_seconds=120)
    ledger.settle(ledger.reserve("x", "scorer", scoring, 0), scoring)
    assert ledger.totals().roles["scorer"].cpu_seconds == 120
    for asked in (Amounts(nanodollars=1), Amounts(tokens_out=1), Amounts(gpu_seconds=0.1)):
        with pytest.raises(BudgetEnded):
            ledger.reserve("x", "code", asked, 0)
    with pytest.raises(BudgetEnded):
        ledger.reserve("x", "code", Amounts(), 0.1)


def test_every_line_is_synced_whole_before_it_counts(tmp_path: Path) -> None:
    path, synced = tmp_path / "ledger.jsonl", []

    def watch(frame: Any, event: str, called: Any) -> None:
        if event == "c_call" and called is os.fsync and path.exists():
            synced.append(path.stat().st_size)

    ledger = ledger_in(tmp_path)
    sys.setprofile(watch)
    try:
        reservation = ledger.reserve("x", "code", CENT, 1)
        assert synced[-1] == path.stat().st_size
        ledger.settle(reservation, CENT)
        assert synced[-1] == path.stat().st_size
    finally:
        sys.setprofile(None)


def test_settling_twice_is_an_error_and_charges_once(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    settled, released = (ledger.reserve("x", "code", CENT, 1) for _ in range(2))
    ledger.settle(settled, CENT)
    ledger.release(released)
    for reservation in (settled, released):
        with pytest.raises(ValueError, match="is settled or released"):
            ledger.settle(reservation, CENT)
        with pytest.raises(ValueError, match="is settled or released"):
            ledger.release(reservation)
    assert ledger.totals().overall.calls == 1 and len(lines_of(tmp_path)) == 4


@pytest.mark.parametrize("name", Amounts.model_fields)
def test_more_than_the_worst_case_is_recorded_as_it_was_and_flagged(
    tmp_path: Path, name: str
) -> None:
    ledger = ledger_in(tmp_path)
    worst = Amounts(nanodollars=5, tokens_in=5, tokens_out=5, gpu_seconds=5, cpu_seconds=5)
    ledger.settle(ledger.reserve("x", "code", worst, 1), worst)
    more = worst.model_copy(update={name: 6})
    ledger.settle(ledger.reserve("x", "code", worst, 1), more)
    assert ["over" in line for line in lines_of(tmp_path)] == [False, False, False, True]
    assert lines_of(tmp_path)[-1]["over"] is True
    for each in (ledger, ledger_in(tmp_path)):
        assert getattr(each.totals().overall, name) == 11


def test_what_was_reserved_for_something_that_failed_counts_at_its_worst_case(
    tmp_path: Path,
) -> None:
    ledger = ledger_in(tmp_path)
    with pytest.raises(ZeroDivisionError), ledger.spending("x", "code", CENT, 1):
        raise ZeroDivisionError
    for each in (ledger, ledger_in(tmp_path)):
        overall = each.totals().overall
        assert (overall.nanodollars, overall.unsettled, overall.calls) == (CENT.nanodollars, 1, 1)
        assert each.totals().reserved == Amounts()


def test_spending_keeps_what_was_settled_or_released_inside_it(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    with ledger.spending("x", "code", CENT, 1) as reservation:
        ledger.settle(reservation, Amounts(nanodollars=7))
    with pytest.raises(ZeroDivisionError), ledger.spending("x", "code", CENT, 1) as reservation:
        ledger.release(reservation)
        raise ZeroDivisionError
    overall = ledger.totals().overall
    assert (overall.nanodollars, overall.unsettled, overall.calls) == (7, 0, 1)


def test_a_step_whose_name_is_not_text_is_written_down_all_the_same(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    ledger.settle(ledger.reserve("a\udc80\n\x00b", "co\ud800de", CENT, 1), CENT)
    assert list(ledger_in(tmp_path).totals().roles) == ["co?de"]


# --- wall time ----------------------------------------------------------------------------------


def test_wall_time_is_the_sum_of_all_sessions_and_what_would_outlast_it_is_not_begun(
    tmp_path: Path,
) -> None:
    clock = Clock()
    for _ in range(2):
        ledger = ledger_in(tmp_path, "1h", clock=clock)
        reservation = ledger.reserve("x", "code", CENT, 60)
        clock.now += 1200
        ledger.settle(reservation, CENT)
        clock.now += 99  # after the last line: nobody knows of it once the process is gone
        assert ledger.totals().wall_seconds >= 1299
        clock.now += 10_000  # between two sessions
    ledger = ledger_in(tmp_path, "1h", clock=clock)
    assert ledger.totals().wall_seconds == 2400
    clock.now += 200
    ledger.reserve("fits", "code", CENT, 1000)
    with pytest.raises(BudgetEnded, match=r"1h has no room for long: 0\.7222h spent"):
        ledger.reserve("long", "code", CENT, 1000.5)
    assert [line["session"] for line in lines_of(tmp_path)] == [1, 1, 2, 2, 3]


def test_a_death_inside_a_call_counts_the_time_that_the_call_was_given(tmp_path: Path) -> None:
    clock = Clock()
    ledger = ledger_in(tmp_path, "1h", clock=clock)
    ledger.settle(ledger.reserve("x", "code", CENT, 3000), CENT)
    clock.now += 600
    ledger.reserve("x", "code", CENT, 900)
    clock.now += 600
    reopened = ledger_in(tmp_path, "1h", clock=clock)
    assert reopened.totals().wall_seconds == 1500
    with pytest.raises(BudgetEnded):
        reopened.reserve("x", "code", CENT, 2101)
    reopened.reserve("x", "code", CENT, 2100)
    assert ledger_in(tmp_path, "1h", clock=clock).totals().wall_seconds == 3600


@pytest.mark.parametrize("seconds", [float("inf"), float("nan")])
def test_what_may_never_end_does_not_fit_into_a_wall_budget(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(BudgetEnded):
        ledger_in(tmp_path, "1h").reserve("x", "code", CENT, seconds)


# --- damage -------------------------------------------------------------------------------------


def filled(folder: Path, count: int = 4) -> bytes:
    ledger = ledger_in(folder)
    for number in range(count):
        ledger.settle(ledger.reserve(f"step {number}", "code", CENT, 1), Amounts(nanodollars=1))
    return (folder / "ledger.jsonl").read_bytes()


def test_opening_and_counting_changes_nothing_on_disk(tmp_path: Path) -> None:
    ledger_in(tmp_path).totals()
    assert list(tmp_path.iterdir()) == []
    data = filled(tmp_path) + b'{"kind": "res'
    (tmp_path / "ledger.jsonl").write_bytes(data)
    assert ledger_in(tmp_path).totals().overall.calls == 4
    assert (tmp_path / "ledger.jsonl").read_bytes() == data


def test_a_torn_last_line_is_dropped_with_the_first_write(tmp_path: Path) -> None:
    data = filled(tmp_path)
    for tail in (b"{", b"\0" * 5000, b'{"kind":"charged","id":1', b"\xff" * 70_000):
        (tmp_path / "ledger.jsonl").write_bytes(data + tail)
        ledger_in(tmp_path).reserve("x", "code", CENT, 1)
        now = (tmp_path / "ledger.jsonl").read_bytes()
        assert now.startswith(data) and now.count(b"\n") == data.count(b"\n") + 1
        assert ledger_in(tmp_path).totals().overall.unsettled == 1


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"null", b"\xff\xfe", b'{"kind":"spent"}', b'{"kind":"charged","id":1}',
               b'{"kind":"charged","id":1,"what":"x","role":"x","amounts":{"nanodollars":-5}}',
               b'{"kind":"charged","id":1,"what":"x","role":"x","amounts":{"gpu_seconds":NaN}}'],
)  # fmt: skip
def test_a_damaged_line_is_named_and_the_way_out_works(tmp_path: Path, damage: bytes) -> None:
    lines = filled(tmp_path).splitlines()
    path = tmp_path / "ledger.jsonl"
    for number in range(len(lines)):
        path.write_bytes(b"\n".join([*lines[:number], damage, *lines[number + 1 :], b""]))
        with pytest.raises(RecordError, match=rf"ledger\.jsonl, line {number + 1}:") as caught:
            ledger_in(tmp_path)
        assert "\n" not in str(caught.value)
        way_out = str(caught.value).partition("(")[2].partition(")")[0].split()
        subprocess.run([*way_out, str(path)], check=True)
        # A lost reservation takes nothing from its charge; a lost charge counts as the worst case.
        spent = ledger_in(tmp_path).totals().overall
        assert spent.nanodollars == (4 if number % 2 == 0 else 3 + CENT.nanodollars)


def test_a_ledger_that_another_program_changed_is_not_written_over(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    ledger.reserve("x", "code", CENT, 1)
    ledger_in(tmp_path).reserve("y", "code", CENT, 1)
    for data in ((tmp_path / "ledger.jsonl").read_bytes(), b"short"):
        (tmp_path / "ledger.jsonl").write_bytes(data)
        with pytest.raises(RecordError, match="changed by another program"):
            ledger.reserve("x", "code", CENT, 1)
        assert (tmp_path / "ledger.jsonl").read_bytes() == data


def test_what_a_full_disk_does_not_take_is_not_allowed_and_not_counted(tmp_path: Path) -> None:
    program = (
        "import sys, resource, signal; from pathlib import Path\n"
        "from autoresearch.errors import BadInput\n"
        "from autoresearch.budgets import Budget\n"
        "from autoresearch.ledger import Amounts, Ledger\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "ledger, worst = Ledger(Path(sys.argv[1]), Budget()), Amounts(nanodollars=3)\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))\n"
        "kept = []\n"
        "try:\n"
        "    while True: kept.append(ledger.reserve('x', 'code', worst, 1))\n"
        "except BadInput as error: print(error)\n"
        "assert ledger.totals().reserved.nanodollars == 3 * len(kept)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))\n"
        "for each in kept: ledger.settle(each, Amounts(nanodollars=1))\n"
        "print(len(kept), ledger.totals().overall.nanodollars)\n"
    )
    path = tmp_path / "ledger.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), "1000"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    message, counts = done.stdout.splitlines()
    assert message.startswith(f"cannot write {path}: File too large")
    kept, spent = map(int, counts.split())
    assert kept == spent == ledger_in(tmp_path).totals().overall.nanodollars > 5


# --- properties ---------------------------------------------------------------------------------

AMOUNTS = st.builds(
    Amounts,
    nanodollars=st.integers(0, 10**10),
    tokens_in=st.integers(0, 10**5),
    tokens_out=st.integers(0, 10**5),
    gpu_seconds=st.integers(0, 4000).map(lambda quarters: quarters / 4),
    cpu_seconds=st.integers(0, 4000).map(lambda quarters: quarters / 4),
)
BUDGETS = st.builds(
    Budget,
    nanodollars=st.none() | st.integers(0, 4 * 10**10),
    tokens=st.none() | st.integers(0, 10**6),
    gpu_seconds=st.none() | st.integers(0, 4000).map(float),
    wall_seconds=st.none() | st.integers(0, 5000).map(float),
)
ROLES = st.sampled_from(["think", "code", "experiment"])


def at_most(worst: Amounts, quarters: int) -> Amounts:
    """A real cost within the worst case."""
    fields = {name: getattr(worst, name) for name in Amounts.model_fields}
    return Amounts(**{
        name: value * quarters / 4 if isinstance(value, float) else value * quarters // 4
        for name, value in fields.items()
    })  # fmt: skip


Open = tuple[int, Entry] | None  # a reservation and the opening of the ledger it belongs to


class Books(RuleBasedStateMachine):
    """The ledger beside a plain list of what was done, with crashes that keep any part of the file."""

    reservations = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.jsonl"
        self.clock = Clock()
        self.openings = 0
        # (end of its line, session, seconds, kind, id, role, amounts, seconds reserved)
        self.done: list[tuple[int, int, float, str, int, str, Amounts, float]] = []

    def teardown(self) -> None:
        self.folder.cleanup()

    @initialize(budget=BUDGETS)
    def open(self, budget: Budget) -> None:
        self.ledger = Ledger(self.path, budget, self.clock)
        self.began = self.clock.now
        self.openings += 1
        self.session = max((session for _, session, *_ in self.done), default=0) + 1

    def note(self, kind: str, entry: Entry, amounts: Amounts, lasts: float = 0) -> None:
        end, seconds = self.path.stat().st_size, self.clock.now - self.began
        self.done.append((end, self.session, seconds, kind, entry.id, entry.role, amounts, lasts))

    def expected(self) -> tuple[Counter[str], Counter[str], Counter[str], float]:
        """What is spent (with what is unsettled) and reserved; calls by role; the wall time."""
        spent: Counter[str] = Counter()
        held: Counter[str] = Counter()
        calls: Counter[str] = Counter()
        closed = {entry[4] for entry in self.done if entry[3] != "reserved"}
        walls: dict[int, float] = {}
        for _, session, seconds, kind, number, role, amounts, lasts in self.done:
            until = seconds + (lasts if number not in closed else 0)
            walls[session] = max(walls.get(session, 0), until)
            if kind == "released" or (kind == "reserved" and number in closed):
                continue
            if kind == "reserved" and session == self.session:
                held.update(of_line(amounts.model_dump()))
            else:
                spent.update(of_line(amounts.model_dump()))
                calls[role] += 1
        walls[self.session] = self.clock.now - self.began
        return spent, held, calls, sum(walls.values())

    def fits(self, worst: Amounts, seconds: float) -> bool:
        spent, held, _, wall = self.expected()
        asked = of_line(worst.model_dump())
        caps = {kind: getattr(self.ledger.budget, kind) for kind in KINDS}
        bound = self.ledger.budget.wall_seconds
        return (bound is None or not seconds or wall + seconds <= bound) and all(
            cap is None or not asked[kind] or spent[kind] + held[kind] + asked[kind] <= cap
            for kind, cap in caps.items()
        )

    @rule(target=reservations, worst=AMOUNTS, role=ROLES, seconds=st.integers(0, 600))
    def reserve(self, worst: Amounts, role: str, seconds: int) -> Open:
        fits = self.fits(worst, seconds)
        try:
            reservation = self.ledger.reserve("a step", role, worst, seconds)
        except BudgetEnded:
            assert not fits
            return None
        assert fits
        self.note("reserved", reservation, worst, seconds)
        return self.openings, reservation

    def close(self, taken: Open, kind: str, amounts: Amounts) -> None:
        if taken is not None and taken[0] == self.openings:
            if kind == "released":
                self.ledger.release(taken[1])
            else:
                self.ledger.settle(taken[1], amounts)
            self.note(kind, taken[1], amounts)

    @rule(taken=consumes(reservations), quarters=st.integers(0, 4))
    def settle(self, taken: Open, quarters: int) -> None:
        self.close(taken, "charged", at_most(taken[1].amounts, quarters) if taken else Amounts())

    @rule(taken=consumes(reservations), actual=AMOUNTS)
    def settle_at_anything(self, taken: Open, actual: Amounts) -> None:
        self.close(taken, "charged", actual)

    @rule(taken=consumes(reservations))
    def release(self, taken: Open) -> None:
        self.close(taken, "released", Amounts())

    @rule(worst=AMOUNTS, role=ROLES)
    def fail_while_spending(self, worst: Amounts, role: str) -> None:
        try:
            with self.ledger.spending("a step", role, worst, 0) as reservation:
                self.note("reserved", reservation, worst)
                raise ZeroDivisionError
        except ZeroDivisionError:
            self.note("unsettled", reservation, worst)
        except BudgetEnded:
            assert not self.fits(worst, 0)

    @rule(seconds=st.integers(0, 300))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule(lost=st.integers(0, 2000), tail=st.binary(max_size=40), budget=BUDGETS)
    def crash(self, lost: int, tail: bytes, budget: Budget) -> None:
        """The file ends at any byte, with any garbage after it that is not a line."""
        if self.path.exists():
            kept = self.path.read_bytes()
            kept = kept[: max(0, len(kept) - lost)]
            self.path.write_bytes(kept + tail.replace(b"\n", b"\0"))
            self.done = [entry for entry in self.done if entry[0] <= len(kept)]
        self.open(budget)

    @invariant()
    def the_totals_are_those_of_the_list(self) -> None:
        spent, held, calls, wall = self.expected()
        totals = self.ledger.totals()
        assert of_line(totals.overall.model_dump()) == spent
        assert of_line(totals.reserved.model_dump()) == held
        assert {role: each.calls for role, each in totals.roles.items()} == calls
        assert totals.wall_seconds == wall


TestBooks = Books.TestCase
TestBooks.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip


STEPS = st.lists(
    st.tuples(AMOUNTS, st.integers(0, 4), st.sampled_from(["settle", "settle", "release", "fail"])),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(schedules=st.lists(STEPS, min_size=2, max_size=6), budget=BUDGETS)
def test_no_interleaving_of_threads_overshoots_when_no_cost_is_over_its_worst_case(
    schedules: list[list[tuple[Amounts, int, str]]], budget: Budget
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.jsonl"
        ledger = Ledger(path, budget.model_copy(update={"wall_seconds": None}))
        barrier = threading.Barrier(len(schedules))

        def work(steps: list[tuple[Amounts, int, str]]) -> None:
            barrier.wait()
            for worst, quarters, end in steps:
                try:
                    with ledger.spending("a step", "code", worst, 0) as reservation:
                        if end == "settle":
                            ledger.settle(reservation, at_most(worst, quarters))
                        elif end == "release":
                            ledger.release(reservation)
                except BudgetEnded:
                    continue

        with ThreadPoolExecutor(len(schedules)) as pool:
            list(pool.map(work, schedules))
        peaks = peaks_of(path) if path.exists() else Counter()
        for kind in KINDS:
            cap = getattr(budget, kind)
            assert cap is None or peaks[kind] <= cap
        assert ledger.totals().reserved == Amounts()
        assert Ledger(path, budget).totals().overall == ledger.totals().overall


def test_eight_threads_spend_a_budget_to_its_end_and_not_a_nanodollar_more(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, "0.5usd", "400ktok")
    billed: list[Amounts] = []

    def work(seed: int) -> int:
        chance, made = random.Random(seed), 0
        while True:
            worst = Amounts(
                nanodollars=chance.randint(1, 3_000_000), tokens_in=chance.randint(0, 999)
            )
            try:
                reservation = ledger.reserve("a step", f"role {seed % 3}", worst, 0)
            except BudgetEnded:
                if worst.nanodollars < 30_000:
                    return made
                continue
            actual = Amounts(
                nanodollars=chance.randint(worst.nanodollars // 2, worst.nanodollars),
                tokens_in=chance.randint(0, worst.tokens_in),
            )
            time.sleep(chance.random() / 2000)
            billed.append(actual)
            ledger.settle(reservation, actual)
            made += 1

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(work, range(8)))
    totals = ledger.totals()
    assert sum(made) == len(billed) == totals.overall.calls > 200
    assert totals.overall.nanodollars == sum(each.nanodollars for each in billed)
    assert totals.overall.tokens == sum(each.tokens for each in billed)
    peaks = peaks_of(tmp_path / "ledger.jsonl")
    assert 0.9 * DOLLAR / 2 < peaks["nanodollars"] <= DOLLAR / 2
    assert peaks["tokens"] <= 400_000


# --- real deaths --------------------------------------------------------------------------------

# Four threads that spend until the budget ends or the power fails. What the "provider" bills goes
# to a log of its own: a line when it may bill, and one when the settling is done.
_SPENDER = """
import os, random, sys, threading
from pathlib import Path
from autoresearch.budgets import Budget
from autoresearch.errors import BudgetEnded
from autoresearch.ledger import Amounts, Ledger
ledger = Ledger(Path(sys.argv[1]), Budget.parse(["2usd"]))
log = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def work():
    while True:
        worst = random.randint(1, 2_000_000)
        actual = random.randint(0, worst)
        try:
            reservation = ledger.reserve("a step", "code", Amounts(nanodollars=worst), 0)
        except BudgetEnded:
            return
        os.write(log, b"billed %d %d %d\\n" % (reservation.id, actual, worst))
        ledger.settle(reservation, Amounts(nanodollars=actual))
        os.write(log, b"settled %d %d %d\\n" % (reservation.id, actual, worst))

threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_a_process_that_is_killed_again_and_again_loses_no_charge_and_never_overshoots(
    tmp_path: Path,
) -> None:
    path, log = tmp_path / "ledger.jsonl", tmp_path / "log"
    chance, kills = random.Random(0), 0
    for _ in range(12):
        child = subprocess.Popen(
            [sys.executable, "-c", _SPENDER, str(path), str(log)],
            cwd=ROOT,
        )  # fmt: skip
        more, deadline = chance.randint(0, 3000), time.monotonic() + 60
        before = log.stat().st_size if log.exists() else 0
        while not log.exists() or log.stat().st_size < before + more:
            assert time.monotonic() < deadline and child.poll() is None
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.005))
        child.kill()
        kills += child.wait() == -9
    assert kills == 12
    said: dict[str, dict[int, tuple[int, int]]] = {"billed": {}, "settled": {}}
    for line in log.read_text().splitlines():
        what, number, actual, worst = line.split()
        assert int(number) not in said[what], "a reservation's number was given twice"
        said[what][int(number)] = int(actual), int(worst)
    unsettled = said["billed"].keys() - said["settled"].keys()
    overall = ledger_in(tmp_path).totals().overall
    least = sum(actual for actual, _ in said["billed"].values())
    most = least + (kills * 4 + len(unsettled)) * 2_000_000
    assert len(said["settled"]) > 100 and overall.unsettled > 0
    assert least <= overall.nanodollars <= most
    assert overall.unsettled <= kills * 4
    assert len(said["billed"]) <= overall.calls <= len(said["billed"]) + kills * 4

    lines = lines_of(tmp_path)
    charged = {
        line["id"]: of_line(line.get("amounts", {})) for line in lines if line["kind"] == "charged"
    }
    for number, (actual, _) in said["settled"].items():
        assert charged[number]["nanodollars"] == actual
    reserved = {
        line["id"]: of_line(line["amounts"]) for line in lines if line["kind"] == "reserved"
    }
    for number in unsettled - charged.keys():
        assert reserved[number]["nanodollars"] == said["billed"][number][1]
    lost = sum(reserved[number]["nanodollars"] for number in reserved.keys() - charged.keys())
    assert overall.nanodollars == sum(each["nanodollars"] for each in charged.values()) + lost
    assert peaks_of(path)["nanodollars"] <= 2 * DOLLAR


def test_a_cut_at_any_byte_loses_only_the_line_that_was_cut(tmp_path: Path) -> None:
    data = filled(tmp_path, 3)
    path = tmp_path / "ledger.jsonl"
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        whole = data[:size].count(b"\n")
        overall = ledger_in(tmp_path).totals().overall
        assert overall.calls == -(-whole // 2) and overall.unsettled == whole % 2
        assert overall.nanodollars == whole // 2 + (whole % 2) * CENT.nanodollars


def test_ten_thousand_lines_open_in_well_under_a_second(tmp_path: Path) -> None:
    lines = filled(tmp_path, 2).splitlines()[:2]
    entries = [json.loads(line) for line in lines]
    with (tmp_path / "ledger.jsonl").open("w") as file:
        for number in range(5000):
            for entry in entries:
                file.write(json.dumps(entry | {"id": number + 1}) + "\n")
    started = time.process_time()
    ledger = ledger_in(tmp_path)
    assert time.process_time() - started < 1
    assert ledger.totals().overall.calls == 5000
