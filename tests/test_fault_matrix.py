"""Each fault of a provider in each role of a run: the run ends complete, or stops clearly and resumes.

The endpoint says what a plain local model said in an earlier run, so that the results must be equal.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoresearch.assembly import open_lab, start
from autoresearch.config import ModelSettings, Settings
from autoresearch.errors import ModelError, Outage
from autoresearch.journal import Recorded
from autoresearch.llm import Answer, Request
from autoresearch.loop import research
from autoresearch.offline import Offline
from autoresearch.providers import Provider
from autoresearch.records import Lesson
from autoresearch.roles import ROLE_OF, ROLES
from autoresearch.routing import Router
from autoresearch.store import Run, read
from tests.endpoint import Endpoint, Reply, error, filtered, refusal, reset, slow

SLOPE = Path(__file__).parent / "tasks" / "slope"
BROKEN = "Broken.\n### file: train.py\n<<<<<<< SEARCH\nSTEPS = 40\n=======\nSTEPS = forty\n>>>>>>> REPLACE\n"
MENDED = "Mended.\n### file: train.py\n<<<<<<< SEARCH\nSTEPS = forty\n=======\nSTEPS = 80\n>>>>>>> REPLACE\n"

PASSING = {
    "429": error(429, "rate_limit_exceeded", "slow down"),
    "429 with Retry-After": error(429, "rate_limit_exceeded", "slow down", retry_after=0.05),
    "500": error(500),
    "a stall": slow(2.5),
    "a reset": reset(),
    "a refusal": refusal(),
    "a content filter": filtered(),
    "prose": "I would rather talk about the weather.",
}
LASTING = {
    "an invalid key": error(401, "invalid_api_key", "Incorrect API key provided"),
    "an exhausted quota": error(429, "insufficient_quota", "You exceeded your current quota"),
    "no such model": error(404, "model_not_found", "The model `test` does not exist"),
}


class Careless:
    """The offline model, but its first code does not run: so that every role is asked."""

    def __init__(self) -> None:
        self.offline = Offline(0)

    def answer(self, request: Request[Any]) -> Answer:
        text = {"practice/code": BROKEN, "practice/debug": MENDED}.get(request.prompt)
        if text is None:
            return self.offline.answer(request)
        return Answer(
            text=text, model="careless", tokens_in=0, tokens_out=0, dollars=0.0, seconds=0.0
        )


def new_run(folder: Path, papers: Path, **model: Any) -> Run:
    settings = {"task": str(SLOPE), "runs": folder, "rounds": 1, "ideas": 1, "parallel": 1,
                "sandbox": {"kind": "none", "i_trust_generated_code": True}, "model": model,
                "papers": {"folder": papers, "arxiv": False, "keep": 1}}  # fmt: skip
    return start(Settings.model_validate(settings))


def results(run: Run) -> list[Any]:
    lessons = [read(path, Lesson) for path in sorted(run.folder.glob("round-*/*/feedback.json"))]
    return [(x.name, x.verdict, x.diff, x.failures, x.analysis, x.review) for x in lessons]


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("papers")
    (folder / "one.txt").write_text(
        "Learning rates\n\nAbstract\nWe raise the learning rate of descent on a line."
    )
    return folder


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, papers: Path) -> Run:
    run = new_run(tmp_path_factory.mktemp("recorded"), papers, name="offline")
    lab = open_lab(run)
    research(replace(lab, model=Recorded(Careless(), run.folder / "calls.jsonl")))
    return run


class Script:
    """Answers as recorded; the first question of one role gets a fault instead."""

    def __init__(self, recorded: Run, role: str, fault: str | Reply | None):
        calls = [
            json.loads(line) for line in (recorded.folder / "calls.jsonl").read_text().splitlines()
        ]
        self.calls, self.role, self.fault = calls, role, fault
        self.asked: list[str] = []

    def __call__(self, request: dict[str, Any]) -> str | Reply:
        text = request["messages"][-1]["content"]
        call = next(call for call in self.calls if text.startswith(call["text"].rstrip()))
        if self.fault is not None and ROLE_OF[call["prompt"]] == self.role:
            fault, self.fault = self.fault, None
            return fault
        self.asked.append(f"{call['where']} {call['prompt']}")
        return str(call["answer"]["text"])


def worked_on(run: Run) -> None:
    """Like `autoresearch resume`, with shorter pauses before a call is tried again."""

    def make(name: str, asked: ModelSettings) -> Provider:
        return Provider(asked, run.note, pause=0.01)

    router = Router(run.settings.model, make, run.note)
    with run.locked():
        research(replace(open_lab(run), model=Recorded(router, run.folder / "calls.jsonl")))


def provider(endpoint: Endpoint) -> dict[str, Any]:
    return {"name": "openai/test", "api_base": endpoint.url, "timeout": 1.0, "retries": 2}


def test_every_role_is_asked_in_the_recorded_run(recorded: Run) -> None:
    calls = (recorded.folder / "calls.jsonl").read_text().splitlines()
    assert {ROLE_OF[json.loads(line)["prompt"]] for line in calls} == set(ROLES)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("fault", PASSING)
def test_a_passing_fault_changes_nothing_about_the_results(
    recorded: Run, papers: Path, tmp_path: Path, role: str, fault: str
) -> None:
    script = Script(recorded, role, PASSING[fault])
    with Endpoint(script) as endpoint:
        run = new_run(tmp_path, papers, **provider(endpoint))
        worked_on(run)
    assert script.fault is None and results(run) == results(recorded)
    assert len(script.asked) == len(set(script.asked))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("fault", LASTING)
def test_a_lasting_fault_stops_at_once_saying_what_to_do_and_the_run_goes_on_when_it_is_mended(
    recorded: Run, papers: Path, tmp_path: Path, role: str, fault: str
) -> None:
    script = Script(recorded, role, LASTING[fault])
    with Endpoint(script) as endpoint:
        run = new_run(tmp_path, papers, **provider(endpoint))
        with pytest.raises(ModelError) as stopped:
            worked_on(run)
        assert (
            "\n" not in str(stopped.value) and "resume" in str(stopped.value)
        ) or "check" in str(stopped.value)
        before = len(endpoint.requests)
        assert before == len(script.asked) + 1  # the fault was asked once
        worked_on(Run(run.folder))
    assert results(run) == results(recorded)
    assert len(script.asked) == len(set(script.asked))  # nothing is asked for twice


class Unhelpful(Careless):
    """One role never gives a usable answer."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self.role, self.asked = role, 0

    def answer(self, request: Request[Any]) -> Answer:
        answer = super().answer(request)
        if request.role != self.role:
            return answer
        self.asked += 1
        return answer.model_copy(update={"text": "I would rather talk about the weather."})


