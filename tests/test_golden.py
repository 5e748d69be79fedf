"""The golden run: a whole loop on digits with answers written by hand, replayed in real sandboxes.

When a prompt or a stage changes, these fail with what changed; record it again with
`python -m tests.golden.author tests/golden/digits.json.gz` and read what came out differently.
"""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from autoresearch.cassette import read_cassette, write_cassette
from autoresearch.records import Agenda, Lesson, Trial
from autoresearch.store import Run, list_runs, read
from tests.engine import BASE_IMAGE, docker_or_skip
from tests.golden.author import ANSWERS, ORIGIN

ROOT = Path(__file__).parents[1]
CASSETTE = ROOT / "tests" / "golden" / "digits.json.gz"
# All that may differ between two replays of a cassette in one sandbox:
TIMES = {
    "seconds",
    "cpu_seconds",
    "peak_memory",
    "ratio",
    "created",
    "opened",
    "at",
    "reproduce",  # names the run
}  # and by the date, commits
# and between two sandboxes, beside where their environments are:
PLACES = {"sandbox", "environment"}
ENVIRONMENT = re.compile(r"/\S+(?=/lib/python3\.\d+/site-packages/)")
COMMIT = re.compile(r"\b[0-9a-f]{40}\b")


def replay(folder: Path, sandbox: str) -> Run:
    done = subprocess.run(
        [
            sys.executable, "-m", "autoresearch", "run", "--model", f"replay:{CASSETTE}", "--sandbox", sandbox,
            "--runs", str(folder), "--set", f"sandbox.image={BASE_IMAGE}",
        ],
        cwd=ROOT, env=os.environ | {"NO_COLOR": "1"}, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Run(list_runs(folder)[-1])


@pytest.fixture(scope="module")
def in_docker(tmp_path_factory: pytest.TempPathFactory) -> Run:
    docker_or_skip()
    return replay(tmp_path_factory.mktemp("docker"), "docker")


@pytest.fixture(scope="module")
def in_local(tmp_path_factory: pytest.TempPathFactory) -> Run:
    if shutil.which("bwrap") is None and os.environ.get("AUTORESEARCH_REQUIRE_BUBBLEWRAP") != "1":
        pytest.skip("NO BUBBLEWRAP: without it tracebacks name folders of this machine")
    return replay(tmp_path_factory.mktemp("local"), "local")


@pytest.fixture(params=["in_docker", "in_local"])
def replayed(request: pytest.FixtureRequest) -> Run:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Run)
    return found


def clean(value: Any, left_out: frozenset[str]) -> Any:
    """Without the fields of those names, and with placeholders for commits' hashes and for where the
    environment is."""
    if isinstance(value, dict):
        return {key: clean(value[key], left_out) for key in value.keys() - left_out}
    if isinstance(value, list):
        return [clean(item, left_out) for item in value]
    if not isinstance(value, str):
        return value
    return COMMIT.sub("{commit}", ENVIRONMENT.sub("{environment}", value))


@cache
def without(run: Path, left_out: frozenset[str]) -> dict[str, Any]:
    """All that a run's files hold, cleaned."""
    files: dict[str, Any] = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if name.startswith(("code.git/", "trees/")) or not path.is_file():
            continue
        if path.suffix == ".json":
            files[name] = clean(json.loads(path.read_text()), left_out)
        elif name == "calls.jsonl":  # in the order in which threads came to it
            lines = sorted(path.read_text().splitlines())
            files[name] = [clean(json.loads(line), left_out) for line in lines]
        elif name.startswith(("data/", "task/")) or path.name == "predictions.csv":
            files[name] = path.read_bytes()
    return files


