"""Asking for a typed answer, and the journal that keeps every call."""

import json
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autoresearch.errors import BadInput, ModelError, RecordError, RunFailed
from autoresearch.journal import Recorded, Replay
from autoresearch.llm import Answer, Model, Request, ask
from autoresearch.records import Ideas, Patch, Query

GOOD = '{"query": "graph networks"}'


class Scripted:
    """A model that says the given texts (or answers) in turn, and keeps what it was asked."""

    def __init__(self, *script: str | Answer) -> None:
        self.script = list(script)
        self.texts: list[str] = []

    def answer(self, request: Request) -> Answer:
        self.texts.append(request.text)
        said = self.script.pop(0)
        return said if isinstance(said, Answer) else _answer(said)


def _answer(text: str, finish: str = "stop") -> Answer:
    numbers = {"tokens_in": 3, "tokens_out": 4, "dollars": 0.25, "seconds": 0.1}
    return Answer(text=text, model="scripted", finish=finish, **numbers)


def _request(text: str = "What to search for?", where: str = "round-00") -> Request[Query]:
    return Request(prompt="think/query", variables={}, text=text, record=Query, where=where)


# --- asking ---


def test_an_answer_becomes_the_record_that_was_asked_for() -> None:
    assert ask(Scripted(f"Sure:\n```json\n{GOOD}\n```"), _request()) == Query(
        query="graph networks"
    )


def test_edits_are_asked_for_in_blocks_and_repaired_by_asking_again() -> None:
    good = "plan\n### file: a.py\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE"
    model = Scripted(good.removesuffix(">>>>>>> REPLACE"), good)
    request = Request("practice/code", {}, "Write it.", Patch, "round-00/0-x/0-patch")
    patch = ask(model, request)
    assert (patch.plan, patch.edits[0].replace) == ("plan", "b\n")
    assert "never reaches >>>>>>> REPLACE" in model.texts[1]


def test_an_unusable_answer_is_shown_to_the_model_with_what_is_wrong() -> None:
    bad = (
        '{"ideas": [{"slug": "Not A Slug", "title": "t", "hypothesis": "h", "plan": "p", "x": 1}]}'
    )
    good = bad.replace("Not A Slug", "a-slug").replace('"x": 1', '"summary": "s"')
    model = Scripted(bad, good)
    ideas = ask(model, Request("think/ideas", {}, "Think.", Ideas, "round-00"))
    assert ideas.ideas[0].slug == "a-slug"
    again = model.texts[1]
    assert again.startswith("Think.\n")
    assert bad in again
    assert re.search(r"- ideas\.0\.slug: String should match .*\(you gave 'Not A Slug'\)", again)
    assert "- ideas.0.summary: Field required" in again
    assert "- ideas.0.x: Extra inputs are not permitted" in again
    assert "http" not in again


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (_answer(GOOD, finish="length"), "It was cut off at the output limit"),
        (_answer("", finish="content_filter"), "It was a refusal"),
        (_answer("", finish="refusal"), "It was a refusal"),
        (_answer("  \n"), "It was empty"),
        (_answer('{"query": "grap'), "cut off"),
        (_answer("Gladly!"), "no JSON object"),
        (_answer('{"query": ""}'), "- query: String should have at least 1 character"),
    ],
)
def test_cut_off_refused_and_empty_answers_are_asked_for_again(
    answer: Answer, sentence: str
) -> None:
    model = Scripted(answer, GOOD)
    assert ask(model, _request()).query == "graph networks"
    assert sentence in model.texts[1]


def test_it_asks_again_at_most_twice_and_says_what_was_wrong_last() -> None:
    model = Scripted("one", "two", '{"query": 3}', GOOD)
    with pytest.raises(ModelError, match=r"think/query \(round-00\).*3 tries.*query: Input should"):
        ask(model, _request())
    assert len(model.texts) == 3
    assert len(set(model.texts)) == 3
    assert "one" not in model.texts[2].splitlines()  # only the last answer is shown


def test_what_the_model_is_shown_of_its_answer_is_bounded() -> None:
    model = Scripted("x" * 500_000, '{"' + "k" * 500_000 + '": 1}', GOOD)
    ask(model, _request())
    assert all(len(text) < 12_000 for text in model.texts)


# --- the journal ---


