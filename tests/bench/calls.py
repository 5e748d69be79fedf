"""What a model call costs beyond the bare HTTP call: reserve, send through LiteLLM, charge, record."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from autoresearch.budgets import Budget
from autoresearch.journal import Recorded
from autoresearch.ledger import Ledger, Price
from autoresearch.llm import Request
from autoresearch.metering import Meter
from autoresearch.providers import Provider
from autoresearch.records import Query
from tests.endpoint import Endpoint

CALLS = 60


def main() -> Iterator[str]:
    import httpx

    with tempfile.TemporaryDirectory() as folder, Endpoint(['{"query": "a b c"}']) as endpoint:
        ledger = Ledger(Path(folder) / "ledger.jsonl", Budget.parse(["100usd"]))
        meter = Meter(ledger, Price(input=3, output=15, source="bench"))
        model = Recorded(
            Provider(endpoint.settings(), print, meter=meter), Path(folder) / "calls.jsonl"
        )
        began = time.perf_counter()
        model.answer(_request("first"))
        first = time.perf_counter() - began
        body = {"model": "x", "messages": [{"role": "user", "content": "hello " * 2000}]}
        with httpx.Client() as client:
            bare = _median(lambda n: client.post(f"{endpoint.url}/chat/completions", json=body))
        ours = _median(lambda n: model.answer(_request(str(n))))
    yield f"{ours - bare:.1f} ms a call over the bare HTTP call: {ours:.1f} ms over {bare:.1f} ms"
    yield f"the first call takes {first:.2f} s, for importing LiteLLM"


def _request(text: str) -> Request:
    return Request("think/query", {}, text + " hello" * 2000, Query, "bench")


def _median(call: Callable[[int], object]) -> float:
    """Milliseconds."""
    times = []
    for number in range(CALLS):
        began = time.perf_counter()
        call(number)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)
