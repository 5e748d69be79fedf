"""Hard budgets over the joined system: a real endpoint that bills, the command line, and resuming."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from autoresearch.budgets import Budget
from autoresearch.errors import BudgetEnded
from autoresearch.ledger import Ledger, Price
from autoresearch.llm import Request
from autoresearch.metering import Meter
from autoresearch.providers import Provider
from autoresearch.records import Query
from autoresearch.store import Run, list_runs
from tests.endpoint import Endpoint, slow
from tests.test_fault_matrix import Script, papers, recorded, results

ROOT = Path(__file__).parents[1]
SHAPE = ("--task", str(ROOT / "tests/tasks/slope"), "--rounds", "1", "--ideas", "1", "--parallel", "1",
         "--sandbox", "none", "--i-trust-generated-code")  # fmt: skip
_ = (papers, recorded)  # fixtures


def autoresearch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autoresearch", *arguments],
        cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip


def totals(run: Run) -> Any:
    return Ledger(run.folder / "ledger.jsonl", Budget()).totals()


def test_a_run_ends_within_its_dollars_says_so_and_goes_on_with_more(
    recorded: Run, papers: Path, tmp_path: Path
) -> None:
    script = Script(recorded, "none", None)
    with Endpoint(script) as endpoint:
        first = autoresearch(
            "run", *SHAPE, "--model", "openai/test", "--api-base", endpoint.url, "--runs", str(tmp_path),
            "--papers", str(papers), "--set", "papers.arxiv=false", "--set", "papers.keep=1",
            "--set", "model.max_output=1000", "--budget", "0.02usd", "--price", "1,2",
        )  # fmt: skip
        run = Run(list_runs(tmp_path)[0])
        # A server on this machine costs nothing, whatever --price says: only others are billed.
        assert run.manifest["prices"]["openai/test"]["source"] == "local" and first.returncode == 0
    assert results(run) == results(recorded) and totals(run).overall.nanodollars == 0


def test_a_token_budget_stops_before_the_call_that_could_pass_it(
    recorded: Run, papers: Path, tmp_path: Path
) -> None:
    script = Script(recorded, "none", None)
    with Endpoint(script) as endpoint:
        first = autoresearch(
            "run", *SHAPE, "--model", "openai/test", "--api-base", endpoint.url, "--runs", str(tmp_path),
            "--papers", str(papers), "--set", "papers.arxiv=false", "--set", "papers.keep=1",
            "--set", "model.max_output=1000", "--budget", "5ktok", "--budget", "1h",
        )  # fmt: skip
        assert first.returncode == 3, first.stderr
        assert "the budget of 5ktok has no room" in first.stderr and "--budget" in first.stderr
        assert "5ktok" in first.stdout and "spent" in first.stdout  # what was done is shown first
        run = Run(list_runs(tmp_path)[0])
        spent = totals(run).overall
        assert 0 < spent.tokens <= 5_000 and spent.unsettled == 0
        again = autoresearch("resume", str(run.folder))
        assert again.returncode == 3 and totals(run).overall.tokens == spent.tokens
        more = autoresearch("resume", str(run.folder), "--budget", "1Mtok")
        assert more.returncode == 0, more.stderr
    assert results(run) == results(recorded)
    assert len(script.asked) == len(set(script.asked))  # nothing was paid for twice
    lines = (run.folder / "ledger.jsonl").read_text().splitlines()
    charged = [json.loads(line) for line in lines if '"charged"' in line]
    calls = (run.folder / "calls.jsonl").read_text().splitlines()
    assert sum(c["role"] not in ("experiment", "scorer", "recipe") for c in charged) == len(calls)


def test_an_experiment_that_cannot_fit_into_the_hours_is_not_run(tmp_path: Path) -> None:
    done = autoresearch(
        "run", *SHAPE, "--model", "offline", "--runs", str(tmp_path), "--budget", "5s"
    )
    assert done.returncode == 3 and "no room for a run of the experiment" in done.stderr
    assert not list(tmp_path.rglob("*-run.json"))


def test_a_kill_in_a_call_wins_no_time(tmp_path: Path) -> None:
    with Endpoint([slow(60)]) as endpoint:
        child = subprocess.Popen(
            [sys.executable, "-m", "autoresearch", "run", *SHAPE, "--model", "openai/test",
             "--api-base", endpoint.url, "--runs", str(tmp_path), "--set", "papers.arxiv=false",
             "--set", "model.timeout=70", "--budget", "100s"],
            cwd=ROOT,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while not endpoint.requests and time.monotonic() < deadline:
            time.sleep(0.05)
        child.kill()
        child.wait()
        run = Run(list_runs(tmp_path)[0])
        assert len(endpoint.requests) == 1 and 70 <= totals(run).wall_seconds < 100
        again = autoresearch("resume", str(run.folder))
        assert again.returncode == 3 and "the budget of 100s has no room for a call" in again.stderr
        assert len(endpoint.requests) == 1  # no second call inside of the same 100 seconds


@pytest.mark.parametrize(
    "arguments", [("--budget", "5 euros"), ("--budget", "1usd", "--budget", "2usd")]
)
def test_a_budget_that_makes_no_sense_is_refused_before_anything_is_made(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = autoresearch(
        "run", *SHAPE, "--model", "offline", "--runs", str(tmp_path / "runs"), *arguments
    )
    assert done.returncode == 2 and "--budget" in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_model_without_a_known_price_is_refused_with_the_way_out(tmp_path: Path) -> None:
    arguments = ("run", *SHAPE, "--model", "openai/unheard-of", "--runs", str(tmp_path / "runs"))
    environment = os.environ | {"OPENAI_API_KEY": "sk-nothing-real"}
    done = subprocess.run(
        [sys.executable, "-m", "autoresearch", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert (
        done.returncode == 2
        and "--price IN,OUT" in done.stderr
        and not (tmp_path / "runs").exists()
    )


def test_eight_threads_never_pass_the_budget_while_a_provider_bills_them(tmp_path: Path) -> None:
    price, budget = Price(input=3, output=15, source="test"), Budget.parse(["0.05usd"])
    ledger = Ledger(tmp_path / "ledger.jsonl", budget)
    with Endpoint([slow(0.01, '{"query": "a b c"}')]) as endpoint:
        provider = Provider(
            endpoint.settings(max_output=256), print, meter=Meter(ledger, price), pause=0.01
        )

        def ask_until_the_end(thread: int) -> int:
            for number in range(1000):
                request = Request(
                    "think/query", {}, f"question {thread} {number} " * 20, Query, "x"
                )
                try:
                    provider.answer(request)
                except BudgetEnded:
                    return number
            return 1000

        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(ask_until_the_end, range(8)))
        served = len(endpoint.requests)
    spent = ledger.totals().overall
    assert sum(made) == served == spent.calls > 20
    assert budget.nanodollars * 0.8 < spent.nanodollars <= budget.nanodollars
