"""Through LiteLLM to a real server on loopback: every fault a provider can have."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from autoresearch.catalog import KEYS, check_model, price_of
from autoresearch.config import ModelSettings
from autoresearch.errors import BadInput, ModelError, Outage, PromptRefused, PromptTooLong
from autoresearch.faults import scrub
from autoresearch.journal import Recorded, Replay
from autoresearch.llm import Request, ask
from autoresearch.providers import Provider, response_format
from autoresearch.records import (
    Analysis,
    Attributes,
    Ideas,
    Novelty,
    Patch,
    Query,
    Ranking,
    Record,
    Review,
)
from tests.endpoint import (
    Endpoint,
    Reply,
    dripping,
    empty_choices,
    error,
    filtered,
    raw,
    refusal,
    reset,
    slow,
    truncated,
)

GOOD = '{"query": "graph networks"}'
ROOT = Path(__file__).parent.parent
KEY = "sk-test-0123456789abcdef"


@pytest.fixture(autouse=True)
def no_keys() -> Iterator[None]:
    """An environment without anybody's keys and proxies; whatever a test sets is undone."""
    kept = dict(os.environ)
    for name in kept:
        if name.endswith(("_API_KEY", "_PROXY", "_proxy")):
            del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(kept)


def _request(text: str = "What to search for?") -> Request[Query]:
    return Request("think/query", {}, text, Query, "round-00")


def _provider(endpoint: Endpoint, notes: list[str] | None = None, **changes: Any) -> Provider:
    heard: list[str] = [] if notes is None else notes
    return Provider(endpoint.settings(**{"retries": 2, **changes}), heard.append, pause=0.01)


# --- answers ---


def test_an_answer_comes_with_its_tokens_and_without_a_price_nobody_knows() -> None:
    with Endpoint([GOOD]) as endpoint:
        answer = _provider(endpoint, max_output=1234).answer(_request("Grüße \ud800"))
    assert (answer.text, answer.finish, answer.recorded) == (GOOD, "stop", False)
    assert (answer.model, answer.tokens_in, answer.tokens_out) == ("local-model", 11, 7)
    assert answer.dollars is None
    assert 0 < answer.seconds < 20
    assert endpoint.requests == [
        {
            "model": "local-model",
            "messages": [{"role": "user", "content": "Grüße ?"}],
            "max_tokens": 1234,
        }
    ]
    assert endpoint.keys == ["Bearer none"]


def test_a_known_price_is_charged_and_a_known_output_limit_kept() -> None:
    os.environ["OPENAI_API_KEY"] = KEY
    with Endpoint([GOOD]) as endpoint:
        provider = _provider(endpoint, name="openai/gpt-4o", max_output=60_000, temperature=0.5)
        answer = provider.answer(_request())
    assert answer.dollars == pytest.approx(11 * 2.5e-6 + 7 * 10e-6)
    assert endpoint.requests[0]["max_tokens"] == 16_384
    assert endpoint.requests[0]["temperature"] == 0.5
    assert endpoint.keys == [f"Bearer {KEY}"]


def test_the_name_of_a_local_model_may_have_slashes() -> None:
    with Endpoint([GOOD]) as endpoint:
        for name in ("meta-llama/Llama-3-8B", "openai/mine", "hosted_vllm/mine", "gpt-4o"):
            _provider(endpoint, name=name).answer(_request())
    sent = [request["model"] for request in endpoint.requests]
    assert sent == ["meta-llama/Llama-3-8B", "mine", "mine", "gpt-4o"]


def test_tokens_that_a_server_does_not_count_are_estimated() -> None:
    message = {"role": "assistant", "content": "x" * 80}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}
    with Endpoint([raw(json.dumps(body).encode())]) as endpoint:
        answer = _provider(endpoint).answer(_request("y" * 41))
    assert (answer.tokens_in, answer.tokens_out, answer.dollars) == (11, 20, None)


@pytest.mark.parametrize(
    ("reply", "finish", "text"),
    [
        (truncated('{"query": "gr'), "length", '{"query": "gr'),
        (refusal(), "refusal", ""),
        (filtered(), "content_filter", ""),
        (Reply(None), "stop", ""),
        (Reply("a\ud800b"), "stop", "a?b"),
    ],
)
def test_how_an_answer_ended_is_told(reply: Reply, finish: str, text: str) -> None:
    with Endpoint([reply]) as endpoint:
        answer = _provider(endpoint).answer(_request())
    assert (answer.finish, answer.text) == (finish, text)


