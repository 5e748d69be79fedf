"""Plans, budgets and reports of campaigns with many nights behind them: no run is made here, but the
directories are as runs leave them."""

import json
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from autoresearch.budgets import Budget, budget_of
from autoresearch.campaign.matrix import Campaign, read_campaign
from autoresearch.campaign.morning import morning
from autoresearch.campaign.nights import Costs, Ended, Job, Night, Nights, Plan, costs_of, sum_of
from autoresearch.campaign.outputs import junit
from autoresearch.campaign.planning import plan_night
from autoresearch.campaign.purse import KINDS, Purse, kinds_of
from autoresearch.campaign.words import report, safe, summary
from autoresearch.config import Settings
from autoresearch.ledger import Amounts, Ledger
from autoresearch.records import Claim, Claims, Outcome
from autoresearch.store import Run, create_run, write
from tests.examples import LESSON

SLOPE = Path(__file__).parents[1] / "tasks" / "slope"
FILE = """
[campaign]
parallel = {parallel}
[settings]
rounds = 2
budget = ["50usd"]
[matrix]
topic = [{topics}]
task = ["slope"]
model = ["openai/x"]
[budget]
campaign = ["100usd", "1Mtok"]
night = ["10usd"]
topic = ["4usd"]
{more}
"""


def campaign(folder: Path, topics: int = 2, more: str = "", parallel: int = 1) -> Campaign:
    names = ", ".join(f'"topic {number}"' for number in range(topics))
    (folder / "nightly.toml").write_text(FILE.format(topics=names, more=more, parallel=parallel))
    return read_campaign(folder / "nightly.toml")


def run_of(
    nights: Nights, number: int, dollars: float = 0.0, claims: tuple[Claim, ...] | None = ()
) -> Run:
    """A run as one leaves it; with claims None it is not finished."""
    entry = nights.campaign.entries[number]
    settings = Settings(topic=entry.topic, runs=nights.runs_folder, rounds=2)
    run = create_run(
        settings, SLOPE, {"task": "slope", "entry": entry.key, "sandbox": {"name": "x"}}
    )
    spend(run, dollars)
    if claims is not None:
        write(run.folder / "claims.json", Claims(claims=claims).model_dump_json())
    return run


def spend(run: Run, dollars: float) -> None:
    ledger = Ledger(run.folder / "ledger.jsonl", Budget())
    amounts = Amounts(nanodollars=round(dollars * 10**9), tokens_in=1000)
    ledger.settle(ledger.reserve("a call", "think", amounts, 1.0), amounts)


def claim(slug: str, test_effect: float | None, refuted: tuple[str, ...] = ()) -> Claim:
    verdict = LESSON.verdict.model_copy(update={"outcome": Outcome.improved, "effect": 0.05})
    return Claim(
        name=f"round-00/0-{slug}", slug=slug, verdict=verdict, commit="c" * 40, test_score=0.9,
        test_baseline=0.8, test_effect=test_effect, test_interval=(0.01, 0.2), survived=("fresh seeds",),
        untested=(), refuted=refuted,
    )  # fmt: skip


def night(nights: Nights, *ended: Ended) -> int:
    number = nights.begin(Plan(jobs=tuple(each.job for each in ended), books=nights.books()))
    for place, each in enumerate(ended):
        nights.keep(number, place, each)
    close = {
        "number": number,
        "began": "b",
        "ended": "e",
        "state": "done",
        "reason": "r",
        "exit_code": 0,
    }
    nights.close(Night(**close, before=Costs(), after=nights.books()))
    return number


def ended(
    nights: Nights, run: Run, kind: str = "start", idea: str | None = None, state: str = "done"
) -> Ended:
    job = Job(kind=kind, entry=str(run.manifest["entry"]), run=run.folder.name, idea=idea, why="w")
    account = nights.account(run)
    return Ended(
        job=job, run=run.folder.name, state=state, reason="said | <b>so</b>", exit_code=0, began="b",
        ended="e", **dict(account),
    )  # fmt: skip


