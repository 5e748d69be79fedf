"""Cassettes: what is in them and what must not be, and replays that lack something."""

import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoresearch.cassette import open_recording, read_cassette, write_cassette
from autoresearch.differences import difference, likeness
from autoresearch.errors import BadInput, NotRecorded, RecordError, UnusableAnswer
from autoresearch.journal import Recorded, Replay
from autoresearch.llm import Answer, Request, ask
from autoresearch.records import Lesson, Query
from autoresearch.redaction import redactor
from autoresearch.store import Run, list_runs, read

ROOT = Path(__file__).parents[1]
SLOPE = ROOT / "tests" / "tasks" / "slope"
CANARY = "canary-5b1f0c9e7a"
GOOD = '{"query": "graph networks"}'


def autoresearch(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autoresearch", *arguments],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Run:
    runs = tmp_path_factory.mktemp("runs")
    done = autoresearch(
        "run", "--task", str(SLOPE), "--model", "offline", "--rounds", "2", "--ideas", "2",
        "--sandbox", "local", "--runs", str(runs), EXAMPLE_API_KEY=CANARY,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Run(list_runs(runs)[0])


@pytest.fixture(scope="module")
def cassette(recorded: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cassettes") / "slope.json.gz"
    done = autoresearch("cassette", str(recorded.folder), str(out))
    assert (done.returncode, done.stderr) == (0, ""), "a correct product has nothing to redact"
    return out


def results(run: Run) -> list[Any]:
    lessons = [read(path, Lesson) for path in sorted(run.folder.glob("round-*/*/feedback.json"))]
    return [lesson.model_dump(exclude={"commit"}) for lesson in lessons]


# --- replaying ---


def test_a_cassette_alone_gives_the_same_results_and_can_be_resumed(
    recorded: Run, cassette: Path, tmp_path: Path
) -> None:
    done = autoresearch(
        "run", "--model", f"replay:{cassette}", "--sandbox", "local", "--runs", str(tmp_path)
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    replayed = Run(list_runs(tmp_path)[0])
    assert len(results(replayed)) >= 3 and results(replayed) == results(recorded)
    assert replayed.task_name == "slope" and replayed.settings.topic == recorded.settings.topic
    assert replayed.manifest["origin"] == "recorded from offline (no language model)"
    (replayed.folder / "claims.json").unlink()
    assert autoresearch("resume", str(replayed.folder)).returncode == 0
    again = tmp_path / "again.json.gz"
    write_cassette(replayed, again)
    assert read_cassette(again).header == read_cassette(cassette).header


def test_a_changed_prompt_stops_the_replay_with_what_changed(
    cassette: Path, tmp_path: Path
) -> None:
    own = tmp_path / "prompts" / "think"
    own.mkdir(parents=True)
    shipped = (ROOT / "prompts" / "think" / "query.md").read_text()
    (own / "query.md").write_text(shipped.replace("3 to 6 words", "7 words at most"))
    done = autoresearch(
        "run", "--model", f"replay:{cassette}", "--sandbox", "local", "--runs", str(tmp_path),
        "--set", f"prompts={own.parent}",
    )  # fmt: skip
    assert done.returncode == 1
    first, *changes = done.stderr.splitlines()
    assert "think/query (reading): not in the recorded run" in first
    assert len(changes) == 2 and changes[0][0] == "-" and changes[1][0] == "+"
    assert "3 to 6 words" in changes[0] and "7 words at most" in changes[1]


def test_a_cassette_chooses_no_sandbox_no_folder_and_no_server(
    cassette: Path, tmp_path: Path
) -> None:
    document = json.loads(gzip.decompress(cassette.read_bytes()))
    document["header"]["settings"] |= {
        "sandbox": {"kind": "none", "i_trust_generated_code": True},
        "runs": "/elsewhere",
        "prompts": "/elsewhere",
        "model": {"api_base": "http://elsewhere"},
        "papers": {"folder": "/elsewhere", "keep": 7},
    }
    path = rewritten(document, tmp_path)
    settings = open_recording(str(path), tmp_path, tmp_path / "shelf").settings
    assert not {"sandbox", "runs", "prompts", "model"} & set(settings)
    assert settings["papers"] == {"keep": 7, "arxiv": False}


# --- what is in it ---


def test_a_cassette_says_what_it_is_and_how_the_run_came_out(recorded: Run, cassette: Path) -> None:
    assert cassette.stat().st_size < 100_000
    text = gzip.decompress(cassette.read_bytes()).decode()
    assert text.index('"format"') < 50  # what a person sees first
    header = read_cassette(cassette).header
    assert header.origin == "recorded from offline (no language model)"
    assert [(x.name, x.outcome) for x in header.results] == [
        (lesson["name"], lesson["verdict"]["outcome"]) for lesson in results(recorded)
    ]
    assert header.prompts == recorded.manifest["prompts"] and header.python


def test_the_same_run_gives_the_same_bytes(recorded: Run, cassette: Path, tmp_path: Path) -> None:
    time.sleep(1.1)  # gzip would write the second it was made
    write_cassette(recorded, tmp_path / "another-name")
    assert (tmp_path / "another-name").read_bytes() == cassette.read_bytes()


def test_no_key_and_no_path_of_this_machine_is_in_a_cassette(recorded: Run, cassette: Path) -> None:
    text = gzip.decompress(cassette.read_bytes()).decode()
    for private in (CANARY, str(recorded.folder), str(Path.home()), str(ROOT), os.getcwd()):
        assert private not in text


def test_what_a_leaky_run_would_hold_is_redacted_and_said_and_still_replays(
    recorded: Run, tmp_path: Path
) -> None:
    leaky = tmp_path / "runs" / "leaky"
    leaky.mkdir(parents=True)
    for name in ("run.toml", "claims.json"):
        (leaky / name).write_bytes((recorded.folder / name).read_bytes())
    (leaky / "task").mkdir()
    (leaky / "task" / "requirements.txt").write_text(
        "--index-url https://me:hunter22@host/simple\n"
    )
    asked = f"read {leaky}/x and {Path.home()}/.ssh with {CANARY} or sk-{'a1' * 12}"
    journal = Recorded(Scripted(f"see {ROOT}/y: Bearer {'z9' * 12}", GOOD), leaky / "calls.jsonl")
    assert ask(journal, _request(asked)) == Query(query="graph networks")
    done = autoresearch(
        "cassette", "leaky", str(tmp_path / "out"), "--runs", str(leaky.parent), SOME_TOKEN=CANARY
    )
    assert done.returncode == 0
    assert done.stderr.splitlines() == sorted(done.stderr.splitlines())
    text = gzip.decompress((tmp_path / "out").read_bytes()).decode()
    for private in (CANARY, str(tmp_path), str(Path.home()) + "/", "hunter22", "a1a1", "z9z9"):
        assert private not in text, text
    for place in ("{run}", "{home}", "{secret}", "{product}"):
        assert place in text and place in done.stderr
    os.environ["SOME_TOKEN"] = CANARY
    try:
        recording = open_recording(str(tmp_path / "out"), tmp_path, tmp_path / "shelf")
        replay = Replay(recording.folder / "calls.jsonl", redactor(leaky))
        assert replay.answer(_request(asked)).text == "see {product}/y: Bearer {secret}"
    finally:
        del os.environ["SOME_TOKEN"]


def test_ordinary_words_are_not_taken_for_secrets(tmp_path: Path) -> None:
    text = (
        "task-specific-features risk-sensitive-objectives /data/train.npy http://host:80/a@b key=5 "
        "/home-made/x Bearer of news disk-and-memory-limits"
    )
    redact = redactor(tmp_path)
    assert redact(text) == text and not redact.counts


def test_a_task_with_a_file_that_is_no_text_is_refused(recorded: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "task").mkdir(parents=True)
    (folder / "run.toml").write_bytes((recorded.folder / "run.toml").read_bytes())
    (folder / "calls.jsonl").write_bytes((recorded.folder / "calls.jsonl").read_bytes())
    (folder / "task" / "data.npy").write_bytes(b"\x93NUMPY\xff")
    with pytest.raises(BadInput, match=r"data\.npy is not text"):
        write_cassette(Run(folder), tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


# --- what is none ---


def rewritten(document: Any, folder: Path) -> Path:
    path = folder / "changed.json.gz"
    path.write_bytes(gzip.compress(json.dumps(document).encode()))
    return path


def test_a_cassette_of_another_format_is_refused(cassette: Path, tmp_path: Path) -> None:
    document = json.loads(gzip.decompress(cassette.read_bytes()))
    document["header"] |= {"format": 99, "version": "9.8"}
    path = rewritten(document, tmp_path)
    done = autoresearch("run", "--model", f"replay:{path}", "--runs", str(tmp_path / "runs"))
    assert done.returncode == 2 and not (tmp_path / "runs").exists()
    assert "changed.json.gz has cassette format 99" in done.stderr and "9.8" in done.stderr


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "plain text": lambda data: b"my notes",
    "cut off": lambda data: data[: len(data) // 2],
    "altered": lambda data: data[:-8] + bytes(8),
    "another JSON": lambda data: gzip.compress(b'{"a": 1}'),
    "a list": lambda data: gzip.compress(b"[1]"),
    "deep": lambda data: gzip.compress(b"[" * 200_000),
    "no header": lambda data: gzip.compress(b'{"header": []}'),
    "no calls": lambda data: gzip.compress(b'{"header": {"format": 1}}'),
    "not UTF-8": lambda data: gzip.compress(b'{"header": "\xff"}'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_no_whole_cassette_is_named(
    cassette: Path, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "bad.json.gz"
    path.write_bytes(DAMAGES[damage](cassette.read_bytes()))
    with pytest.raises(RecordError, match=r"bad\.json\.gz is not a whole cassette"):
        open_recording(str(path), tmp_path, tmp_path / "shelf")


@pytest.mark.parametrize("name", ["../train.py", "/etc/x", "a/../../x", "a//b", "./a", "a\nb", ""])
def test_no_file_of_a_cassette_lands_outside_of_its_folder(
    cassette: Path, tmp_path: Path, name: str
) -> None:
    for part in ("task", "searches"):
        document = json.loads(gzip.decompress(cassette.read_bytes()))
        document[part][name] = {"query": "", "papers": []} if part == "searches" else "text"
        with pytest.raises(RecordError, match="not a whole cassette"):
            read_cassette(rewritten(document, tmp_path))


def test_a_run_that_asked_nothing_yet_is_no_recording(recorded: Run, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes((recorded.folder / "run.toml").read_bytes())
    for opening in (
        lambda: write_cassette(Run(tmp_path), tmp_path / "out"),
        lambda: open_recording(str(tmp_path), tmp_path, tmp_path / "shelf"),
    ):
        with pytest.raises(BadInput, match="no model calls are recorded there yet"):
            opening()


def test_a_name_that_is_neither_a_run_nor_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no run 'never-ran'"):
        open_recording("never-ran", tmp_path, tmp_path / "shelf")


# --- a request that was not recorded ---


class Scripted:
    def __init__(self, *script: str) -> None:
        self.script = list(script)

    def answer(self, request: Request) -> Answer:
        numbers = {"tokens_in": 3, "tokens_out": 4, "dollars": 0.25, "seconds": 0.1}
        return Answer(text=self.script.pop(0), model="scripted", **numbers)


def _request(text: str, where: str = "round-00") -> Request[Query]:
    return Request(prompt="think/query", variables={}, text=text, record=Query, where=where)


def test_what_was_never_usable_stays_so_in_a_replay_with_the_same_words(tmp_path: Path) -> None:
    journal = tmp_path / "calls.jsonl"
    said = []
    for opening in (lambda: Recorded(Scripted("1", "2", "3"), journal), lambda: Replay(journal)):
        with pytest.raises(UnusableAnswer) as raised:
            ask(opening(), _request("What to search for?"))
        said.append(str(raised.value))
    assert said[0] == said[1]


def test_the_nearest_request_is_sought_at_the_same_step_first(tmp_path: Path) -> None:
    recorded = Recorded(Scripted("a", "b", "c"), tmp_path / "calls.jsonl")
    recorded.answer(_request("Alpha. Beta. Gamma.", "round-00"))
    recorded.answer(_request("Alpha. Delta. Epsilon.", "round-01"))
    recorded.answer(_request("Nothing alike.", "round-01"))
    replay = Replay(tmp_path / "calls.jsonl")
    with pytest.raises(NotRecorded, match="the nearest is round-01") as raised:
        replay.answer(_request("Alpha. Beta. Zeta.", "round-01"))
    assert raised.value.__notes__ == ["-Delta.\n-Epsilon.\n+Beta.\n+Zeta."]
    with pytest.raises(NotRecorded, match="the nearest is round-00") as raised:
        replay.answer(_request("Alpha. Beta. Zeta.", "round-02"))
    assert raised.value.__notes__ == ["-Gamma.\n+Zeta."]


def test_a_difference_is_short_printable_and_shows_sentences() -> None:
    old = "Take care. " + "This stays as it was. " * 40 + "The end is near."
    assert difference(old, old.replace("near", "\x1b[31mfar")) == [
        "-The end is near.",
        "+The end is ?[31mfar.",
    ]
    lines = difference("\n".join(f"a{n}" for n in range(100)), "b" * 1000)
    assert len(lines) == 21 and lines[-1] == "(and 81 lines more)"
    assert difference("one\n-- two", "one") == ["--- two"]


def test_large_texts_are_compared_in_bounded_time() -> None:
    one = "\n".join(f"line {n % 700} {n % 11}" for n in range(60_000))
    other = "\n".join(f"line {n % 691} {n % 13}" for n in range(60_000))
    began = time.monotonic()
    assert 0 < likeness(one, other) < 1 and difference(one, other)
    assert time.monotonic() - began < 5
