"""A model per role and its fallbacks, through LiteLLM to real servers on loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config import ModelSettings, Settings, load_settings
from autoresearch.errors import BadInput, ModelError, Outage, PromptRefused, PromptTooLong
from autoresearch.llm import Model, Request
from autoresearch.prompts import VARIABLES
from autoresearch.providers import Provider
from autoresearch.records import Lesson, Patch
from autoresearch.roles import ROLE_OF, ROLES
from autoresearch.routing import REST, Router, chain_of, check_models, open_model
from autoresearch.store import Run, create_run, list_runs, read
from tests.endpoint import Endpoint, Reply, error

ROOT = Path(__file__).parents[1]
SLOPE = ROOT / "tests" / "tasks" / "slope"


@pytest.fixture(autouse=True)
def no_keys() -> Iterator[None]:
    """An environment without anybody's keys; whatever a test sets is undone."""
    kept = dict(os.environ)
    for name in kept:
        if name.endswith(("_API_KEY", "_PROXY", "_proxy")):
            del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(kept)


def _settings(folder: Path, text: str, *assignments: str) -> ModelSettings:
    (folder / "autoresearch.toml").write_text(text)
    return load_settings(folder, {}, assignments).model


def _request(prompt: str = "think/query") -> Request[Any]:
    return Request(prompt, {}, "What?", Patch, "round-00")


# --- settings ---


def test_every_prompt_has_a_role_and_every_role_a_prompt() -> None:
    assert ROLE_OF.keys() == VARIABLES.keys()
    assert set(ROLE_OF.values()) == set(ROLES)
    assert {_request(prompt).role for prompt in VARIABLES} == set(ROLES)
    assert set(ROLES) < ModelSettings.model_fields.keys()


def test_a_role_inherits_what_its_section_does_not_say(tmp_path: Path) -> None:
    settings = _settings(
        tmp_path,
        """
        [model]
        name = "anthropic/claude-sonnet-4-5"
        temperature = 0.2
        effort = "low"
        max_output = 5000
        retries = 2
        fallback = ["openai/gpt-4o"]
        code = "anthropic/claude-opus-4-5"
        [model.review]
        temperature = 1.0
        effort = "high"
        fallback = []
        """,
    )
    think, spare = chain_of(settings, "think")
    assert (think.name, think.temperature, think.effort, think.max_output, think.retries) == (
        "anthropic/claude-sonnet-4-5", 0.2, "low", 5000, 2,
    )  # fmt: skip
    assert spare == think.model_copy(update={"name": "openai/gpt-4o"})
    code, _ = chain_of(settings, "code")
    assert code == think.model_copy(update={"name": "anthropic/claude-opus-4-5"})
    (review,) = chain_of(settings, "review")
    assert review == think.model_copy(update={"temperature": 1.0, "effort": "high"})


