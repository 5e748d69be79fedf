"""The supervisor by itself, and the host's end of its protocol."""

import json
import os
import signal
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.errors import SandboxError
from autoresearch.records import Ended, Limits
from autoresearch.sandbox import supervisor, watch
from autoresearch.sandbox.protocol import KEPT, Reply, Request, size
from tests.sandbox.test_contract import eventually, listing

LIMITS = Limits(timeout=10, output=2**20)
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


def request(*command: str, **more: object) -> Request:
    fields = {"cwd": "/", "environment": ENVIRONMENT, "limits": LIMITS, "rlimits": {}, **more}
    return Request(command=command, **fields)  # type: ignore[arg-type]


def start() -> subprocess.Popen[bytes]:
    program = [sys.executable, "-I", "-S", supervisor.__file__]
    return subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def run(asked: Request) -> Reply:
    reply = Reply(asked)
    with start() as process:
        assert process.stdin and process.stdout
        process.stdin.write(asked.line())
        process.stdin.flush()
        while reply.feed(os.read(process.stdout.fileno(), 2**16)):
            pass
    return reply


def frame(kind: bytes, payload: bytes) -> bytes:
    return kind + struct.pack(">I", len(payload)) + payload


def status(asked: Request, **changed: object) -> bytes:
    fields = {"nonce": asked.nonce, "why": "exited", "detail": "", "exit_code": 0, "signal": None}
    fields |= {"seconds": 1.0, "cpu_seconds": 0.5, "peak_memory": 4096, "left_behind": 0}
    return frame(b"s", json.dumps(fields | changed).encode())


def test_the_end_of_its_input_ends_everything() -> None:
    mark = f"8{os.getpid()}1"
    with start() as process:
        assert process.stdin
        asked = request("sh", "-c", f"(setsid sleep {mark} &); trap '' TERM HUP INT; sleep {mark}")
        process.stdin.write(asked.line())
        process.stdin.flush()
        assert eventually(lambda: f"sleep {mark}" in listing())
        started = time.monotonic()
        process.stdin.close()
        process.wait(5)
        assert time.monotonic() - started < 3
    assert not [line for line in listing() if mark in line]


def test_signals_of_the_terminal_do_not_end_it() -> None:
    with start() as process:
        assert process.stdin and process.stdout
        asked = request("sh", "-c", "echo begun; sleep 0.5; echo ended")
        process.stdin.write(asked.line())
        process.stdin.flush()
        assert process.stdout.read(5 + 6).endswith(b"begun\n")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        reply = Reply(asked)
        reply.feed(process.stdout.read())
    assert reply.execution("x", 1).succeeded and reply.execution("x", 1).stdout == "ended\n"


def test_a_host_that_does_not_read_does_not_stop_the_clock() -> None:
    with start() as process:
        assert process.stdin and process.stdout
        limits = LIMITS.model_copy(update={"timeout": 0.5, "output": 2**30})
        process.stdin.write(request("yes", limits=limits).line())
        process.stdin.flush()
        time.sleep(1.5)
        assert "yes" not in listing()
        while os.read(process.stdout.fileno(), 2**16):
            pass


def test_a_confinement_that_fails_is_an_error_and_nothing_ran(tmp_path: Path) -> None:
    plan = {"reach": [], "read": [], "write": [], "scratch": [], "uid": -5, "namespaces": False}
    asked = request("touch", str(tmp_path / "ran"), confine=plan)
    reply = run(asked)
    with pytest.raises(SandboxError, match="could not be confined"):
        reply.execution("x", 1)
    assert not (tmp_path / "ran").exists()


def test_a_folder_that_cannot_be_entered_is_an_error_not_a_failed_experiment() -> None:
    asked = request("true", cwd="/nowhere")
    reply = run(asked)
    with pytest.raises(SandboxError, match="nowhere"):
        reply.execution("x", 1)


def test_descriptors_of_the_supervisor_do_not_reach_the_experiment() -> None:
    asked = request("ls", "/proc/self/fd")
    reply = run(asked)
    assert reply.execution("x", 1).stdout.split() == ["0", "1", "2", "3"]  # 3 is the folder itself


# --- the host's end -----------------------------------------------------------------------------