@pytest.mark.parametrize(
    "script",
    [
        ["I think so.", '{"query": "gr', GOOD],
        [truncated(GOOD), refusal(), GOOD],
        [error(500), "no", reset(), error(429, retry_after=0.01), "", GOOD],
    ],
)
def test_asking_gets_through_bad_answers_and_faults(script: list[str | Reply]) -> None:
    with Endpoint(script) as endpoint:
        assert ask(_provider(endpoint), _request()) == Query(query="graph networks")
    assert len(endpoint.requests) == len(script)


def test_asking_gives_up_after_three_bad_answers() -> None:
    with Endpoint(["nothing of use"]) as endpoint, pytest.raises(ModelError, match="3 tries"):
        ask(_provider(endpoint), _request())
    assert len(endpoint.requests) == 3


def test_a_recorded_provider_is_paid_once(tmp_path: Path) -> None:
    journal = tmp_path / "calls.jsonl"
    with Endpoint(["no", error(500), GOOD]) as endpoint:
        for _ in range(3):
            assert ask(Recorded(_provider(endpoint), journal), _request()).query
        assert len(endpoint.requests) == 3
    assert ask(Replay(journal), _request()) == Query(query="graph networks")


def test_ideas_in_parallel_get_their_own_answers() -> None:
    with Endpoint(lambda request: request["messages"][0]["content"]) as endpoint:
        provider = _provider(endpoint)
        with ThreadPoolExecutor(8) as pool:
            texts = list(pool.map(lambda n: provider.answer(_request(f"n{n}")).text, range(40)))
    assert texts == [f"n{number}" for number in range(40)]


# --- faults that may pass ---


@pytest.mark.parametrize(
    "fault",
    [
        *(error(status) for status in (408, 409, 429, 500, 502, 503, 504, 529)),
        error(429, "rate_limit", "You exceeded your current quota. Please retry in 2 s."),
        reset(),
        raw(b""),
        raw(b"<html>busy</html>"),
        raw(b"null"),
        empty_choices(),
    ],
)
def test_a_passing_fault_is_tried_again_and_noted(fault: Reply) -> None:
    notes: list[str] = []
    with Endpoint([fault, fault, GOOD]) as endpoint:
        assert _provider(endpoint, notes).answer(_request()).text == GOOD
    assert len(endpoint.requests) == 3  # nobody else's retries on top
    assert [note.partition("; try")[2].partition(" in ")[0] for note in notes] == [
        " 2 of 3",
        " 3 of 3",
    ]
    assert all(note.startswith("local-model: ") and "\n" not in note for note in notes)
    assert all("Traceback" not in note and len(note) < 400 for note in notes)


@pytest.mark.parametrize("name", ["anthropic/claude-x", "gemini/x", "ollama/x", "mistral/x"])
def test_no_library_retries_on_its_own_account(name: str) -> None:
    with Endpoint([error(500)]) as endpoint, pytest.raises(ModelError, match="no answer in 3"):
        _provider(endpoint, name=name).answer(_request())
    assert len(endpoint.requests) == 3


@pytest.mark.parametrize("fault", [slow(5), dripping(0.3)])
def test_a_server_that_does_not_finish_is_given_up(fault: Reply) -> None:
    started = time.monotonic()
    with Endpoint([fault, GOOD]) as endpoint:
        assert _provider(endpoint, timeout=0.5).answer(_request()).text == GOOD
    assert time.monotonic() - started < 5


def test_a_fault_that_stays_ends_within_its_bounds_and_says_what_to_do() -> None:
    with (
        Endpoint([error(503, message="overloaded")]) as endpoint,
        pytest.raises(
            ModelError,
            match=rf"local-model: no answer in 3 tries \(.*overloaded\); check that {endpoint.url}",
        ),
    ):
        _provider(endpoint).answer(_request())
    assert len(endpoint.requests) == 3


def test_a_server_that_is_not_there_is_named() -> None:
    with Endpoint([GOOD]) as endpoint:
        provider = _provider(endpoint)
    with pytest.raises(ModelError, match=r"no answer in 3 .*check that http://127\.0\.0\.1"):
        provider.answer(_request())


