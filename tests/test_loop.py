"""The whole loop on real data in real sandboxes, as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch.records import Claims, Lesson, Opening, Outcome, Trial
from autoresearch.store import Run, list_runs, read
from tests.engine import BASE_IMAGE, docker_or_skip

ROOT = Path(__file__).parents[1]


def autoresearch(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, at the root of the checkout."""
    return subprocess.run(
        [sys.executable, "-m", "autoresearch", *arguments],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module", params=["local", "docker"])
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A finished run on digits, and what the command said."""
    if request.param == "docker":
        docker_or_skip()
    runs = tmp_path_factory.mktemp("runs")
    done = autoresearch(
        "run", "image classification from few, small images", "--task", "digits", "--model", "offline",
        "--rounds", "2", "--ideas", "5", "--sandbox", request.param, "--runs", str(runs),
        "--set", f"sandbox.image={BASE_IMAGE}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Run(list_runs(runs)[0]), done.stdout


def lessons(run: Run) -> list[Lesson]:
    return [read(path, Lesson) for path in sorted(run.folder.glob("round-*/*/feedback.json"))]


@pytest.mark.timeout(1200)
def test_a_run_has_improved_declined_and_repaired_ideas(finished: tuple[Run, str]) -> None:
    run, _ = finished
    outcomes = [lesson.verdict.outcome for lesson in lessons(run)]
    assert len(outcomes) == 10
    assert Outcome.improved in outcomes and Outcome.declined in outcomes
    repaired = [x for x in lessons(run) if x.failures and x.verdict.outcome is not Outcome.failed]
    assert repaired, [x.failures for x in lessons(run)]
    trial = read(run.folder / repaired[0].name / "practice.json", Trial)
    assert "random_state" in trial.attempts[0].failure.detail and trial.attempts[-1].failure is None


def test_the_screen_says_what_happened_where_and_in_which_sandbox(
    finished: tuple[Run, str],
) -> None:
    run, said = finished
    assert str(run.folder) in said and "offline (no language model)" in said
    assert run.manifest["sandbox"]["name"] in said
    for lesson in lessons(run):
        assert lesson.verdict.outcome.value in said


def test_every_attempt_is_a_commit_under_its_own_ref(finished: tuple[Run, str]) -> None:
    run, _ = finished
    listed = subprocess.check_output(
        [
            "git",
            f"--git-dir={run.folder / 'code.git'}",
            "for-each-ref",
            "--format=%(refname) %(objectname)",
        ],
        text=True,
    )
    for path in run.folder.glob("round-*/*/practice.json"):
        for attempt in read(path, Trial).attempts:
            if attempt.commit:
                name = str(path.parent.relative_to(run.folder))
                assert f"refs/attempts/{name}/{attempt.number} {attempt.commit}" in listed


def test_the_second_round_builds_on_an_improved_idea(finished: tuple[Run, str]) -> None:
    run, _ = finished
    improved = {
        lesson.idea.slug for lesson in lessons(run) if lesson.verdict.outcome is Outcome.improved
    }
    parents = {
        lesson.idea.parent for lesson in lessons(run) if lesson.name.startswith("round-01/")
    } - {None}
    assert parents and parents <= improved


def test_the_test_split_is_scored_for_what_stands_only_and_at_the_end(
    finished: tuple[Run, str],
) -> None:
    run, _ = finished
    claims = read(run.folder / "claims.json", Claims).claims
    improved = {
        lesson.name for lesson in lessons(run) if lesson.verdict.outcome is Outcome.improved
    }
    assert {claim.name for claim in claims} == improved
    tested = {str(path.parent.relative_to(run.folder)) for path in run.folder.rglob("*-test.json")}
    opened = {name for name, _ in read(run.folder / "seal.json", Opening).ideas}
    assert opened and opened <= improved and tested == opened | {"baseline"}
    assert all(claim.name in opened or claim.refuted for claim in claims)
    last = max(path.stat().st_mtime_ns for path in run.folder.glob("round-*/*/feedback.json"))
    assert all(path.stat().st_mtime_ns > last for path in run.folder.rglob("*-test.json"))


def test_no_label_and_no_path_of_the_host_is_in_what_the_experiments_saw_or_said(
    finished: tuple[Run, str],
) -> None:
    run, _ = finished
    assert not list((run.folder / "data" / "public").rglob("*label*pool*"))
    for path in run.folder.rglob("*-run.json"):
        assert str(run.folder) not in path.read_text(), path


def test_a_finished_run_is_shown_whole_and_idea_by_idea(finished: tuple[Run, str]) -> None:
    run, _ = finished
    shown = autoresearch("show", str(run.folder))
    assert shown.returncode == 0 and "sealed test split" in shown.stdout
    slug = lessons(run)[0].idea.slug
    page = autoresearch("show", str(run.folder), slug).stdout
    for part in (
        "hypothesis",
        "attempts",
        "diff against the baseline",
        "seed 0",
        "analysis",
        "review",
    ):
        assert part in page
    assert page == autoresearch("show", str(run.folder), "0.0").stdout


def test_resuming_a_finished_run_does_nothing_again(finished: tuple[Run, str]) -> None:
    run, _ = finished
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*.json*")}
    assert autoresearch("resume", str(run.folder)).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*.json*")} == before


def test_the_run_directory_lists_what_the_sandbox_really_enforces(
    finished: tuple[Run, str],
) -> None:
    run, _ = finished
    probe = run.manifest["sandbox"]["probe"]
    assert len(probe) >= 5 and all(finding["ok"] for finding in probe)


@pytest.mark.parametrize("finished", ["local"], indirect=True)
def test_replaying_a_run_gives_the_same_results_without_its_model(
    finished: tuple[Run, str], tmp_path: Path
) -> None:
    run, _ = finished
    done = autoresearch(
        "run", "--model", f"replay:{run.folder}", "--runs", str(tmp_path), "--sandbox", "local"
    )
    assert done.returncode == 0, done.stderr
    again = Run(list_runs(tmp_path)[0])
    assert [without_times(x) for x in lessons(again)] == [without_times(x) for x in lessons(run)]


def without_times(lesson: Lesson) -> object:
    return json.loads(lesson.model_dump_json(exclude={"commit"}))