def test_frames_may_come_in_any_pieces() -> None:
    asked = request("x")
    stream = frame(b"o", b"out") + frame(b"e", b"err") + status(asked, exit_code=4)
    reply = Reply(asked)
    assert [reply.feed(bytes([each])) for each in stream] == [True] * (len(stream) - 1) + [False]
    execution = reply.execution("x", 1)
    assert (execution.stdout, execution.stderr, execution.exit_code) == ("out", "err", 4)


@pytest.mark.parametrize(
    "stream",
    [
        b"nonsense",
        frame(b"x", b""),
        b"o\xff\xff\xff\xff",
        frame(b"t", b"an archive nobody asked for"),
    ],
    ids=["text", "kind", "length", "archive"],
)
def test_what_is_not_the_protocol_stops_the_reading_and_is_lost(stream: bytes) -> None:
    reply = Reply(request("x"))
    assert not reply.feed(stream)
    execution = reply.execution("x", 1, "it did not keep to the protocol")
    assert execution.ended is Ended.lost and not execution.succeeded
    assert "did not keep to the protocol" in execution.reason


def test_a_status_with_another_nonce_is_none() -> None:
    reply = Reply(request("x"))
    assert not reply.feed(status(request("x")))
    assert reply.execution("x", 1).ended is Ended.lost


def test_no_status_is_lost_and_keeps_what_was_said() -> None:
    reply = Reply(request("x"))
    assert reply.feed(frame(b"o", b"the last words"))
    execution = reply.execution("x", 2.5)
    assert (execution.ended, execution.exit_code, execution.seconds) == (Ended.lost, None, 2.5)
    assert execution.stdout == "the last words" and "lost" in execution.reason


def test_more_output_than_allowed_stops_the_reading_whatever_the_supervisor_says() -> None:
    reply = Reply(request("x", limits=LIMITS.model_copy(update={"output": 10_000})))
    assert reply.feed(frame(b"o", b"x" * 10_000))
    assert not reply.feed(frame(b"e", b"x"))


def test_memory_stays_bounded_and_head_and_tail_are_kept() -> None:
    reply = Reply(request("x", limits=LIMITS.model_copy(update={"output": 2**30})))
    for number in range(1000):
        assert reply.feed(frame(b"o", f"{number:05}".encode() * 1000))
    text = reply.execution("x", 1).stdout
    assert text.startswith("00000") and text.endswith("00999")
    assert f"{5_000_000 - 2 * KEPT} bytes left out" in text and len(text) < 2 * KEPT + 100


def test_output_that_is_not_text_is_shown_as_far_as_it_is() -> None:
    reply = Reply(request("x"))
    reply.feed(frame(b"o", b"caf\xc3\xa9 \xff\x00"))
    assert reply.execution("x", 1).stdout == "café \ufffd\x00"


def test_a_size_limit_on_files_is_told_from_other_signals() -> None:
    asked = request("x")
    reply = Reply(asked)
    reply.feed(status(asked, exit_code=None, signal=int(signal.SIGXFSZ)))
    execution = reply.execution("x", 1)
    assert execution.ended is Ended.disk and "larger than 1.0 GiB" in execution.reason


def test_a_slow_check_is_made_seldom_but_soon_when_a_glance_finds_it_urgent() -> None:
    looks, urgent = [], []

    def measure() -> None:
        looks.append(time.monotonic())
        until = time.process_time() + 0.02
        while time.process_time() < until:
            pass

    check = watch.Check(0.01, measure, lambda: bool(urgent))
    check.run_if_due()
    time.sleep(0.1)
    check.run_if_due()
    assert len(looks) == 1  # 20 times as long as it took is not over
    urgent.append(True)
    check.glance = 0.0
    check.run_if_due()
    assert len(looks) == 2


def test_sizes_are_written_for_people() -> None:
    assert [size(each) for each in (512, 4096, 2**29, 5 * 2**40)] == [
        "512 bytes",
        "4.0 KiB",
        "512.0 MiB",
        "5.0 TiB",
    ]


def test_gpu_seconds_are_those_of_all_the_devices_it_held() -> None:
    asked = replace(request("x"), limits=Limits(gpus=3))
    reply = Reply(asked)
    reply.feed(status(asked, exit_code=0, seconds=2.0))
    assert reply.execution("x", 9).gpu_seconds == 6.0
