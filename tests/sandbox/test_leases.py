"""A GPU belongs to one experiment at a time. Names stand for the devices: none is touched here."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from autoresearch.sandbox import say_nothing
from autoresearch.sandbox.gpus import Gpu
from autoresearch.sandbox.leases import BUSY, lease, processors

A, B, C = (Gpu(name, "Stand-in", 0) for name in "abc")
HOLDER = """
import sys, time
from pathlib import Path
from autoresearch.sandbox.gpus import Gpu
from autoresearch.sandbox.leases import lease
with lease((Gpu("a", "", 0), Gpu("b", "", 0)), int(sys.argv[2]), Path(sys.argv[1]), print) as held:
    print(*(gpu.identifier for gpu in held), flush=True)
    time.sleep(60)
"""


def test_threads_never_hold_the_same_device(tmp_path: Path) -> None:
    held: list[Gpu] = []
    shared: list[tuple[Gpu, ...]] = []

    def use() -> None:
        with lease((A, B, C), 2, tmp_path, say_nothing) as gpus:
            if set(gpus) & set(held):
                shared.append(gpus)
            held.extend(gpus)
            time.sleep(0.05)
            for gpu in gpus:
                held.remove(gpu)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared == []


def test_another_process_is_given_another_device_and_its_own_is_free_when_it_is_killed(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path), "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        taken = other.stdout.readline().strip()
        with lease((A, B), 1, tmp_path, say_nothing) as (mine,):
            assert {mine.identifier, taken} == {"a", "b"}
        other.send_signal(signal.SIGKILL)
        other.wait()
    with lease((A, B), 2, tmp_path, say_nothing) as both:
        assert both == (A, B)


def test_whoever_has_to_wait_is_told_once_who_holds_the_devices(tmp_path: Path) -> None:
    said: list[str] = []
    command = [sys.executable, "-c", HOLDER, str(tmp_path), "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        other.stdout.readline()
        ends = threading.Timer(0.7, other.kill)
        ends.start()
        with lease((A, B), 1, tmp_path, said.append):
            pass
        assert said == [
            f"an experiment waits for 1 of 2 GPUs; 2 held by process {other.pid}",
        ]
    said.clear()
    with lease((A,), 1, tmp_path, said.append):
        waits = threading.Thread(target=lambda: lease((A,), 1, tmp_path, said.append).__enter__())
        waits.start()
        time.sleep(0.5)
    waits.join()
    assert said == ["an experiment waits for 1 of 1 GPUs; 1 held by this run"]
    assert (tmp_path / "a.lock").read_text() == f"process {os.getpid()}\n"


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


def test_a_device_whose_memory_somebody_else_uses_is_leased_with_a_word_of_it(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    with lease((Gpu("a", "Stand-in", BUSY * 3),), 1, tmp_path, said.append):
        assert said == [
            "a (Stand-in) has 3.0 GiB in use by somebody else: experiments on it may be slow or "
            "run out of its memory"
        ]