def test_a_recorded_call_is_never_made_again(tmp_path: Path) -> None:
    journal = tmp_path / "calls.jsonl"
    model = Scripted("a", "b", "c")
    recorded = Recorded(model, journal)
    first = recorded.answer(_request())
    assert not first.recorded
    assert recorded.answer(_request()).recorded
    assert recorded.answer(_request(where="round-01")).text == "b"
    assert Recorded(Scripted(), journal).answer(_request()).text == "a"
    assert Recorded(model, journal).answer(_request("another")).text == "c"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [line["answer"]["text"] for line in lines] == ["a", "b", "c"]
    assert lines[0] | {"answer": None, "key": ""} == {
        "key": "",
        "prompt": "think/query",
        "where": "round-00",
        "text": "What to search for?",
        "answer": None,
    }
    assert "recorded" not in lines[0]["answer"]


def test_a_resumed_run_goes_on_after_the_unusable_answers_it_has_paid_for(tmp_path: Path) -> None:
    journal = tmp_path / "calls.jsonl"
    with pytest.raises(ModelError, match="3 tries"):
        ask(Recorded(Scripted("1", "2", "3"), journal), _request())
    model = Scripted("4", GOOD)
    assert ask(Recorded(model, journal), _request()).query == "graph networks"
    assert len(model.texts) == 2
    assert ask(Replay(journal), _request()).query == "graph networks"


def test_a_torn_last_line_is_dropped_wherever_it_was_torn(tmp_path: Path) -> None:
    journal = tmp_path / "calls.jsonl"
    Recorded(Scripted("first"), journal).answer(_request("one"))
    whole = journal.read_bytes()
    Recorded(Scripted("x" * 70_000), journal).answer(_request("two"))
    both = journal.read_bytes()
    for end in (*range(len(whole), len(whole) + 200), len(both) - 66_000, len(both) - 1):
        journal.write_bytes(both[:end])
        assert Replay(journal).answer(_request("one")).text == "first"
        recorded = Recorded(Scripted("again"), journal)
        assert recorded.answer(_request("one")).text == "first"
        assert recorded.answer(_request("two")).text == "again"
        assert Replay(journal).answer(_request("two")).text == "again"
        assert journal.read_bytes().startswith(whole)
    journal.write_bytes(whole[:20])
    assert Recorded(Scripted("anew"), journal).answer(_request("one")).text == "anew"


@pytest.mark.parametrize(
    "damage", [b"\n", b"{}\n", b"\xff\xfe\n", b"null\n", b"[" * 10_000 + b"\n"]
)
def test_a_corrupted_line_is_named_with_the_way_to_recover(tmp_path: Path, damage: bytes) -> None:
    journal = tmp_path / "calls.jsonl"
    recorded = Recorded(Scripted("a", "b"), journal)
    recorded.answer(_request("one"))
    recorded.answer(_request("two"))
    first, second = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(first + damage + second)
    for opening in (lambda: Recorded(Scripted(), journal), lambda: Replay(journal)):
        with pytest.raises(RecordError, match=r"calls\.jsonl, line 2: .*sed -i 2d"):
            opening()
    subprocess.run(["sed", "-i", "2d", journal], check=True)
    assert Recorded(Scripted(), journal).answer(_request("two")).text == "b"


def test_a_line_whose_question_was_altered_is_not_taken(tmp_path: Path) -> None:
    journal = tmp_path / "calls.jsonl"
    Recorded(Scripted("a"), journal).answer(_request("one"))
    journal.write_text(journal.read_text().replace('"one"', '"two"'))
    with pytest.raises(RecordError, match="line 1"):
        Replay(journal)


def test_text_without_a_utf8_form_is_recorded(tmp_path: Path) -> None:
    journal = tmp_path / "calls.jsonl"
    Recorded(Scripted("a"), journal).answer(_request("from a PDF: \ud800 \u2028 \x00 é"))
    assert Replay(journal).answer(_request("from a PDF: \ud800 \u2028 \x00 é")).text == "a"


def test_one_question_from_many_threads_is_asked_once(tmp_path: Path) -> None:
    class Slow(Scripted):
        def answer(self, request: Request) -> Answer:
            time.sleep(0.05)
            return super().answer(request)

    model = Slow(*map(str, range(100)))
    recorded = Recorded(model, tmp_path / "calls.jsonl")
    texts = [f"question {number % 10}" for number in range(80)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda text: recorded.answer(_request(text)), texts))
    assert len(model.texts) == 10
    said: dict[str, set[str]] = {}
    for text, answer in zip(texts, answers, strict=True):
        said.setdefault(text, set()).add(answer.text)
    assert all(len(different) == 1 for different in said.values())
    assert len((tmp_path / "calls.jsonl").read_text().splitlines()) == 10


