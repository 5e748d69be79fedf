"""What the model is told of a failure: from real programs that fail under the witness."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch.harness import WITNESS
from autoresearch.practice.crashes import read_crash
from autoresearch.practice.tracebacks import failure_of
from autoresearch.records import Ended, Execution, Failure, Measurement, Score


def failure(folder: Path, program: str, seconds: float = 20, score: Score | None = None) -> Failure:
    """What practice makes of a program's end; $WORK is told as /work, as sandboxes do."""
    (folder / "out").mkdir()
    (folder / "train.py").write_text(program)
    environment = {
        "PATH": os.environ["PATH"], "OUT": str(folder / "out"), "WORK": str(folder), "PYTHONPATH": str(WITNESS),
        "WITNESS": str(WITNESS), "WITNESS_SECONDS": str(seconds),
    }  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "train.py"], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    failed = ran.returncode != 0
    execution = Execution(
        sandbox="plain", command=("python", "train.py"), ended=Ended.exited, exit_code=ran.returncode, signal=None,
        reason=f"exit code {ran.returncode}", stdout=ran.stdout, stderr=ran.stderr.replace(str(folder), "/work"),
        seconds=1.0, cpu_seconds=None, peak_memory=None, files=("log.txt",),
    )  # fmt: skip
    measured = Measurement(seed=0, execution=execution, score=None if failed else score)
    found = failure_of(measured, read_crash(folder / "out"))
    assert found is not None
    return found


def test_hints_and_the_signature_of_the_function_that_is_named_are_told(tmp_path: Path) -> None:
    program = "import numpy as np\ndef f(rows): return np.sum(np.pad(rows, with_width=1))\nf([1])"
    detail = failure(tmp_path, program).detail
    assert "Signature: np.pad(array, pad_width, mode='constant', **kwargs)" in detail
    assert "Signature: np.sum" not in detail


def test_a_value_is_told_in_few_words_and_only_where_it_matters(tmp_path: Path) -> None:
    program = """
import numpy as np
def inner(rows, scale):
    other, third, left = 1, 2, 3
    return rows @ rows
def outer(rate, name):
    rows = np.ones((2, 3))
    return inner(rows, rate)
outer(0.5, "x")
"""
    detail = failure(tmp_path, program).detail
    assert "        rows: ndarray (2, 3), float64" in detail
    assert "third" not in detail and "name" not in detail


def test_the_headline_is_not_said_twice(tmp_path: Path) -> None:
    found = failure(tmp_path, "def f(): raise ValueError('too wide')\nf()")
    assert "too wide" in found.message and not found.detail.startswith("ValueError")


def test_what_another_process_failed_with_is_told_and_where(tmp_path: Path) -> None:
    program = """
import multiprocessing
def load(place):
    return {"image": place}["images"]
with multiprocessing.get_context("fork").Pool(1) as pool:
    pool.map(load, [3])
"""
    found = failure(tmp_path, program)
    assert "KeyError: 'images'" in found.message
    places = [(place.path, place.line, place.function) for place in found.places]
    assert ("train.py", 4, "load") in places


def test_a_worker_whose_traceback_is_quoted_names_its_place_first(tmp_path: Path) -> None:
    quoted = (
        "Caught KeyError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        '  File "/work/data.py", line 15, in __getitem__\n    return table["images"]\nKeyError: \'images\''
    )
    program = f"def main(): raise RuntimeError({quoted!r})\nmain()"
    found = failure(tmp_path, program)
    assert (found.places[0].path, found.places[0].line) == ("data.py", 15)
    assert "Caught KeyError" in found.message and "'images'" in found.message


def test_the_last_words_of_a_program_that_was_started_are_told(tmp_path: Path) -> None:
    program = """
import subprocess, sys, warnings
warnings.warn("the rate is low")
subprocess.run([sys.executable, "-c", "def read(): return 1 / 0\\nread()"], check=True)
"""
    detail = failure(tmp_path, program).detail
    assert "CalledProcessError" not in detail.split("standard error")[1]
    assert "ZeroDivisionError: division by zero" in detail


def test_warnings_and_the_last_output_are_told_beside_an_exception(tmp_path: Path) -> None:
    program = "import warnings\nprint('epoch 3: 0.5')\nwarnings.warn('the rate is low')\n1 / 0"
    detail = failure(tmp_path, program).detail
    assert "epoch 3: 0.5" in detail and "UserWarning: the rate is low" in detail


def test_the_first_number_that_is_none_is_told(tmp_path: Path) -> None:
    lines = "for n in range(60): print(f'epoch {n}: loss', 0.5 if n < 7 else float('nan'))\n"
    detail = failure(tmp_path, lines + "raise SystemExit(3)").detail
    assert "not finite:\nepoch 7: loss nan" in detail and "epoch 59: loss nan" in detail
    assert "epoch 20" not in detail


def test_names_that_only_contain_such_a_word_are_none(tmp_path: Path) -> None:
    program = "for n in range(60): print('nancy, info, inference', n)\nraise SystemExit(3)"
    assert "not finite" not in failure(tmp_path, program).detail


def test_a_crash_of_a_library_names_the_places_without_a_list_of_modules(tmp_path: Path) -> None:
    found = failure(tmp_path, "import numpy, ctypes\ndef deep(): ctypes.memset(8, 0, 9)\ndeep()")
    assert "Segmentation fault" in found.detail and "Extension modules" not in found.detail
    assert (found.places[0].line, found.places[0].function) == (2, "deep")


def test_the_stack_at_the_deadline_is_told(tmp_path: Path) -> None:
    program = "import sys, time\ndef wait(): time.sleep(1.5)\nwait()\nsys.exit(9)"
    found = failure(tmp_path, program, seconds=0.5)
    assert (found.places[0].line, found.places[0].function) == (2, "wait")


def test_an_error_of_the_gpu_is_said_to_come_late(tmp_path: Path) -> None:
    program = "raise RuntimeError('CUDA error: device-side assert triggered')"
    assert "A GPU reports errors late" in failure(tmp_path, program).detail


def test_refused_predictions_name_what_was_left(tmp_path: Path) -> None:
    refused = Score(metric="accuracy", split="validation", value=None, reason="no predictions.csv")
    found = failure(tmp_path, "print('done')", score=refused)
    assert found.stage == "score" and "It left in $OUT: log.txt" in found.detail


@pytest.mark.parametrize("text", ["killed (pid 4711)", "DataLoader worker (pid(s) 12, 13) exited"])
def test_numbers_of_processes_do_not_change_what_is_asked(tmp_path: Path, text: str) -> None:
    message = failure(tmp_path, f"raise RuntimeError({text!r})").message
    assert "pid" in message and not any(number in message for number in ("4711", "12", "13"))