@pytest.mark.parametrize("when", ["1", "0.8", "date"])
def test_a_retry_waits_as_long_as_the_provider_asks(when: str) -> None:
    def script(_: object) -> Reply:
        if len(endpoint.requests) > 1:
            return Reply(GOOD)
        return error(429, retry_after=formatdate(time.time() + 2) if when == "date" else when)

    with Endpoint(script) as endpoint:
        _provider(endpoint).answer(_request())
    first, second = endpoint.times
    assert 0.75 < second - first < 4


@pytest.mark.parametrize("nonsense", ["soon", "-5", "nan", "inf", "1e400", ""])
def test_a_senseless_retry_after_is_passed_over(nonsense: str) -> None:
    with Endpoint([error(429, retry_after=nonsense), GOOD]) as endpoint:
        _provider(endpoint).answer(_request())
    first, second = endpoint.times
    assert second - first < 2


# --- faults that stay ---


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        (error(401, "invalid_api_key"), "refused the key; set OPENAI_API_KEY"),
        (error(403), "refused the key; set OPENAI_API_KEY"),
        (error(404, "model_not_found", "no such model"), "no such model; check model.name"),
        (error(500, "x", "model 'llama9' not found, try pulling it"), "check model.name"),
        (error(400, "x", "bad value"), r"does not accept the request \(.*bad value"),
        (error(413), "does not accept the request"),
        (error(402, message="pay"), "quota is used up; add credit"),
        (
            error(429, "insufficient_quota", "You exceeded your current quota, see your plan."),
            "quota is used up; add credit",
        ),
        (error(400, "x", "Your credit balance is too low"), "quota is used up"),
        (
            error(400, "content_filter", "filtered by the content management policy"),
            "content filter refused it; reword",
        ),
        (
            error(400, "context_length_exceeded", "the maximum context length is 8192 tokens"),
            "too long for it; choose a model",
        ),
    ],
)
def test_what_cannot_succeed_stops_at_once_saying_what_to_do(fault: Reply, advice: str) -> None:
    notes: list[str] = []
    with Endpoint([fault]) as endpoint, pytest.raises(ModelError, match=advice) as raised:
        _provider(endpoint, notes).answer(_request())
    assert len(endpoint.requests) == 1
    assert notes == []
    assert "\n" not in str(raised.value)


def test_a_key_that_only_the_call_finds_missing_stops_it_at_once() -> None:
    notes: list[str] = []
    with pytest.raises(ModelError, match="set GITHUB_API_KEY"):
        Provider(ModelSettings(name="github/x"), notes.append).answer(_request())
    assert notes == []


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_keys_are_never_repeated(status: int) -> None:
    os.environ["OPENAI_API_KEY"] = KEY
    os.environ["DATABASE_PASSWORD"] = "correct horse"
    notes: list[str] = []
    fault = error(status, message=f"bad key {KEY}, password correct horse " + KEY * 40)
    with Endpoint([fault]) as endpoint, pytest.raises(ModelError) as raised:
        _provider(endpoint, notes).answer(_request())
    shown = " ".join([str(raised.value), *notes])
    assert endpoint.keys[0] == f"Bearer {KEY}"
    assert "[OPENAI_API_KEY]" in shown
    assert KEY[:12] not in shown
    assert "correct horse" not in shown
    assert raised.value.__suppress_context__


def test_the_password_of_a_url_is_scrubbed() -> None:
    assert scrub("http://me:hunter2@host:1/v1 and :2@x") == "http://me:…@host:1/v1 and :2@x"


# --- interruption, sockets, output ---


