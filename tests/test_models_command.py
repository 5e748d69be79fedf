"""`autoresearch models`: what the settings name, and what really answers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch.config import ModelSettings
from autoresearch.models import rows_of
from tests.endpoint import Endpoint, error

ROOT = Path(__file__).parents[1]
KEY = "sk-canary-1b7f20cc"


def _models(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
    return subprocess.run(
        [sys.executable, "-m", "autoresearch", "models", *arguments],
        cwd=folder, env={**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "300", **variables},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def _lines(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    rows = [line.strip("│┃ ") for line in done.stdout.splitlines() if line[:1] in "│┃"]
    return [[cell.strip() for cell in row.replace("┃", "│").split("│")] for row in rows]


def test_every_model_is_listed_with_roles_server_price_and_key(tmp_path: Path) -> None:
    (tmp_path / "autoresearch.toml").write_text(
        """
        [model]
        name = "anthropic/claude-sonnet-4-5"
        fallback = ["openai/gpt-4o", "ollama/llama3"]
        code = "command:cat"
        review = {name = "mine", api_base = "http://me:hunter2@10.1.2.3/v1", fallback = []}
        judge = {name = "other", api_base = "https://models.example.com/v1"}
        """
    )
    done = _models(tmp_path, ANTHROPIC_API_KEY=KEY, OPENAI_API_KEY=KEY)
    assert done.returncode == 0, done.stdout + done.stderr
    header, *rows = _lines(done)
    assert header == ["roles", "model", "server", "$ per Mtok in, out", "price from", "key"]
    others = "fallback of think, rank, code, debug, analyse, judge"
    source = rows[0][4]
    assert source.startswith("LiteLLM 1.") and source.endswith("price map")
    assert rows == [
        ["think, rank, debug, analyse", "anthropic/claude-sonnet-4-5", "anthropic", "3, 15", source,
         "ANTHROPIC_API_KEY"],
        [others, "openai/gpt-4o", "openai", "2.5, 10", source, "OPENAI_API_KEY"],
        [others, "ollama/llama3", "this machine", "0, 0", "local", "none"],
        ["code", "command:cat", "this machine", "0, 0", "local", "none"],
        ["review", "mine", "http://me:…@10.1.2.3/v1", "0, 0", "local", "OPENAI_API_KEY"],
        ["judge", "other", "https://models.example.com/v1", "unknown", "nobody", "OPENAI_API_KEY"],
    ]  # fmt: skip
    assert KEY not in done.stdout + done.stderr and "hunter2" not in done.stdout


def test_a_missing_key_is_named_and_the_exit_code_says_so(tmp_path: Path) -> None:
    done = _models(tmp_path, "--set", "model.name=mistral/x", "--set", "model.code=command:nope")
    assert done.returncode == 1
    assert "set the environment variable MISTRAL_API_KEY" in done.stdout
    assert "there is no program 'nope' here" in done.stdout


def test_a_ping_says_which_answer_with_latency_and_cost(tmp_path: Path) -> None:
    faults = {"broken": error(503, message=f"overloaded {KEY}")}
    with Endpoint(lambda request: faults.get(request["model"], "ready")) as endpoint:
        arguments = [
            "--set", f"model.api_base={endpoint.url}", "--set", "model.name=openai/gpt-4o",
            "--set", "model.code=command:cat", "--set", "model.effort=low",
        ]  # fmt: skip
        done = _models(tmp_path, "--ping", *arguments, OPENAI_API_KEY=KEY)
        assert done.returncode == 0, done.stdout + done.stderr
        answers = {row[1]: row[6] for row in _lines(done)}
        assert (
            answers["openai/gpt-4o"].startswith("in ") and "s, $0.0000" in answers["openai/gpt-4o"]
        )
        assert answers["command:cat"].startswith("in ") and "$" not in answers["command:cat"]
        (request,) = endpoint.requests
        assert request["max_tokens"] == 16
        assert request["messages"] == [{"role": "user", "content": "Reply with the word ready"}]

        endpoint.requests.clear()
        fallback = ("--set", 'model.fallback=["openai/broken"]')
        done = _models(tmp_path, "--ping", *arguments, *fallback, OPENAI_API_KEY=KEY)
        assert done.returncode == 1
        answers = {row[1]: row[6] for row in _lines(done)}
        assert "no answer in 1 try (overloaded [OPENAI_API_KEY])" in answers["openai/broken"]
        assert answers["openai/gpt-4o"].startswith("in ")
        assert len(endpoint.requests) == 2  # one call each, no retries
        assert KEY not in done.stdout + done.stderr


def test_a_reasoning_model_has_room_to_think_in_a_ping() -> None:
    with Endpoint([""]) as endpoint:
        (row,) = rows_of(endpoint.settings(name="openai/gpt-5", effort="high"), ping=True)
    (request,) = endpoint.requests
    assert row.works and "reasoning_effort" not in request
    assert json.dumps(request).count("1024") == 1


@pytest.mark.parametrize("name", ["offline", "replay:some-run"])
def test_models_of_a_whole_run_need_no_call(name: str) -> None:
    (row,) = rows_of(ModelSettings(name=name), ping=True)
    assert (row.roles, row.model, row.works, row.answer) == ("all", name, True, "needs no call")
