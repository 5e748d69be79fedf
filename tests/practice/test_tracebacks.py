"""What went wrong, in the form that goes back to the model: from real programs that really fail."""

import subprocess
import sys

from autoresearch.practice.tracebacks import failure_of, traceback_of
from autoresearch.records import Ended, Execution, Measurement, Score


def run(program: str) -> Measurement:
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    execution = Execution(
        sandbox="plain", command=("python",), ended=Ended.exited, exit_code=ran.returncode, signal=None,
        reason=f"exit code {ran.returncode}", stdout=ran.stdout, stderr=ran.stderr, seconds=0.1,
        cpu_seconds=None, peak_memory=None,
    )  # fmt: skip
    return Measurement(seed=0, execution=execution, score=None)


def test_a_failure_names_the_exception_and_carries_the_traceback() -> None:
    failure = failure_of(run("print('out')\nraise KeyError('weights')"))
    assert failure is not None and failure.stage == "run"
    assert failure.message == "exit code 1: KeyError: 'weights'"
    assert failure.detail.startswith("Traceback (most recent call last)")


def test_a_chained_exception_keeps_its_cause() -> None:
    program = "try:\n    [][1]\nexcept IndexError as e:\n    raise ValueError('outer') from e"
    detail = failure_of(run(program)).detail
    assert "IndexError" in detail and detail.endswith("ValueError: outer")


def test_addresses_are_steadied_so_that_a_replay_asks_the_same() -> None:
    message = failure_of(run("raise ValueError(object())")).message
    assert "0x..." in message


def test_output_without_a_traceback_is_still_shown() -> None:
    failure = failure_of(run("import sys; print('loss is nan'); sys.exit(3)"))
    assert failure.message == "exit code 3" and failure.detail.endswith("output:\nloss is nan")


def test_refused_predictions_fail_at_the_score_stage_with_the_scorers_reason() -> None:
    measured = run("pass").model_copy(
        update={
            "score": Score(
                metric="accuracy", split="validation", value=None, reason="3 rows missing"
            )
        }
    )
    failure = failure_of(measured)
    assert (failure.stage, failure.message) == ("score", "3 rows missing")


def test_a_measurement_with_a_score_of_zero_is_no_failure() -> None:
    score = Score(metric="loss", split="validation", value=0.0)
    assert failure_of(run("pass").model_copy(update={"score": score})) is None


def test_no_traceback_is_found_where_there_is_none() -> None:
    assert traceback_of("warning: something\n") == ""
