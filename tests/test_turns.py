"""Turns at a server, shared by processes that know nothing of each other."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from autoresearch.providers import Provider
from autoresearch.turns import LONGEST, Turns
from tests.endpoint import Endpoint, error
from tests.test_providers import _request

TAKES = """
import sys, time
from pathlib import Path
from autoresearch.turns import Turns

turns = Turns("server", 600, Path(sys.argv[1]))
for _ in range(8):
    turns.wait()
    print(time.time(), flush=True)
"""


def test_two_processes_together_make_no_more_calls_than_one_may(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKES, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    times = sorted(float(line) for each in both for line in each.communicate()[0].split())
    assert len(times) == 16
    # Sixteen turns of a tenth of a second take 1.5 s in all, whoever takes which.
    assert times[-1] - times[0] > 1.4
    for start in range(len(times) - 4):
        assert times[start + 4] - times[start] > 0.25


def test_a_process_that_is_killed_holds_nobody_up(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", TAKES, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    began = time.monotonic()
    Turns("server", 600, tmp_path).wait()
    assert time.monotonic() - began < 1


def test_where_one_was_asked_to_wait_all_wait_and_other_servers_do_not(tmp_path: Path) -> None:
    Turns("server", None, tmp_path).hold_off(0.5)
    assert Turns("another", None, tmp_path).wait() == 0
    assert Turns("server", None, tmp_path).wait() == pytest.approx(0.5, abs=0.3)
    assert Turns("server", None, tmp_path).wait() == 0


def test_a_file_of_a_clock_that_was_set_back_or_of_garbage_is_passed_over(tmp_path: Path) -> None:
    turns = Turns("server", 6000, tmp_path)
    turns.wait()
    (file,) = tmp_path.iterdir()
    for text in (str(time.time() + 10 * LONGEST), "nan", "no number", ""):
        file.write_text(text)
        assert turns.wait() <= 0.02
    assert Turns("server", 6000, file / "below-a-file").wait() == 0


def test_a_rate_limit_told_to_one_provider_holds_the_other_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    limited = error(429, "rate_limit_exceeded", "slow down", retry_after=1.0)
    with Endpoint([limited, '{"query": "x"}']) as endpoint:
        first, second = (
            Provider(endpoint.settings(retries=1), lambda note: None, pause=0.01) for _ in "ab"
        )
        asks = threading.Thread(target=first.answer, args=(_request(),))
        asks.start()
        while not endpoint.requests:
            time.sleep(0.01)
        time.sleep(0.3)  # the first has been told to wait by now
        second.answer(_request())
        asks.join()
        assert endpoint.times[1] - endpoint.times[0] >= 0.9
    with Endpoint(['{"query": "x"}']) as endpoint:
        slow = [
            Provider(endpoint.settings(per_minute=120), lambda note: None, pause=0.01) for _ in "ab"
        ]
        for each in (*slow, *slow):
            each.answer(_request())
        gaps = [b - a for a, b in zip(endpoint.times, endpoint.times[1:], strict=False)]
        assert min(gaps) > 0.4