def _child(program: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


ONE_CALL = """
import sys
from autoresearch.config import ModelSettings
from autoresearch.llm import Request
from autoresearch.catalog import check_model
from autoresearch.providers import Provider
from autoresearch.records import Query

def one_call(name, base):
    settings = ModelSettings(name=name, api_base=base, retries=1)
    check_model(settings)
    return Provider(settings, print, pause=0.01).answer(Request("p", {}, "q", Query, "w"))
"""


@pytest.mark.parametrize("fault", [slow(30), error(429, retry_after=30)])
def test_an_interrupt_ends_a_call_and_a_pause_at_once(fault: Reply) -> None:
    with Endpoint([fault]) as endpoint:
        child = _child(f"{ONE_CALL}\none_call('local', sys.argv[1])", endpoint.url)
        while not endpoint.requests:
            assert child.poll() is None, child.communicate()
            time.sleep(0.02)
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        started = time.monotonic()
        _, errors = child.communicate(timeout=20)
    assert time.monotonic() - started < 5
    assert errors.rstrip().endswith("KeyboardInterrupt")


WATCHED = """
import sys
contacts = []

def watch(event, arguments):
    if event == "socket.connect":
        contacts.append(arguments[1])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        contacts.append(arguments[:2])

sys.addaudithook(watch)
"""


def test_a_call_contacts_nobody_but_its_server_and_prints_nothing(tmp_path: Path) -> None:
    program = f"""{WATCHED}{ONE_CALL}
import os, time
os.chdir(sys.argv[2])
for name in ("local", "openai/gpt-4o", "meta-llama/Llama-2-7b", "ollama/llama3"):
    try:
        one_call(name, sys.argv[1])
    except Exception as error:
        assert "no answer in 2 tries" in str(error), error
time.sleep(0.5)
import json
sys.stderr.write(json.dumps([list(contact) for contact in contacts if contact[0] != "127.0.0.1"]))
sys.stderr.write(f" {{len(contacts)}} {{os.environ.get('FROM_DOTENV')}}")
"""
    (tmp_path / ".env").write_text("FROM_DOTENV=loaded\n")
    with Endpoint([GOOD, error(500)]) as endpoint:
        child = _child(program, endpoint.url, str(tmp_path))
        output, errors = child.communicate(timeout=60)
    assert "Give Feedback" not in output + errors
    assert "Provider List" not in output + errors
    assert len(endpoint.requests) > 3
    strangers, contacts, dotenv = errors.rsplit(" ", 2)
    assert strangers == "[]"
    assert int(contacts) > 3
    assert dotenv == "None"


# --- before a run ---


@pytest.mark.parametrize(
    "provider", [provider for provider, variables in KEYS.items() if variables]
)
def test_a_missing_key_is_named_before_anything_starts(provider: str) -> None:
    settings = ModelSettings(name=f"{provider}/some-model")
    with pytest.raises(BadInput, match=rf"set the environment variable .*{KEYS[provider][0]}"):
        check_model(settings)
    os.environ[KEYS[provider][-1]] = KEY
    check_model(settings)


@pytest.mark.parametrize("name", ["", "nonsense", "foo/bar", "openai/", "/", "gpt"])
def test_a_name_that_leads_nowhere_is_refused_with_examples(name: str) -> None:
    with pytest.raises(BadInput, match=r"unknown model '.*': write provider/model, for example"):
        check_model(ModelSettings(name=name))


def test_a_name_that_only_the_library_knows_is_checked_by_it() -> None:
    for name, variable in (("gpt-4o", "OPENAI_API_KEY"), ("cerebras/x", "CEREBRAS_API_KEY")):
        with pytest.raises(BadInput, match=variable):
            check_model(ModelSettings(name=name))
        os.environ[variable] = KEY
        check_model(ModelSettings(name=name))
    check_model(ModelSettings(name="bedrock/x"))  # credentials may be in a file


def test_a_server_of_ones_own_needs_a_url_and_no_key() -> None:
    check_model(ModelSettings(name="anything/at-all", api_base="http://localhost:8000/v1"))
    check_model(ModelSettings(name="x", api_base="http://me:secret@[::1]:8000"))
    check_model(ModelSettings(name="ollama/llama3"))
    for wrong in ("localhost:8000", "http://", "http://[bad", "http://host:port/v1", "ftp://x", ""):
        with pytest.raises(BadInput, match=r"model\.api_base: write a URL"):
            check_model(ModelSettings(name="x", api_base=wrong))


def test_the_usual_providers_are_checked_and_the_package_imported_without_the_library() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "autoresearch").rglob("*.py"))
        if path.stem != "__main__"
    ]
    assert "autoresearch.providers" in modules
    os.environ["OPENAI_API_KEY"] = KEY
    child = _child(f"""
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name)
from autoresearch.catalog import check_model
from autoresearch.config import ModelSettings
check_model(ModelSettings(name="openai/gpt-4o"))
check_model(ModelSettings(name="ollama/llama3"))
print(*sorted({{"litellm", "openai", "json_repair"}} & set(sys.modules)))
""")
    output, errors = child.communicate(timeout=60)
    assert (output.strip(), errors) == ("", "")