def test_what_is_unfinished_comes_first_and_estimates_say_what_they_are_from(
    tmp_path: Path,
) -> None:
    nights = Nights(campaign(tmp_path, 3))
    first = plan_night(nights)
    assert [job.kind for job in first.jobs] == ["start"] * 3
    assert first.jobs[0].estimate is None and "no history" in first.jobs[0].basis
    run_of(nights, 0, 0.5)
    run_of(nights, 0, 0.7)
    cut = run_of(nights, 2, 0.2, claims=None)
    plan = plan_night(nights)
    assert [(job.kind, job.run) for job in plan.jobs] == [
        ("resume", cut.folder.name), ("start", None), ("start", None),
    ]  # fmt: skip
    resumed, own, like = plan.jobs
    assert own.basis == "the mean of 2 runs of this topic"
    assert own.estimate and own.estimate.nanodollars == 600_000_000
    assert like.basis == "the mean of 2 runs on this task with this model"
    assert resumed.estimate and resumed.estimate.nanodollars == 400_000_000
    assert plan.books.nanodollars == 1_400_000_000


def test_a_topic_is_done_with_its_budget_its_gain_or_when_nothing_new_comes(tmp_path: Path) -> None:
    nights = Nights(campaign(tmp_path, 4, "[stop]\ngain = 0.03\nrounds_without = 4\n"))
    run_of(nights, 0, 4.5)
    run_of(nights, 1, 0.1, (claim("large", 0.04), claim("small", 0.01)))
    for _ in range(2):
        run_of(nights, 2, 0.1, (claim("chance", 0.2, refuted=("fresh seeds",)),))
    run_of(nights, 3, 0.1, (claim("small", 0.01),))
    run_of(nights, 3, 0.1)
    plan = plan_night(nights)
    reasons = {each.entry: each.why for each in plan.skipped}
    keys = [entry.key for entry in nights.campaign.entries]
    assert reasons[keys[0]] == "its budget is spent (4usd)"
    assert reasons[keys[1]] == "a gain of +0.04 on the sealed test split reaches 0.03"
    assert reasons[keys[2]] == "no new claim in its last 4 rounds"
    assert [job.entry for job in plan.jobs] == [keys[3]]


def test_claims_are_verified_when_it_is_time_and_one_that_failed_is_none_any_more(
    tmp_path: Path,
) -> None:
    nights = Nights(campaign(tmp_path, 1, "[verify]\nevery = 2\n"))
    run = run_of(
        nights, 0, 0.1, (claim("good", 0.02), claim("bad", 0.01), claim("no", 0.1, ("x",)))
    )
    night(nights, ended(nights, run))
    assert [job.kind for job in plan_night(nights).jobs] == ["start"]
    night(nights)
    due = [job for job in plan_night(nights).jobs if job.kind == "verify"]
    assert [(job.run, job.idea) for job in due] == [
        (run.folder.name, "good"),
        (run.folder.name, "bad"),
    ]
    night(
        nights,
        ended(nights, run, "verify", "good"),
        ended(nights, run, "verify", "bad", "refuted"),
    )
    assert all(job.kind != "verify" for job in plan_night(nights).jobs)
    night(nights)
    assert [job.idea for job in plan_night(nights).jobs if job.kind == "verify"] == ["good"]
    facts = morning(nights)
    assert [(each.idea, each.verified) for each in facts.standing] == [("good", 2)]
    assert (
        "no longer reproduces (night 2)" in {each.idea: each.why for each in facts.refuted}["bad"]
    )
    assert facts.trend[-1].standing == 1 and facts.trend[-1].best == {facts.standing[0].entry: 0.02}


def test_no_sum_of_parallel_runs_goes_beyond_a_budget(tmp_path: Path) -> None:
    nights = Nights(campaign(tmp_path, 3, parallel=2))
    entries = nights.campaign.entries
    old = run_of(nights, 0, 3.0)
    purse = Purse(nights, nights.books())
    first, second = run_of(nights, 0, 0.0, None), run_of(nights, 1, 0.0, None)
    # The topic has 1 dollar left, the night 10, of which two may have a half each.
    assert purse.give(first, entries[0], KINDS, 2).nanodollars == 500_000_000
    assert purse.give(second, entries[1], KINDS, 2).nanodollars == 4_000_000_000
    spend(first, 0.4)
    assert purse.left(entries[0]).nanodollars == 500_000_000
    assert purse.left(entries[2]).nanodollars == 4_000_000_000
    purse.take_back(first)
    assert purse.left(entries[0]).nanodollars == 600_000_000
    assert budget_of(first).nanodollars == 500_000_000
    assert purse.give(first, entries[0], KINDS, 1).nanodollars == 600_000_000
    assert budget_of(first).nanodollars == 1_000_000_000
    for run in (second, run_of(nights, 2, 0.0, None)):
        spend(run, 4.0)
    purse.take_back(second)
    assert purse.left(entries[2]).nanodollars == 0
    assert costs_of(old).nanodollars == 3_000_000_000