def test_set_takes_roles_in_the_short_form_and_keeps_the_rest_of_their_section(
    tmp_path: Path,
) -> None:
    text = '[model]\nname = "a/b"\ndebug = "c/d"\n[model.code]\ntemperature = 0.5\n'
    settings = _settings(
        tmp_path, text, "model.code=command:claude -p", "model.debug.effort=high",
        "model.judge=e/f", "model.fallback=g/h", 'model.rank.fallback=["i/j", "k/l"]',
    )  # fmt: skip
    assert settings.code is not None and settings.debug is not None and settings.rank is not None
    assert (settings.code.name, settings.code.temperature) == ("command:claude -p", 0.5)
    assert (settings.debug.name, settings.debug.effort) == ("c/d", "high")
    assert settings.judge is not None and settings.judge.name == "e/f"
    assert settings.fallback == ("g/h",) and settings.rank.fallback == ("i/j", "k/l")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[model.codes]\nname = "x"', r"line 1: model\.codes: is not a known key"),
        ('[model.code]\nnames = "x"', r"line 2: model\.code\.names: is not a known key"),
        ('[model.code]\neffort = "huge"', r"line 2: model\.code\.effort: .*'huge'"),
        ("[model]\ncode = 3", r"line 2: model\.code"),
        ("[model]\nfallback = [1]", r"line 2: model\.fallback"),
    ],
)
def test_what_is_wrong_with_a_role_is_said_with_key_and_line(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        _settings(tmp_path, text)


def test_roles_are_frozen_into_a_run_and_come_back_from_it(tmp_path: Path) -> None:
    model = _settings(tmp_path, '[model]\nfallback = ["c/d"]\ncode = "a/b"\nrank.effort = "low"\n')
    run = create_run(Settings(runs=tmp_path / "runs", model=model), SLOPE, {"task": "slope"})
    assert Run(run.folder).settings.model == model


SERVER = "http://10.0.0.7:8000/v1"


@pytest.mark.parametrize(
    ("default", "other", "goes_to_the_server"),
    [
        ("openai/mine", "openai/other", True),
        ("openai/mine", "plain-name", True),
        ("mine", "Qwen/Qwen3-8B", True),
        ("hosted_vllm/mine", "hosted_vllm/other", True),
        ("openai/mine", "anthropic/claude-sonnet-4-5", False),
        ("mine", "openai/gpt-4o", False),
        ("hosted_vllm/mine", "cerebras/x", False),
        ("openai/mine", "command:cat", False),
    ],
)
def test_requests_and_keys_never_go_to_the_server_of_another_provider(
    default: str, other: str, goes_to_the_server: bool
) -> None:
    settings = ModelSettings.model_validate(
        {"name": default, "api_base": SERVER, "code": other, "fallback": [other]}
    )
    code = chain_of(settings, "code")[0]
    fallback = chain_of(settings, "think")[1]
    assert code.api_base == fallback.api_base == (SERVER if goes_to_the_server else None)


def test_a_fallback_finds_the_server_of_its_provider_also_behind_another_first_choice() -> None:
    settings = ModelSettings.model_validate(
        {
            "name": "openai/mine", "api_base": SERVER, "fallback": ["openai/spare"],
            "code": {"name": "mistral/x", "api_base": "http://elsewhere"}, "debug": "mistral/y",
        }
    )  # fmt: skip
    assert [each.api_base for each in chain_of(settings, "code")] == ["http://elsewhere", SERVER]
    assert [each.api_base for each in chain_of(settings, "debug")] == [None, SERVER]


# --- before a run ---


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"code": "anthropic/x"}, "anthropic/x needs a key"),
        ({"fallback": ["gemini/x"]}, "gemini/x needs a key"),
        ({"review": {"fallback": ["nonsense"]}}, "unknown model 'nonsense'"),
        ({"debug": "command:no-such-agent"}, "no program 'no-such-agent'"),
        ({"rank": {"api_base": "here"}}, "write a URL"),
        ({"judge": "offline"}, "offline cannot be the model of one role"),
        ({"fallback": ["replay:x"]}, "replay:x cannot be"),
    ],
)
def test_every_model_of_every_role_and_fallback_is_checked_before_a_run(
    changes: dict[str, Any], said: str
) -> None:
    check_models(ModelSettings.model_validate({"name": "ollama/x"}))
    with pytest.raises(BadInput, match=said):
        check_models(ModelSettings.model_validate({"name": "ollama/x", **changes}))


# --- asking ---


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Served:
    """A router over one endpoint whose models answer with their names, except those in `down`."""

    def __init__(self, endpoint: Endpoint, **changes: Any) -> None:
        self.endpoint = endpoint
        self.down: dict[str, Reply] = {}
        self.notes: list[str] = []
        self.clock = Clock()
        endpoint.script = lambda request: self.down.get(request["model"], request["model"])
        base = {"name": "openai/a", "api_base": endpoint.url, "retries": 0, **changes}
        settings = ModelSettings.model_validate(base)
        self.router = Router(settings, self.make, self.notes.append, self.clock)

    def make(self, name: str, settings: ModelSettings) -> Model:
        assert name == settings.name
        return Provider(settings, self.notes.append, pause=0.01)

    def ask(self, prompt: str = "think/query") -> str:
        return self.router.answer(_request(prompt)).text

    def asked(self) -> list[str]:
        models = [request["model"] for request in self.endpoint.requests]
        self.endpoint.requests.clear()
        return models