# --- structured output, effort and temperature ---


def _ask_for(record: type[Record], text: str = "What?") -> Request[Any]:
    return Request("think/query", {}, text, record, "round-00")


SCHEMA_REFUSED = error(
    400, "invalid_request_error", "'response_format' of type 'json_schema' is not supported"
)


@pytest.mark.parametrize("record", [Query, Attributes, Ranking, Ideas, Novelty, Analysis, Review])
def test_a_record_is_asked_for_with_a_schema_that_every_provider_takes(
    record: type[Record],
) -> None:
    with Endpoint(["{}"]) as endpoint:
        _provider(endpoint, name="openai/gpt-4o").answer(_ask_for(record))
    asked = endpoint.requests[0]["response_format"]
    assert asked["type"] == "json_schema" and asked["json_schema"]["strict"] is True
    assert asked["json_schema"]["name"] == record.__name__
    nodes, waiting = [], [asked["json_schema"]["schema"]]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        waiting += [*node.get("properties", {}).values(), *node.get("anyOf", [])]
        waiting += [node["items"]] if "items" in node else []
    for node in nodes:
        known = {"type", "enum", "description", "properties", "required", "items", "anyOf"}
        assert node.keys() <= known | {"additionalProperties"}, node
        assert "type" in node or "anyOf" in node
        if node.get("type") == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])
    assert set(nodes[0]["properties"]) == set(record.model_fields)


