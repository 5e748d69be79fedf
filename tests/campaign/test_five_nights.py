"""Five nights of a real campaign in which everything goes wrong once: the night is killed, the provider is
gone, its time is over, the disk is full; and one task is broken all along.

Real runs in real processes; the nights follow each other at once. The provider says what the offline
model said in a run before, so that its topic has a result to come to.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from autoresearch.campaign.matrix import read_campaign
from autoresearch.campaign.morning import Morning, morning
from autoresearch.campaign.nights import Nights, sum_of
from autoresearch.campaign.outputs import read_facts
from autoresearch.ledger import Entry
from autoresearch.store import Run, list_runs
from tests.endpoint import Endpoint, Reply, error

ROOT = Path(__file__).parents[2]
SLOPE = ROOT / "tests" / "tasks" / "slope"
PROVIDED, OFFLINE, BROKEN = "a line by a provider", "a line", "never a line"
SHAPE = {"rounds": 3, "ideas": 1, "attempts": 2, "parallel": 1}
FILE = """
[campaign]
parallel = 2
[settings]
papers.arxiv = false
sandbox.kind = "none"
sandbox.i_trust_generated_code = true
{shape}

[[include]]
topic = "{provided}"
task = "{slope}"
model = "openai/model"
priority = 2
budget = ["20usd"]
settings = {{ "model.api_base" = "http://model.example/v1", "model.price" = "3,15", "model.retries" = 0 }}

[[include]]
topic = "{offline}"
task = "{slope}"
priority = 1
settings = {{ "rounds" = 1, "ideas" = 2 }}

[[include]]
topic = "{broken}"
task = "broken"

[budget]
campaign = ["60usd", "2h"]
night = ["20usd", "30m"]