@pytest.fixture
def served() -> Iterator[Callable[..., Served]]:
    with Endpoint([""]) as endpoint:
        yield lambda **changes: Served(endpoint, **changes)


def test_each_role_is_asked_of_its_own_model_with_its_own_settings(
    served: Callable[..., Served],
) -> None:
    here = served(temperature=0.1, code="openai/c", review={"name": "openai/r", "temperature": 0.9})
    said = {prompt: here.ask(prompt) for prompt in ROLE_OF}
    expected = {prompt: "a" for prompt in ROLE_OF} | {
        "practice/code": "c",
        "feedback/review": "r",
        "feedback/fidelity": "r",
    }
    assert said == expected
    sent = {request["model"]: request["temperature"] for request in here.endpoint.requests}
    assert sent == {"a": 0.1, "c": 0.1, "r": 0.9}


def test_an_outage_is_bridged_and_the_first_is_asked_again_after_a_rest(
    served: Callable[..., Served],
) -> None:
    here = served(fallback=["openai/b"], retries=1)
    here.down["a"] = error(503, message="overloaded")
    assert here.ask() == "b" and here.asked() == ["a", "a", "b"]
    said = [note for note in here.notes if "openai/b is asked instead (think)" in note]
    assert len(said) == 1 and "overloaded" in said[0] and "\n" not in said[0]
    assert here.ask("practice/code") == "b" and here.asked() == ["b"]  # for all roles
    here.down.clear()
    here.clock.now += REST - 1
    assert here.ask() == "b"
    here.clock.now += 2
    assert here.ask() == "a" and here.asked() == ["b", "a"]


def test_a_model_that_rests_is_asked_after_all_when_the_others_fail(
    served: Callable[..., Served],
) -> None:
    here = served(fallback=["openai/b"])
    here.down["a"] = error(503)
    here.ask()
    here.down = {"b": error(503)}
    here.asked()
    assert here.ask() == "a" and here.asked() == ["b", "a"]


@pytest.mark.parametrize(
    "fault",
    [
        error(401, "invalid_api_key"),
        error(404, "model_not_found"),
        error(429, "insufficient_quota", "You exceeded your current quota, see your plan."),
    ],
)
def test_what_cannot_succeed_moves_on_or_stops_at_once(
    served: Callable[..., Served], fault: Reply
) -> None:
    here = served(retries=3, code={"fallback": ["openai/b"]})
    here.down["a"] = fault
    assert here.ask("practice/code") == "b" and here.asked() == ["a", "b"]
    with pytest.raises(ModelError) as raised:
        here.ask("think/query")
    assert here.asked() == ["a"] and not isinstance(raised.value, Outage)


def test_a_prompt_that_is_too_long_goes_to_the_next_and_the_first_is_asked_the_next_one(
    served: Callable[..., Served],
) -> None:
    here = served(fallback=["openai/b"])
    here.down["a"] = error(400, "context_length_exceeded", "maximum context length is 10")
    assert here.ask() == "b"
    here.down.clear()
    assert here.ask() == "a"


@pytest.mark.parametrize(
    ("faults", "kind"),
    [
        ((error(503), error(500)), Outage),
        ((error(503), error(401)), ModelError),
        ((error(413), error(413)), PromptRefused),
        ((error(400, message="maximum context length is 9"), error(503)), PromptTooLong),
    ],
)
def test_when_all_fail_each_is_named_and_the_kind_is_theirs(
    served: Callable[..., Served], faults: tuple[Reply, Reply], kind: type[ModelError]
) -> None:
    here = served(fallback=["openai/b"])
    here.down.update(zip("ab", faults, strict=True))
    with pytest.raises(ModelError, match=r"no model answered: openai/a: .*; openai/b: ") as raised:
        here.ask()
    assert type(raised.value) is kind