def test_ideas_are_asked_for_down_to_their_fields() -> None:
    schema = response_format(Ideas)
    assert schema is not None
    idea = schema["json_schema"]["schema"]["properties"]["ideas"]["items"]
    assert idea["properties"]["parent"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert idea["properties"]["cites"] == {"type": "array", "items": {"type": "string"}}
    assert response_format(Novelty)["json_schema"]["schema"]["properties"]["novel"] == {
        "enum": ["yes", "no", "undecided"],
        "type": "string",
    }


def test_edits_and_models_without_schemas_are_asked_for_in_plain_text() -> None:
    ollama = {"model": "llama3", "message": {"role": "assistant", "content": GOOD}, "done": True}
    with Endpoint([GOOD, GOOD, raw(json.dumps(ollama).encode())]) as endpoint:
        _provider(endpoint, name="openai/gpt-4o").answer(_ask_for(Patch))
        _provider(endpoint, name="openai/unheard-of").answer(_ask_for(Query))
        assert _provider(endpoint, name="ollama_chat/llama3").answer(_ask_for(Query)).text == GOOD
    assert all("response_format" not in request for request in endpoint.requests)
    assert not endpoint.requests[-1].get("format")


def test_a_schema_that_is_turned_down_is_left_out_from_then_on() -> None:
    notes: list[str] = []
    with Endpoint([SCHEMA_REFUSED, GOOD, GOOD]) as endpoint:
        provider = _provider(endpoint, notes, name="openai/gpt-4o", retries=0)
        for _ in range(2):
            assert ask(provider, _request()) == Query(query="graph networks")
    assert ["response_format" in request for request in endpoint.requests] == [True, False, False]
    assert len(notes) == 1 and "asked without response_format" in notes[0]


def test_a_schema_is_part_of_what_is_sent_and_not_of_what_is_recorded(tmp_path: Path) -> None:
    plain, structured = tmp_path / "plain.jsonl", tmp_path / "structured.jsonl"
    with Endpoint([GOOD]) as endpoint:
        for name, journal in (("openai/unheard-of", plain), ("openai/gpt-4o", structured)):
            ask(Recorded(_provider(endpoint, name=name), journal), _request())
    keys = [json.loads(journal.read_text())["key"] for journal in (plain, structured)]
    assert keys[0] == keys[1]
    assert "response_format" not in structured.read_text()


def test_reasoning_models_are_sent_an_effort_and_no_temperature_and_others_the_reverse() -> None:
    with Endpoint([GOOD]) as endpoint:
        for name in ("openai/gpt-5", "openai/gpt-4o", "openai/unheard-of"):
            _provider(endpoint, name=name, effort="low", temperature=0.3).answer(_ask_for(Patch))
    sent = [
        (request.get("reasoning_effort"), request.get("temperature"))
        for request in endpoint.requests
    ]
    assert sent == [("low", None), (None, 0.3), (None, 0.3)]


@pytest.mark.parametrize(
    ("message", "left_out"),
    [
        ("Unsupported value: 'temperature' does not support 0.3 with this model", "temperature"),
        ("Unsupported value: 'reasoning_effort' does not support 'minimal'", "reasoning_effort"),
    ],
)
def test_a_temperature_or_an_effort_that_is_turned_down_is_left_out(
    message: str, left_out: str
) -> None:
    changes = {"name": "hosted_vllm/x", "temperature": 0.3, "effort": "minimal"}
    with Endpoint([error(400, "unsupported_value", message), GOOD]) as endpoint:
        assert _provider(endpoint, **changes).answer(_request()).text == GOOD
    first, second = endpoint.requests
    assert first.keys() - second.keys() == {left_out}


def test_thoughts_beside_and_inside_an_answer_are_left_out() -> None:
    message = {
        "role": "assistant",
        "content": f'<think>{{"query": "wrong"}}</think>\n{GOOD}',
        "reasoning_content": '{"query": "also wrong"}',
    }
    body = {
        "id": "1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }  # fmt: skip
    with Endpoint([raw(json.dumps(body).encode())]) as endpoint:
        assert ask(_provider(endpoint), _request()) == Query(query="graph networks")


def test_a_request_is_one_user_message_so_that_models_without_system_prompts_work() -> None:
    with Endpoint([GOOD]) as endpoint:
        _provider(endpoint).answer(_request())
    assert [message["role"] for message in endpoint.requests[0]["messages"]] == ["user"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (error(503), Outage),
        (reset(), Outage),
        (slow(3), Outage),
        (error(429), Outage),
        (error(400, "context_length_exceeded", "maximum context length"), PromptTooLong),
        (error(400, "x", "prompt is too long: 300000 tokens > 200000 maximum"), PromptTooLong),
        (error(400, "x", "The input token count (9) exceeds the maximum"), PromptTooLong),
        (error(400, "x", "request (9 tokens) exceeds the available context size"), PromptTooLong),
        (error(400, "content_filter", "content management policy"), PromptRefused),
        (error(401), ModelError),
        (error(404), ModelError),
    ],
)
def test_outages_refused_prompts_and_what_needs_mending_are_told_apart(
    fault: Reply, kind: type[ModelError]
) -> None:
    with Endpoint([fault]) as endpoint, pytest.raises(ModelError) as raised:
        _provider(endpoint, retries=0, timeout=0.3).answer(_request())
    assert type(raised.value) is kind


# --- prices ---


def test_prices_are_of_the_price_map_or_local_or_unknown() -> None:
    def price(name: str, api_base: str | None = None) -> Any:
        found = price_of(name, ModelSettings(name=name, api_base=api_base))
        return found and (*map(float, found[:2]), found[2].split()[0])

    assert price("openai/gpt-4o") == price("gpt-4o") == (2.5, 10.0, "LiteLLM")
    assert price("anthropic/claude-sonnet-4-5") == (3.0, 15.0, "LiteLLM")
    assert price("openai/gpt-4o", "https://gateway.example.com/v1") == (2.5, 10.0, "LiteLLM")
    for name in ("ollama/llama3", "lm_studio/x", "command:claude -p"):
        assert price(name) == (0.0, 0.0, "local")
    for base in ("http://localhost:8000", "http://127.0.0.1/v1", "http://[::1]:1", "http://10.1.2.3",
                 "http://192.168.0.9:8000/v1", "http://gpu-box:8000", "http://gpu.local"):  # fmt: skip
        assert price("openai/gpt-4o", base) == (0.0, 0.0, "local"), base
    assert price("openai/unheard-of") is None
    assert price("mine", "https://models.example.com/v1") is None
    assert price("openrouter/openrouter/auto") is None  # the map has 0 for it
    assert price("openai/deepseek-chat", "https://8.8.8.8/v1") is None  # another provider's price