[verify]
every = 2
seeds = 3
claims = 1
"""
IN, OUT = 11, 7  # tokens that the endpoint says each call has taken
CALL = IN * 3000 + OUT * 15000  # nano-dollars


@dataclass
class Said:
    """The provider: what was asked, and how often each question was answered."""

    answers: dict[str, str]
    gone: bool = False
    asked: int = 0
    answered: Counter[str] = field(default_factory=Counter)

    def __call__(self, request: dict[str, Any]) -> str | Reply:
        self.asked += 1
        if self.gone:
            return error(503, "unavailable", "we are sorry")
        text = request["messages"][-1]["content"]
        prompt = next(known for known in self.answers if text.startswith(known.rstrip()))
        self.answered[prompt] += 1
        return self.answers[prompt]


@dataclass
class Campaign:
    file: Path
    said: Said
    disk: Path
    proxy: str  # what is not on this machine is reached through it, and it is the provider itself

    @property
    def nights(self) -> Nights:
        return Nights(read_campaign(self.file, self.disk / "nightly"))

    def begin(self, *more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "autoresearch", "campaign", str(self.file)]
        return subprocess.Popen(
            [*command, "--folder", str(self.disk / "nightly"), *more],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "OPENAI_API_KEY": "sk-not-a-real-key-123456",
                 "HTTP_PROXY": self.proxy, "http_proxy": self.proxy},
        )  # fmt: skip

    def night(self, *more: str) -> tuple[int, str]:
        process = self.begin(*more)
        out, err = process.communicate(timeout=400)
        assert "Traceback" not in out + err, err
        return process.returncode, out + err

    def wait_for(self, asked: int) -> None:
        """Until the provider was asked so many more questions."""
        wanted, deadline = self.said.asked + asked, time.monotonic() + 120
        while self.said.asked < wanted:
            assert time.monotonic() < deadline, "nothing is being asked"
            time.sleep(0.02)

    def resize(self, size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.disk)], check=True)

    def used(self) -> int:
        found = shutil.disk_usage(self.disk)
        return found.used


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path_factory.mktemp("campaign")
    said = Said(recorded(folder / "recorded"))
    broken = shutil.copytree(SLOPE, folder / "broken")
    (broken / "baseline" / "train.py").write_text("raise SystemExit('no line today')\n")
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(disk)], check=True)
    try:
        with Endpoint(said) as endpoint:
            file = folder / "nightly.toml"
            shape = "\n".join(f"{name} = {value}" for name, value in SHAPE.items())
            names = {"provided": PROVIDED, "offline": OFFLINE, "broken": BROKEN}
            file.write_text(FILE.format(shape=shape, slope=SLOPE, **names))
            yield Campaign(file, said, disk, endpoint.url.removesuffix("/v1"))
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def recorded(runs: Path) -> dict[str, str]:
    """Each question of a whole run, and its answer."""
    command = ["run", PROVIDED, "--task", str(SLOPE), "--model", "offline", "--sandbox", "none"]
    for name, value in SHAPE.items():
        command += ["--set", f"{name}={value}"]
    subprocess.run(
        [sys.executable, "-m", "autoresearch", *command, "--runs", str(runs)],
        cwd=ROOT, check=True, capture_output=True, timeout=250,
    )  # fmt: skip
    lines = (list_runs(runs)[0] / "calls.jsonl").read_text().splitlines()
    return {call["text"]: call["answer"]["text"] for call in map(json.loads, lines)}


def states(facts: Morning) -> dict[tuple[str, str], str]:
    topics = {BROKEN: "broken", PROVIDED: "provided", OFFLINE: "offline"}
    found = {}
    for each in facts.jobs:
        topic = next(
            name for said, name in topics.items() if said.replace(" ", "-") in each.job.entry
        )
        found[each.job.kind, topic] = each.state
    return found


@pytest.mark.timeout(1800)
def test_five_nights_in_which_everything_goes_wrong_once(campaign: Campaign) -> None:
    nights = campaign.nights

    # The first is killed with everything it has started, in the middle of a run.
    process = campaign.begin()
    campaign.wait_for(4)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    time.sleep(1)
    assert nights.night(0) is None and not any(run.is_held() for run in nights.runs())

    # The provider is gone: that topic fails, also the second time, and the others do not.
    campaign.said.gone = True
    code, said = campaign.night()
    assert code == 1 and "we are sorry" in said
    facts = morning(nights)
    assert states(facts)["resume", "provided"] == "failed" and facts.night.state == "failed"
    assert {state for (_, topic), state in states(facts).items() if topic == "offline"} == {"done"}
    assert {state for (_, topic), state in states(facts).items() if topic == "broken"} == {"failed"}
    closed = nights.night(0)
    assert closed is not None and closed.reason == "it was killed"
    campaign.said.gone = False

    # Its time is over in the middle: the job of a CI system is told so, and then killed.
    process = campaign.begin("--fail-on", "budget")
    campaign.wait_for(3)
    began = time.monotonic()
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 30 and process.returncode == 3, out + err
    facts = morning(nights)
    assert states(facts)["resume", "provided"] == "cut off"
    assert "cut off" in (nights.folder / "summary.md").read_text()

    # The disk is full after a little more.
    campaign.resize(str(campaign.used() + 120_000))
    code, said = campaign.night()
    assert code in (1, 2) and "No space left" in said
    campaign.resize("200m")

    # And a night in which nothing is in the way but the broken task.
    code, said = campaign.night("--fail-on", "budget,claims")
    assert code == 0, said
    facts = morning(nights)
    assert states(facts)["resume", "provided"] == "done", said
    assert len(nights.numbers()) == 5


@pytest.mark.timeout(1800)
def test_the_books_add_up_to_the_cent(campaign: Campaign) -> None:
    nights = campaign.nights
    runs, jobs = nights.runs(), nights.history()
    told = sum_of([each.spent for each in jobs])
    assert told.nanodollars == nights.books().nanodollars > 0
    assert told.tokens == nights.books().tokens
    paid = [entry for run in runs for entry in books(run) if entry.amounts.nanodollars]
    charged = [entry for entry in paid if entry.kind == "charged"]
    assert {entry.amounts.nanodollars for entry in charged} == {CALL}
    # What the provider was paid: all that is charged, and of what was cut off it may be less.
    answered = sum(campaign.said.answered.values())
    unsettled = answered - len(charged)
    assert 0 <= unsettled <= 3
    assert len(charged) * CALL <= answered * CALL <= told.nanodollars
    facts = read_facts(nights.folder / "campaign.json")
    assert facts.spent.nanodollars == told.nanodollars
    assert sum(point.spent.nanodollars for point in facts.trend) == told.nanodollars


def test_nothing_is_paid_or_run_twice_and_no_idea_is_tried_again(campaign: Campaign) -> None:
    nights = campaign.nights
    charged = Counter(
        (run.folder.name, entry.what)
        for run in nights.runs()
        for entry in books(run)
        if entry.kind == "charged" and entry.amounts.nanodollars
    )
    questions = len(campaign.said.answered)
    assert sum(campaign.said.answered.values()) - questions <= 3  # those that a kill cut off
    provided = [run for run in nights.runs() if run.settings.topic == PROVIDED]
    assert len(provided) == 1 and sum(charged.values()) == questions
    for run in nights.runs():
        ran = len(list(run.folder.rglob("*-run.json")))
        booked = [e for e in books(run) if e.kind == "charged" and e.role == "experiment"]
        assert len(booked) - ran in (0, 1, 2), run.folder.name
    tried = Counter(
        (run.settings.topic, lesson.parent.name.partition("-")[2])
        for run in nights.runs()
        for lesson in run.folder.glob("round-*/*/feedback.json")
        if not lesson.parent.name.endswith("-combined")
    )
    assert max(tried.values()) == 1 and len([t for t, _ in tried if t == OFFLINE]) >= 4


def test_nothing_that_was_learnt_is_lost(campaign: Campaign) -> None:
    nights = campaign.nights
    told = Counter((each.run, name) for each in nights.history() for name in each.learnt)
    there = {
        (run.folder.name, str(path.parent.relative_to(run.folder)))
        for run in nights.runs()
        for path in run.folder.glob("round-*/*/feedback.json")
    }
    assert set(told) == there and set(told.values()) == {1}
    verified = [each for each in nights.history() if each.job.kind == "verify"]
    assert any(each.state == "done" and "holds" in each.reason for each in verified), verified
    facts = morning(nights)
    assert facts.standing and any(each.verified is not None for each in facts.standing)


def test_no_file_of_the_campaign_holds_the_key(campaign: Campaign) -> None:
    for path in campaign.nights.folder.rglob("*"):
        if path.is_file() and "code.git" not in path.parts:
            assert b"sk-not-a-real-key" not in path.read_bytes(), path


def books(run: Run) -> list[Entry]:
    path = run.folder / "ledger.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    return [Entry.model_validate_json(line) for line in lines]
