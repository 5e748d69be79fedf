"""A GPU belongs to one experiment at a time. Names stand for the devices: none is touched here."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from autoresearch.errors import SandboxError
from autoresearch.sandbox.leases import lease, list_gpus, processors

HOLDER = """
import sys, time
from pathlib import Path
from autoresearch.sandbox.leases import lease
with lease(("a", "b"), 1, Path(sys.argv[1])) as held:
    print(*held, flush=True)
    time.sleep(60)
"""


def test_threads_never_hold_the_same_device(tmp_path: Path) -> None:
    held: list[str] = []
    shared: list[tuple[str, ...]] = []

    def use() -> None:
        with lease(("a", "b", "c"), 2, tmp_path) as names:
            if set(names) & set(held):
                shared.append(names)
            held.extend(names)
            time.sleep(0.05)
            for name in names:
                held.remove(name)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared == []


def test_another_process_is_given_another_device_and_its_own_is_free_when_it_is_killed(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        taken = other.stdout.readline().strip()
        with lease(("a", "b"), 1, tmp_path) as (mine,):
            assert {mine, taken} == {"a", "b"}
        other.send_signal(signal.SIGKILL)
        other.wait()
    with lease(("a", "b"), 2, tmp_path) as both:
        assert both == ("a", "b")


def test_more_devices_than_there_are_is_an_error_and_not_a_wait(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="wants 2 GPUs and this machine offers 1"):
        lease(("a",), 2, tmp_path).__enter__()


def test_devices_that_the_user_hides_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1, 3")
    assert list_gpus() == ("GPU-1", "3")
    for none in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", none)
        assert list_gpus() == ()


def test_experiments_at_the_same_time_are_given_different_processors_while_there_are_any(
    tmp_path: Path,
) -> None:
    usable = sorted(os.sched_getaffinity(0))
    with contextlib.ExitStack() as held:
        given = [held.enter_context(processors(0.5, tmp_path)) for _ in range(2 * len(usable))]
    firsts = [number for (number,) in given]
    assert sorted(firsts[: len(usable)]) == sorted(firsts[len(usable) :]) == usable
    with processors(10_000, tmp_path) as everything:
        assert sorted(everything) == usable


def test_without_a_place_for_locks_processors_are_given_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "processors").touch()
    with processors(1, tmp_path) as (one,):
        assert one in os.sched_getaffinity(0)