@pytest.mark.parametrize("role", ["rank", "judge", "code", "debug", "analyse", "review"])
def test_a_run_goes_on_without_a_usable_answer_and_never_pays_for_its_tries_again(
    papers: Path, tmp_path: Path, role: str
) -> None:
    run = new_run(tmp_path, papers, name="offline")
    journal = run.folder / "calls.jsonl"
    asked = []
    for _ in range(2):
        model = Unhelpful(role)
        research(replace(open_lab(run), model=Recorded(model, journal)))
        asked.append(model.asked)
        # As when the power fails before what was concluded from the calls is on disk.
        concluded = ("reading", "think", "practice", "feedback", "*-patch")
        lost = [path for name in concluded for path in run.folder.rglob(f"{name}.json")]
        assert len(lost) >= 2
        for path in lost:
            path.unlink()
    assert asked[0] >= 3 and asked[0] % 3 == 0 and asked[1] == 0


@pytest.mark.parametrize("role", ROLES)
def test_a_server_whose_name_is_unknown_is_an_outage_that_a_fallback_takes_over(
    recorded: Run, papers: Path, tmp_path: Path, role: str
) -> None:
    script = Script(recorded, "none", None)
    with Endpoint(script) as endpoint:
        nowhere = {
            "name": "anthropic/far",
            "api_base": "http://no-such-host.invalid/v1",
            "price": "0,0",
        }
        alone = provider(endpoint) | {"retries": 0, role: nowhere}
        run = new_run(tmp_path / "alone", papers, **alone)
        with pytest.raises(Outage, match="resume"):
            worked_on(run)
        helped = alone | {role: nowhere | {"fallback": ["openai/test"]}}
        run = new_run(tmp_path / "helped", papers, **helped)
        worked_on(run)
    assert results(run) == results(recorded)
    assert any("is asked instead" in note for note in run.notes())