def test_time_by_the_clock_is_for_all_at_once_and_summed_time_is_shared(tmp_path: Path) -> None:
    campaign(tmp_path, 2, parallel=2)
    text = (tmp_path / "nightly.toml").read_text().replace('"1Mtok"]', '"1Mtok", "8h"]')
    (tmp_path / "nightly.toml").write_text(text)
    nights = Nights(read_campaign(tmp_path / "nightly.toml"))
    runs = [run_of(nights, number, 0.0, None) for number in range(2)]
    summed = sum(costs_of(run).wall_seconds for run in runs)
    for deadline, most in ((None, 4 * 3600.0), (time.monotonic() + 600, 600.0)):
        purse = Purse(nights, nights.books(), deadline)
        for run, entry in zip(runs, nights.campaign.entries, strict=True):
            share = purse.give(run, entry, kinds_of(run, asks_model=True), 2)
            assert share.wall_seconds == pytest.approx(most, abs=summed + 1)
            assert share.nanodollars is None  # an offline run: nothing is set aside for it


def test_jobs_add_up_to_the_books_also_where_a_night_was_killed(tmp_path: Path) -> None:
    nights = Nights(campaign(tmp_path, 2))
    first = run_of(nights, 0, 0.123456789, None)
    night(nights, ended(nights, first))
    spend(first, 0.1)  # by a night that was killed
    spend(first, 0.000000001)
    night(nights, ended(nights, first, "resume"))
    assert nights.account(first).spent == Costs()
    spent = sum_of([each.spent for each in nights.history()])
    assert spent.nanodollars == nights.books().nanodollars == 223_456_790


def test_two_hundred_topics_with_five_nights_behind_them_are_planned_in_seconds(
    tmp_path: Path,
) -> None:
    nights = Nights(campaign(tmp_path, 200))
    runs = [run_of(nights, number % 200, 0.1) for number in range(400)]
    for part in range(5):
        night(nights, *(ended(nights, run) for run in runs[part * 80 : part * 80 + 80]))
    began = time.monotonic()
    plan = plan_night(nights)
    assert len(plan.jobs) == 200
    assert time.monotonic() - began < 10


def test_the_report_holds_what_was_said_as_text_whatever_it_is(tmp_path: Path) -> None:
    nights = Nights(campaign(tmp_path, 1))
    evil = "<script>alert(1)</script> | a\n# b \x1b[31m [x](javascript:1) @all"
    hostile = claim("plain", 0.02).model_copy(update={"refuted": (evil,)})
    run = run_of(nights, 0, 0.1, (hostile, claim("good", 0.02)))
    night(nights, ended(nights, run, state="failed"))
    facts = morning(nights)
    for text in (report(facts), summary(facts)):
        assert "<script" not in text and "\x1b" not in text and "[x](" not in text
        rows = [line for line in text.splitlines() if "alert" in line]
        assert rows and all(row.startswith("| ") and row.endswith(" |") for row in rows)
    suite = ElementTree.fromstring(junit(facts))
    assert suite.attrib["tests"] == suite.attrib["failures"] == "1"
    assert suite.find("testcase/failure").attrib["message"] == "said | <b>so</b>"
    assert json.loads(facts.model_dump_json())["standing"][0]["idea"] == "good"
    assert safe("`a|b`") == "`a\\|b`"


@pytest.mark.parametrize("rows", [0, 31])
def test_the_summary_has_a_bound_and_says_what_it_leaves_out(tmp_path: Path, rows: int) -> None:
    nights = Nights(campaign(tmp_path, 1))
    run = run_of(nights, 0, 0.1, tuple(claim(f"c{number}", 0.02) for number in range(rows)))
    night(nights, ended(nights, run))
    facts = morning(nights)
    assert ("... and 1 more in report.md" in summary(facts)) == (rows == 31)
    assert "more in report.md" not in report(facts)