def test_threads_get_through_an_outage_together(served: Callable[..., Served]) -> None:
    here = served(fallback=["openai/b"], max_output=300)
    here.down["a"] = error(503)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: here.ask(), range(32))) == {"b"}
    assert here.asked().count("a") <= 8


def test_each_model_is_made_once_for_the_roles_that_share_it(served: Callable[..., Served]) -> None:
    made: list[str] = []

    def make(name: str, settings: ModelSettings) -> Model:
        made.append(name)
        return open_model(settings, made.append)

    settings = ModelSettings.model_validate(
        {"name": "openai/a", "api_base": SERVER, "fallback": ["openai/b"], "code": "command:cat"}
    )
    Router(settings, make, made.append)
    assert sorted(made) == ["command:cat", "openai/a", "openai/b"]


# --- a whole run ---


def _run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    shape = ("--rounds", "1", "--ideas", "1", "--sandbox", "local", "--task", str(SLOPE))
    return subprocess.run(
        [sys.executable, "-m", "autoresearch", "run", *shape, "--parallel", "1", *arguments],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=250, check=False,
    )  # fmt: skip


AGENT = """
import json, sys
answers = json.load(open(sys.argv[1]))
text = sys.stdin.read()
sys.stdout.write(answers[text])
"""


def test_a_run_with_an_agent_for_code_and_an_outage_on_the_way_gives_the_same_results(
    tmp_path: Path,
) -> None:
    done = _run("--model", "offline", "--runs", str(tmp_path / "offline"))
    assert done.returncode == 0, done.stderr
    recorded = Run(list_runs(tmp_path / "offline")[0])
    answers = {call["text"]: call["answer"]["text"] for call in _calls(recorded)}
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    (tmp_path / "agent.py").write_text(AGENT)
    agent = f"command:{sys.executable} {tmp_path / 'agent.py'} {tmp_path / 'answers.json'}"
    served: list[str] = []

    def script(request: dict[str, Any]) -> str | Reply:
        served.append(request["model"])
        if request["model"] == "first" and served.count("first") > 1:
            return error(503, message="overloaded")
        return answers[request["messages"][0]["content"]]

    with Endpoint(script) as endpoint:
        (tmp_path / "autoresearch.toml").write_text(
            f'[papers]\narxiv = false\n[model]\nname = "openai/first"\napi_base = "{endpoint.url}"\n'
            f'retries = 0\nfallback = ["openai/second"]\ncode = "{agent}"\n'
        )
        done = _run("--runs", "runs", "--set", f"model.debug={agent}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = Run(list_runs(tmp_path / "runs")[0])
    assert _results(run) == _results(recorded)
    by_prompt = {call["prompt"]: call["answer"]["model"] for call in _calls(run)}
    assert by_prompt["practice/code"].startswith("command:")
    assert by_prompt["feedback/analysis"] == by_prompt["feedback/review"] == "second"
    assert served[0] == "first" and served.count("first") == 2
    notes = run.notes()
    assert sum("overloaded" in note and "openai/second is asked" in note for note in notes) == 1


def _calls(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / "calls.jsonl").read_text().splitlines()]


def _results(run: Run) -> list[Any]:
    lessons = [read(path, Lesson) for path in sorted(run.folder.glob("round-*/*/feedback.json"))]
    return [(x.name, x.verdict, x.diff, x.analysis, x.review) for x in lessons]


def test_offline_plays_all_roles_and_says_that_others_are_not_asked(tmp_path: Path) -> None:
    done = _run("--model", "offline", "--runs", str(tmp_path), "--set", "model.code=anthropic/x")
    assert done.returncode == 0, done.stderr
    assert any("offline plays all roles" in note for note in Run(list_runs(tmp_path)[0]).notes())


def test_a_role_whose_program_is_missing_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    settings = ("--set", "model.code=command:no-such-agent -p", "--runs", str(tmp_path / "runs"))
    done = _run("--model", "ollama/x", *settings)
    assert done.returncode == 2 and "no-such-agent" in done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "runs").exists()
