"""The whole loop through LiteLLM against a real endpoint that misbehaves on the way.

The endpoint says what the offline model said in an earlier run, so that the results must be the same;
but before most answers it does something that providers and models do.
"""

import json
import os
import subprocess
import sys
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from autoresearch.records import Lesson
from autoresearch.store import Run, list_runs, read
from tests.endpoint import Endpoint, Reply, error, refusal, reset, truncated

ROOT = Path(__file__).parents[1]
SLOPE = ROOT / "tests" / "tasks" / "slope"
SHAPE = ("--rounds", "1", "--ideas", "2", "--sandbox", "local", "--task", str(SLOPE))
FAULTS = (
    None,
    error(429, "rate_limit_exceeded", "slow down", retry_after=0.2),
    error(500),
    "I would rather write prose than JSON or edits.",
    truncated('{"ideas": ['),
    refusal(),
    None,
    reset(),
    '{"surprise": 1}',
)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autoresearch", "run", *SHAPE, *arguments],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Run:
    runs = tmp_path_factory.mktemp("offline")
    done = run("--model", "offline", "--runs", str(runs))
    assert done.returncode == 0, done.stderr
    return Run(list_runs(runs)[0])


class Moody:
    """Answers as recorded, each first time with the next fault instead."""

    def __init__(self, recorded: Run):
        calls = [
            json.loads(line) for line in (recorded.folder / "calls.jsonl").read_text().splitlines()
        ]
        self.answers = {call["text"]: call["answer"]["text"] for call in calls}
        self.faults = cycle(FAULTS)
        self.seen: set[str] = set()

    def __call__(self, request: dict[str, Any]) -> str | Reply:
        text = request["messages"][-1]["content"]
        prompt = next(known for known in self.answers if text.startswith(known.rstrip()))
        if prompt not in self.seen:
            self.seen.add(prompt)
            fault = next(self.faults)
            if fault is not None:
                return fault
        return self.answers[prompt]


def results(run: Run) -> list[Any]:
    lessons = [read(path, Lesson) for path in sorted(run.folder.glob("round-*/*/feedback.json"))]
    return [(x.name, x.verdict, x.diff, x.analysis, x.review) for x in lessons]


def test_a_moody_provider_changes_nothing_about_the_results(offline: Run, tmp_path: Path) -> None:
    moody = Moody(offline)
    with Endpoint(moody) as endpoint:
        done = run(
            "--model", "openai/test", "--api-base", endpoint.url, "--runs", str(tmp_path), "--parallel", "1",
            "--set", "papers.arxiv=false",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    again = Run(list_runs(tmp_path)[0])
    assert moody.seen == set(moody.answers) and len(moody.seen) >= 9
    assert results(again) == results(offline)
    assert any("slow down; try 2 of 6" in note for note in again.notes()), again.notes()


def test_a_key_that_is_refused_stops_at_once_says_which_and_is_found_nowhere(
    tmp_path: Path,
) -> None:
    secret = "sk-canary-93f1c2d7"
    with Endpoint(
        [error(401, "invalid_api_key", f"Incorrect API key provided: {secret}")]
    ) as endpoint:
        done = run(
            "--model", "openai/test", "--api-base", endpoint.url, "--runs", str(tmp_path),
            "--set", "papers.arxiv=false", OPENAI_API_KEY=secret,
        )  # fmt: skip
    assert done.returncode == 1 and len(endpoint.requests) == 1
    assert "OPENAI_API_KEY" in done.stderr and done.stderr.count("\n") == 1
    said = done.stdout + done.stderr
    for path in tmp_path.rglob("*"):
        if path.is_file():
            said += path.read_bytes().decode(errors="replace")
    assert secret not in said


def test_a_run_that_an_outage_ended_goes_on_and_pays_only_what_is_missing(
    offline: Run, tmp_path: Path
) -> None:
    moody, served = Moody(offline), []
    moody.faults = cycle([None])

    def until_the_outage(request: dict[str, Any]) -> str | Reply:
        served.append(request["messages"][-1]["content"])
        return moody(request) if len(served) <= 4 else error(503)

    settings = ("--set", "papers.arxiv=false", "--set", "model.retries=1", "--parallel", "1")
    with Endpoint(until_the_outage) as endpoint:
        done = run(
            "--model", "openai/test", "--api-base", endpoint.url, "--runs", str(tmp_path), *settings
        )
        assert done.returncode == 1 and "resume" in done.stderr
        paid = served[:4]
        served.clear()
        folder = list_runs(tmp_path)[0]
        endpoint.script = moody
        resumed = subprocess.run(
            [sys.executable, "-m", "autoresearch", "resume", str(folder)],
            cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr
    assert results(Run(folder)) == results(offline)
    later = [
        r["messages"][-1]["content"]
        for r in endpoint.requests
        if r["messages"][-1]["content"] in paid
    ]
    assert len(later) == len(paid)  # each of them was served once, before the outage