@pytest.mark.timeout(1200)
def test_the_golden_run_comes_out_as_its_header_says(replayed: Run) -> None:
    header = read_cassette(CASSETTE).header
    lessons = [
        read(path, Lesson) for path in sorted(replayed.folder.glob("round-*/*/feedback.json"))
    ]
    assert [(x.name, x.verdict.outcome, x.attempts, x.failures) for x in lessons] == [
        (x.name, x.outcome, x.attempts, x.failures) for x in header.results
    ]
    for lesson, expected in zip(lessons, header.results, strict=True):
        assert lesson.verdict.score == pytest.approx(expected.score, abs=0.002)
    agendas = [read(path, Agenda) for path in sorted(replayed.folder.glob("round-*/think.json"))]
    dropped = {c.idea.slug: c.reason for a in agendas for c in a.candidates if not c.kept}
    assert dropped == header.dropped


def test_the_golden_run_holds_everything_that_goes_wrong_on_the_way(replayed: Run) -> None:
    trials = [read(path, Trial) for path in sorted(replayed.folder.glob("round-*/*/practice.json"))]
    stages = {
        trial.idea.slug: [x.failure.stage if x.failure else "" for x in trial.attempts]
        for trial in trials
    }
    assert stages["upright-by-moments"] == ["run", "run", ""]
    assert stages["spread-labels-over-the-pool"] == ["edit", ""]
    assert stages["elastic-distortions"] == ["check", "check", "syntax"]
    outcomes = {x.outcome.value for x in read_cassette(CASSETTE).header.results}
    assert outcomes == {"improved", "maintained", "declined", "failed"}
    assert any(trial.parent for trial in trials)
    reasons = list(read_cassette(CASSETTE).header.dropped.values())
    assert any("too close" in reason for reason in reasons)
    assert any("novel: no" in reason for reason in reasons)
    lines = (replayed.folder / "calls.jsonl").read_text().splitlines()
    finishes = [json.loads(line)["answer"]["finish"] for line in lines]
    assert finishes.count("refusal") == 1 and finishes.count("length") == 1
    again = [line for line in lines if "Try 2. Your previous answer could not be used" in line]
    assert len(again) == 3 and any("Input should be a valid integer" in line for line in again)


@pytest.mark.timeout(1200)
def test_two_sandboxes_agree_on_everything_but_times_and_their_names(
    in_docker: Run, in_local: Run
) -> None:
    left_out = frozenset(TIMES | PLACES)
    docker, local = without(in_docker.folder, left_out), without(in_local.folder, left_out)
    assert docker.keys() == local.keys()
    for name in docker.keys() - {"modules.json"}:  # what each one's Python can import
        assert docker[name] == local[name], name


@pytest.mark.timeout(1200)
def test_two_replays_in_one_sandbox_agree_on_everything_but_times(
    in_local: Run, tmp_path: Path
) -> None:
    left_out = frozenset(TIMES)
    first, again = (without(r.folder, left_out) for r in (in_local, replay(tmp_path, "local")))
    assert first == again
    assert "round-01/0-shifted-support-vectors/seed-2-out/predictions.csv" in first


def test_a_cassette_of_the_replay_is_the_golden_cassette_again(
    replayed: Run, tmp_path: Path
) -> None:
    assert write_cassette(replayed, tmp_path / "again.json.gz") == []
    again, golden = (
        json.loads(gzip.decompress(path.read_bytes()))
        for path in (tmp_path / "again.json.gz", CASSETTE)
    )
    for document in (again, golden):
        del document["header"]["version"]  # of the product, which may be newer
    assert again == golden


def test_the_cassette_says_that_it_was_authored_and_so_does_a_replay(replayed: Run) -> None:
    assert ORIGIN == "authored, not recorded from a provider"
    assert read_cassette(CASSETTE).header.origin == ORIGIN == replayed.manifest["origin"]
    assert CASSETTE.stat().st_size < 300_000


def test_every_answer_in_the_cassette_is_one_of_the_files() -> None:
    written = {file.read_text() for file in ANSWERS.rglob("*.md")}
    calls = read_cassette(CASSETTE).calls
    said = {
        ("" if call.answer.finish == "stop" else f"finish: {call.answer.finish}\n")
        + call.answer.text
        for call in calls
    }
    assert said == written and len(calls) == len(written)