def test_different_questions_do_not_wait_for_each_other(tmp_path: Path) -> None:
    together = threading.Barrier(4, timeout=10)

    class Meeting(Scripted):
        def answer(self, request: Request) -> Answer:
            together.wait()
            return _answer(request.text)

    recorded = Recorded(Meeting(), tmp_path / "calls.jsonl")
    with ThreadPoolExecutor(4) as pool:
        asked = pool.map(lambda text: recorded.answer(_request(text)).text, "abcd")
        assert list(asked) == list("abcd")


def test_a_question_that_failed_is_asked_again_by_who_waited(tmp_path: Path) -> None:
    class Failing(Scripted):
        def answer(self, request: Request) -> Answer:
            answer = super().answer(request)
            if answer.text == "fail":
                raise ModelError("down")
            return answer

    recorded = Recorded(Failing("fail", "fine"), tmp_path / "calls.jsonl")
    with pytest.raises(ModelError, match="down"):
        recorded.answer(_request())
    assert recorded.answer(_request()).text == "fine"


ENDLESS = """
import sys
from itertools import count
from pathlib import Path
from autoresearch.journal import Recorded
from autoresearch.llm import Answer, Request
from autoresearch.records import Query

class Echo:
    def answer(self, request):
        return Answer(text=request.text, model="echo", tokens_in=1, tokens_out=1, dollars=None, seconds=0)

recorded = Recorded(Echo(), Path(sys.argv[1]))
for number in count(int(sys.argv[2])):
    text = f"{number} " + "x" * 20_000
    print(len(recorded.answer(Request("p", {}, text, Query, "w")).text), number, flush=True)
"""


def test_kill_9_loses_no_answer_that_was_used(tmp_path: Path) -> None:
    journal, used = tmp_path / "calls.jsonl", 0
    for life in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", ENDLESS, journal, str(used)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout
        for _ in range(5 + 7 * life):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        used += 5 + 7 * life + len(child.stdout.read().splitlines())
        child.wait()
        recorded = Recorded(Scripted(), journal)
        for number in range(used):
            request = Request("p", {}, f"{number} " + "x" * 20_000, Query, "w")
            assert recorded.answer(request).text.startswith(f"{number} ")


def test_a_full_disk_leaves_whole_lines_and_says_what_to_do(tmp_path: Path) -> None:
    journal = tmp_path / "calls.jsonl"
    recorded = Recorded(Scripted("a", "b" * 5000, "c"), journal)
    recorded.answer(_request("one"))
    before = journal.read_bytes()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, unlimited[1]))
    try:
        with pytest.raises(RunFailed, match=r"calls\.jsonl: cannot record.*make room.*resume"):
            recorded.answer(_request("two"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert journal.read_bytes() == before
    assert recorded.answer(_request("two")).text == "c"


def test_a_journal_in_a_folder_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="cannot record a model call"):
        Recorded(Scripted("a"), tmp_path / "gone" / "calls.jsonl").answer(_request())


# --- replay ---


def test_a_replay_needs_no_provider_and_leaves_the_other_run_alone(tmp_path: Path) -> None:
    journal = tmp_path / "calls.jsonl"
    Recorded(Scripted(GOOD), journal).answer(_request())
    torn = journal.read_bytes() + b'{"key": "torn'
    journal.write_bytes(torn)
    replayed: Model = Recorded(Replay(journal), tmp_path / "new.jsonl")
    assert ask(replayed, _request()) == Query(query="graph networks")
    assert journal.read_bytes() == torn
    assert Replay(tmp_path / "new.jsonl").answer(_request()).text == GOOD


def test_a_question_that_was_not_recorded_shows_the_nearest_and_what_changed(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "calls.jsonl"
    recorded = Recorded(Scripted("a", "b", "c"), journal)
    long = "\n".join(f"line {number}" for number in range(100))
    recorded.answer(_request("something else", where="round-01"))
    recorded.answer(_request(long, where="round-01"))
    recorded.answer(Request("practice/code", {}, long, Query, "round-02"))
    with pytest.raises(ModelError) as raised:
        Replay(journal).answer(_request(long.replace("line 7\n", "line seven\n"), "round-02"))
    message = str(raised.value)
    assert message.startswith("think/query (round-02): not in the recorded run; the nearest is")
    assert raised.value.__notes__ == ["-line 7\n+line seven"]
    with pytest.raises(ModelError) as raised:
        Replay(journal).answer(_request("\n".join(f"new {n}" for n in range(1000)), "round-01"))
    assert len(raised.value.__notes__[0].splitlines()) <= 21
    with pytest.raises(ModelError, match="never asked it"):
        Replay(journal).answer(Request("feedback/review", {}, long, Query, "round-01"))


def test_a_replay_of_nothing_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no recorded calls"):
        Replay(tmp_path / "calls.jsonl")
