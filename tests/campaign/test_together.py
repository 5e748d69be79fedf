"""Two campaigns on one machine, and what a night tells another server."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import product
from pathlib import Path

import pytest

from autoresearch.campaign import outputs
from autoresearch.campaign.matrix import WebhookTable
from autoresearch.campaign.outputs import tell
from autoresearch.records import Execution
from autoresearch.store import list_runs, read

ROOT = Path(__file__).parents[2]
SLOPE = ROOT / "tests" / "tasks" / "slope"
WATCHED = """
import time

began = time.time()
time.sleep(0.5)
"""
TOLD = """
print(json.dumps({"cpus": sorted(os.sched_getaffinity(0)), "from": began, "to": time.time()}))
"""
FILE = """
[settings]
rounds = 1
ideas = 2
parallel = 1
sandbox.kind = "local"
sandbox.cache = "{cache}"
papers.arxiv = false
[[include]]
task = "slope"
"""


@pytest.mark.timeout(1200)
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="ONE PROCESSOR: nothing to share")
def test_two_campaigns_at_once_never_hold_the_same_processor(tmp_path: Path) -> None:
    """Devices are leased in the same way (tests/sandbox/test_leases.py); there is none here."""
    nights = []
    for name in ("one", "two"):
        folder = tmp_path / name
        task = shutil.copytree(SLOPE, folder / "slope")
        program = task / "baseline" / "train.py"
        program.write_text(program.read_text() + WATCHED + TOLD)
        (folder / "nightly.toml").write_text(FILE.format(cache=tmp_path / "cache"))
        command = [sys.executable, "-m", "autoresearch", "campaign", str(folder / "nightly.toml")]
        nights.append(
            subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
    for night in nights:
        said, _ = night.communicate(timeout=500)
        assert night.returncode == 0, said
    ran = [experiments(tmp_path / name / "nightly" / "runs") for name in ("one", "two")]
    together = [
        (mine, other)
        for mine, other in product(*ran)
        if mine["from"] < other["to"] and other["from"] < mine["to"]
    ]
    assert together, "no two of them ran at the same time"
    for mine, other in together:
        assert not {*mine["cpus"]} & {*other["cpus"]}, (mine, other)


def experiments(runs: Path) -> list[dict[str, list[int] | float]]:
    (run,) = list_runs(runs)
    found = [read(path, Execution) for path in run.rglob("*-run.json")]
    return [json.loads(each.stdout.splitlines()[-1]) for each in found if each.succeeded]


@contextmanager
def server(*statuses: int) -> Iterator[tuple[str, list[bytes]]]:
    """Answers with these, the last one again and again; and what it was sent."""
    sent: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(statuses[min(len(sent), len(statuses)) - 1])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    here = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=here.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{here.server_address[1]}/hook?token=t0p-s3cret", sent
    finally:
        here.shutdown()
        thread.join()
        here.server_close()


@pytest.mark.parametrize(
    "statuses, tries, said",
    [((200,), 1, "told (200)"), ((503, 429, 204), 3, "told (204)"), ((500,), 4, "HTTP 500"), ((404,), 1, "HTTP 404")],
)  # fmt: skip
def test_a_webhook_is_tried_again_where_that_may_help(
    monkeypatch: pytest.MonkeyPatch, statuses: tuple[int, ...], tries: int, said: str
) -> None:
    monkeypatch.setattr(outputs, "WAIT", 0.01)
    with server(*statuses) as (url, sent):
        monkeypatch.setenv("THE_HOOK", url)
        told = tell(WebhookTable(url="env:THE_HOOK"), '{"night": 1}')
    assert said in told and "s3cret" not in told
    assert sent == [b'{"night": 1}'] * tries


def test_a_webhook_that_nobody_answers_fails_no_night(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "WAIT", 0.01)
    assert "not told after 2 tries" in tell(WebhookTable(url="http://127.0.0.1:9/x", tries=2), "{}")
    assert "no http(s) address" in tell(WebhookTable(url="env:NOT_SET"), "{}")
    assert "no http(s) address" in tell(WebhookTable(url="file:///etc/passwd"), "{}")
