"""`command:` models with real programs: good ones, slow, loud and failing ones, and ones that fork."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autoresearch.command import LARGEST, Command, find_program
from autoresearch.config import ModelSettings
from autoresearch.errors import BadInput, ModelError, Outage
from autoresearch.journal import Recorded, Replay
from autoresearch.llm import Request, ask
from autoresearch.records import Query

ROOT = Path(__file__).parent.parent
GOOD = '{"query": "graph networks"}'
SECRET = "sk-canary-5c1f90aa"


def _request(text: str = "What to search for?") -> Request[Query]:
    return Request("think/query", {}, text, Query, "round-00")


@pytest.fixture
def program(tmp_path: Path) -> Iterator["Program"]:
    made = Program(tmp_path)
    yield made
    for process in made.left_behind():
        os.kill(process, signal.SIGKILL)


class Program:
    """Makes programs, and finds what of them still runs by a mark in their environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = f"AUTORESEARCH_TEST_MARK={folder}"

    def __call__(self, body: str, *arguments: str, timeout: float = 20.0) -> Command:
        return Command(ModelSettings(name=self.name(body, *arguments), timeout=timeout))

    def name(self, body: str, *arguments: str) -> str:
        path = self.folder / "the program.py"
        path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n")
        path.chmod(0o755)
        os.environ["AUTORESEARCH_TEST_MARK"] = str(self.folder)
        return " ".join([f"command:'{path}'", *arguments])

    def left_behind(self) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                try:
                    variables = (entry / "environ").read_bytes()
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                except OSError:
                    continue
                if self.mark.encode() in variables and state != "Z":
                    found.append(int(entry.name))
        return found

    def all_gone(self, seconds: float = 5.0) -> bool:
        until = time.monotonic() + seconds
        while self.left_behind() and time.monotonic() < until:
            time.sleep(0.02)
        return not self.left_behind()


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    kept = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(kept)


DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
time.sleep(0.2)
"""


def test_the_prompt_goes_in_on_standard_input_and_the_answer_comes_out(program: Program) -> None:
    answer = program("print('heard: ' + sys.stdin.read(), end='')").answer(_request("Grüße \ud800"))
    assert answer.text == "heard: Grüße ?"
    assert (answer.finish, answer.dollars, answer.recorded) == ("stop", None, False)
    assert (answer.tokens_in, answer.tokens_out) == (2, 4)
    assert answer.model.startswith("command:") and 0 < answer.seconds < 10


def test_arguments_are_split_as_a_shell_would_and_read_by_none(program: Program) -> None:
    answer = program("print(sys.argv[1:])", "-p", "'two words'", "'$HOME'", "'*'", "';'").answer(
        _request()
    )
    assert answer.text.strip() == "['-p', 'two words', '$HOME', '*', ';']"


def test_it_runs_in_an_empty_folder_that_is_gone_afterwards(program: Program) -> None:
    body = "open('left', 'w').close(); print(os.getcwd(), os.environ['PWD'], os.listdir())"
    where, said, *files = program(body).answer(_request()).text.split()
    assert where == said and files == ["['left']"]
    assert not Path(where).exists()


def test_it_has_the_users_environment_but_secrets_do_not_come_out_of_it(program: Program) -> None:
    os.environ["SOME_API_KEY"] = SECRET
    answer = program("print(len(os.environ['SOME_API_KEY']), os.environ['SOME_API_KEY'])").answer(
        _request()
    )
    assert answer.text == f"{len(SECRET)} [SOME_API_KEY]\n"


def test_an_answer_is_validated_asked_for_again_and_recorded_as_any(
    program: Program, tmp_path: Path
) -> None:
    journal = tmp_path / "calls.jsonl"
    model = program(f"print('no' if 'could not be used' not in sys.stdin.read() else '{GOOD}')")
    assert ask(Recorded(model, journal), _request()) == Query(query="graph networks")
    assert ask(Replay(journal), _request()) == Query(query="graph networks")
    assert len(journal.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "print('half an answer'); print('warning\\nno subscription', file=sys.stderr); sys.exit(3)",
            r"exit code 3 \(no subscription\); run it by hand",
        ),
        ("print('usage limit reached'); sys.exit(1)", r"exit code 1 \(usage limit reached\)"),
        ("sys.exit(1)", r"exit code 1 \(it said nothing\)"),
        ("os.kill(os.getpid(), 11)", "exit code 139"),
    ],
)
def test_a_program_that_fails_is_a_model_error_with_the_last_line_it_said(
    program: Program, body: str, said: str
) -> None:
    with pytest.raises(ModelError, match=said) as raised:
        program(body).answer(_request())
    assert not isinstance(raised.value, Outage) and "\n" not in str(raised.value)


def test_secrets_in_what_it_complains_about_are_not_repeated(program: Program) -> None:
    os.environ["SOME_API_KEY"] = SECRET
    with pytest.raises(ModelError, match=r"bad key \[SOME_API_KEY\]") as raised:
        program("sys.exit('bad key ' + os.environ['SOME_API_KEY'])").answer(_request())
    assert SECRET not in str(raised.value)


def test_a_program_that_cannot_be_run_says_why(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "no-interpreter"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)
    with pytest.raises(ModelError, match=r"exit code 127 \(cannot run .*No such file"):
        Command(ModelSettings(name=f"command:{path}")).answer(_request())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("command:no-such-agent -p", "there is no program 'no-such-agent' here; install it"),
        ("command:", "write command:PROGRAM ARGUMENTS"),
        ("command:claude 'open", "write command:PROGRAM ARGUMENTS"),
        ("command:./missing", "there is no program './missing'"),
    ],
)
def test_a_program_that_is_not_there_is_named_before_anything_starts(name: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        find_program(name)


def test_a_slow_program_is_an_outage_and_is_ended_with_all_it_started(program: Program) -> None:
    started = time.monotonic()
    slow = f"{DAEMON}\nprint('almost', flush=True)\ntime.sleep(600)"
    with pytest.raises(Outage, match=r"no answer within 1 s; raise model\.timeout"):
        program(slow, timeout=1.0).answer(_request())
    assert time.monotonic() - started < 6
    assert program.left_behind() == []


def test_a_program_that_closes_its_output_and_stays_is_ended_too(program: Program) -> None:
    closed = "os.close(1); os.close(2); time.sleep(600)"
    with pytest.raises(Outage):
        program(closed, timeout=1.0).answer(_request())
    assert program.left_behind() == []


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_flood_is_bounded(program: Program, stream: str) -> None:
    flood = f"while True: sys.{stream}.write('x' * 65536)"
    with pytest.raises(ModelError, match=r"bytes of answer|no answer within"):
        program(flood, timeout=2.0).answer(_request())
    assert program.left_behind() == []


def test_an_answer_may_be_long_and_a_prompt_too(program: Program) -> None:
    long = "y" * (LARGEST - 1)
    assert program("print(sys.stdin.read(), end='')").answer(_request(long)).text == long
    with pytest.raises(ModelError, match="it must say less"):
        program("print(sys.stdin.read(), end='')").answer(_request(long + "yy"))


def test_a_program_that_does_not_read_its_prompt_may_answer(program: Program) -> None:
    assert program("print('ok')").answer(_request("x" * 2**20)).text == "ok\n"


def test_a_daemon_that_holds_the_output_neither_delays_the_answer_nor_survives_it(
    program: Program,
) -> None:
    started = time.monotonic()
    assert program(f"{DAEMON}\nprint('done')").answer(_request()).text == "done\n"
    assert time.monotonic() - started < 5
    assert program.left_behind() == []


def test_calls_in_parallel_get_their_own_answers(program: Program) -> None:
    model = program("print(sys.stdin.read(), end='')")
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda n: model.answer(_request(f"n{n}")).text, range(24)))
    assert texts == [f"n{number}" for number in range(24)]


CALLER = """
import sys
from autoresearch.command import Command
from autoresearch.config import ModelSettings
from autoresearch.llm import Request
from autoresearch.records import Query
Command(ModelSettings(name=sys.argv[1])).answer(Request("think/query", {}, "q", Query, "w"))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_running_when_this_process_ends(program: Program, number: int) -> None:
    sign = program.folder / "running"
    name = program.name(f"{DAEMON}\nopen({str(sign)!r}, 'w').close()\ntime.sleep(600)")
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, name],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 20
    while not sign.exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert len(program.left_behind()) >= 4  # the caller, its leash, the program and its daemon
    caller.send_signal(number)
    caller.wait(20)
    assert program.all_gone()


def test_the_program_is_ended_when_its_leash_is_lost(program: Program) -> None:
    sign = program.folder / "leash"
    model = program(f"open({str(sign)!r}, 'w').write(str(os.getppid()))\ntime.sleep(600)")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(model.answer, _request())
        until = time.monotonic() + 20
        while not (sign.exists() and sign.read_text()) and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(int(sign.read_text()), signal.SIGKILL)
        with pytest.raises(ModelError, match="exit code -9"):
            asked.result(20)
    assert program.all_gone()
