"""Foreign folders through the command line, unchanged: run, killed, resumed, replayed, and shown."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoresearch.cassette import read_cassette
from autoresearch.records import Claims, Execution, Floor, Lesson, Outcome
from autoresearch.store import Run, list_runs, read
from tests.engine import BASE_IMAGE, docker_or_skip
from tests.test_cli import ROOT, autoresearch
from tests.waiting import there

TASKS = ROOT / "tests" / "tasks"
SMALL = ("--rounds", "1", "--ideas", "2", "--sandbox", "local")


def hashes(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of the template, which was killed in its baseline and resumed."""
    folder = tmp_path_factory.mktemp("template")
    shutil.copytree(TASKS / "template", folder / "mine")
    before = hashes(folder / "mine")
    child = subprocess.Popen(
        [sys.executable, "-m", "autoresearch", "run", "--task", "mine", *SMALL],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not there(folder, "runs/*/baseline/seed-*-score.json"):
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    (run,) = list_runs(folder / "runs")
    assert not (run / "claims.json").exists()
    done = autoresearch("resume", run.name, cwd=folder, COLUMNS="200")
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout)
    assert hashes(folder / "mine") == before
    return folder


def run_of(folder: Path) -> Run:
    return Run(list_runs(folder / "runs")[0])


def test_a_killed_run_of_a_template_is_resumed_and_judged_over_its_seeds(template: Path) -> None:
    run = run_of(template)
    lessons = [read(path, Lesson) for path in sorted(run.folder.glob("round-00/*/feedback.json"))]
    assert len(lessons) == 2 and {x.verdict.outcome for x in lessons} >= {Outcome.improved}
    verdict = lessons[0].verdict
    assert verdict.test == "paired t-test over 5 seeds" and verdict.effect and verdict.effect > 0
    floor = read(run.folder / "floor.json", Floor)
    assert floor.deviation and len(floor.measurements) == 5
    assert {m.score.split for m in floor.measurements if m.score} == {"self-reported"}
    assert not list(run.folder.rglob("*-test.json")) and not (run.folder / "data.json").exists()


def test_claims_without_a_sealed_test_say_so_and_invent_none(template: Path) -> None:
    claims = read(run_of(template).folder / "claims.json", Claims).claims
    assert claims
    for claim in claims:
        assert claim.self_reported and claim.untested[0].startswith("a sealed test split (none")
        figures = (claim.test_score, claim.test_baseline, claim.test_effect, claim.test_interval)
        assert figures == (None, None, None, None)


def test_every_surface_that_shows_a_score_says_self_reported(template: Path) -> None:
    run = run_of(template)
    shown = autoresearch("show", run.folder.name, cwd=template, COLUMNS="200").stdout
    surfaces = {
        "resume": (template / "said").read_text(),
        "show": shown,
        "show IDEA": autoresearch("show", run.folder.name, "0.0", cwd=template).stdout,
        "list": autoresearch("list", cwd=template).stdout,
        "run.toml": (run.folder / "run.toml").read_text(),
        "task.toml": (run.task_folder / "task.toml").read_text(),
        "notes": "\n".join(run.notes()),
        "feedback.json": next(run.folder.glob("round-00/0-*/feedback.json")).read_text(),
        "analysis.json": next(run.folder.glob("round-00/0-*/0-score.json")).read_text(),
        "claims.json": (run.folder / "claims.json").read_text(),
    }
    assert [name for name, text in surfaces.items() if "self-reported" not in text] == []
    said = " ".join(surfaces["show"].split())
    for part in ("baseline val_loss_mean", "score: val_loss_mean", "No sealed test: the program's"):
        assert "self-reported" in said[said.index(part) - 40 :][:160].lower(), part
    assert "validation" not in said and "score.py" not in said
    assert "(self-reported)" in surfaces["resume"].partition("improved: ")[2].splitlines()[0]


def test_every_prompt_that_names_the_metric_says_that_it_is_self_reported(template: Path) -> None:
    journal = (run_of(template).folder / "calls.jsonl").read_text().splitlines()
    calls = [json.loads(line) for line in journal]
    assert {call["prompt"] for call in calls} >= {
        "think/ideas", "practice/code", "feedback/analysis", "feedback/review"
    }  # fmt: skip
    for call in calls:
        text = call["text"].replace("_mean", "")
        assert text.count("Metric: val_loss") == text.count("Metric: val_loss (self-reported)")
        assert "trusted scorer" not in text and "validation split" not in text
        if call["prompt"] == "think/ideas":
            assert '<data name="known idea">' in text


def test_a_cassette_of_such_a_run_says_so(template: Path) -> None:
    done = autoresearch("cassette", run_of(template).folder.name, "c.gz", cwd=template)
    assert (
        done.returncode == 0 and read_cassette(template / "c.gz").header.scores == "self-reported"
    )


def test_a_folder_is_recognised_at_the_start_and_its_task_can_be_run_again(template: Path) -> None:
    run = run_of(template)
    assert "is recognised as an AI-Scientist template" in run.notes()[0]
    again = autoresearch("task", "check", str(run.task_folder), "--sandbox", "local", cwd=template)
    assert again.returncode == 0 and "self-reported" in again.stdout, again.stderr


def test_a_template_that_was_never_run_is_run_once_and_that_is_in_the_books(
    tmp_path: Path,
) -> None:
    shutil.copytree(TASKS / "template", tmp_path / "new")
    shutil.rmtree(tmp_path / "new" / "run_0")
    done = autoresearch(
        "run", "--task", "new", "--ideas", "1", *SMALL[:2], *SMALL[4:], cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "was run once to see what it reports" in done.stdout
    run = run_of(tmp_path)
    lines = [json.loads(x) for x in (run.folder / "ledger.jsonl").read_text().splitlines()]
    charged = [x for x in lines if x["kind"] == "charged" and x["role"] == "experiment"]
    ran = [path for path in run.folder.rglob("*-run.json")]
    assert len(charged) == len(ran) + 1
    assert 'key = "line.means.val_loss_mean"' in (run.task_folder / "task.toml").read_text()


def test_a_repository_is_prepared_once_and_trained_within_its_own_limit(tmp_path: Path) -> None:
    done = autoresearch("run", "--task", str(TASKS / "repository"), *SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = run_of(tmp_path)
    cache = run.folder / "data" / "public" / "home" / ".cache" / "letters"
    assert {path.name for path in cache.iterdir()} == {"train.json", "val.json"}
    made = [read(path, Execution) for path in run.folder.glob("data.json")]
    assert [each.command for each in made] == [("python", "data.py")]
    assert "val_bpb" in done.stdout and "self-reported" in done.stdout
    floor = read(run.folder / "floor.json", Floor)
    assert 2 < floor.mean < 4 and "9.9" in floor.measurements[0].execution.stdout
    assert not list((TASKS / "repository").rglob("*.pyc"))


def test_a_plain_folder_is_checked_in_docker(tmp_path: Path) -> None:
    docker_or_skip()
    done = autoresearch(
        "task", "check", str(TASKS / "plain"), "--metric", r"accuracy: (\S+)", "--direction", "maximize",
        "--sandbox", "docker", "--set", f"sandbox.image={BASE_IMAGE}", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "accuracy 0.8060 self-reported with seed 0" in done.stdout
    assert "no sealed test" in done.stdout and "0 to mend" in done.stdout


def test_without_a_metric_a_plain_folder_stops_with_what_to_add(tmp_path: Path) -> None:
    done = autoresearch("run", "--task", str(TASKS / "plain"), cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert r"--metric 'accuracy: (\S+)' --direction maximize|minimize" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_result_that_is_a_link_is_refused_at_the_door(tmp_path: Path) -> None:
    docker_or_skip()  # the local sandbox does not even let a link be made
    folder = tmp_path / "hostile"
    folder.mkdir()
    (folder / "experiment.py").write_text(
        "import os, sys\nout = sys.argv[1].partition('=')[2]\nos.mkdir(out)\n"
        "os.symlink('/etc/passwd', out + '/final_info.json')\n"
    )
    (folder / "prompt.json").write_text("{}")
    done = autoresearch(
        "task", "check", "hostile", "--metric", "loss", "--sandbox", "docker",
        "--set", f"sandbox.image={BASE_IMAGE}", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2 and "run_1/final_info.json: is not a regular file" in done.stdout


def test_a_plain_folder_that_follows_its_seed_replays_to_the_same_figures(tmp_path: Path) -> None:
    metric = ("--metric", r"accuracy: (\S+)", "--direction", "maximize")
    done = autoresearch("run", "--task", str(TASKS / "plain"), *metric, *SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (recorded,) = list_runs(tmp_path / "runs")
    again = autoresearch(
        "run", "--model", f"replay:{recorded}", "--sandbox", "local", "--runs", "again", cwd=tmp_path
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    (replayed,) = list_runs(tmp_path / "again")
    claims = [read(run / "claims.json", Claims).claims for run in (recorded, replayed)]
    floors = [read(run / "floor.json", Floor).mean for run in (recorded, replayed)]
    assert floors[0] == floors[1] and len(claims[0]) == len(claims[1])
    assert "self-reported" in again.stdout and "validation" not in again.stdout


def test_a_template_finds_its_data_where_it_looks_and_a_fixed_seed_is_pointed_out(
    tmp_path: Path,
) -> None:
    folder, data = tmp_path / "templates" / "mine", tmp_path / "data"
    for name, text in (("letters", "abc"), ("private", "not named")):
        (data / name).mkdir(parents=True)
        (data / name / "text.txt").write_text(text)
    folder.mkdir(parents=True)
    (folder / "prompt.json").write_text('{"task_description": "Count letters."}')
    (folder / "experiment.py").write_text(
        "import argparse, json, os\nparser = argparse.ArgumentParser()\n"
        "parser.add_argument('--out_dir')\nout = parser.parse_args().out_dir\nos.makedirs(out)\n"
        "SCALE = 0.5\ntext = open(os.path.join('../../data', 'letters', 'text.txt')).read()\n"
        "info = {'letters': {'means': {'score': SCALE * len(text)}}}\n"
        "json.dump(info, open(os.path.join(out, 'final_info.json'), 'w'))\n"
    )
    done = autoresearch("run", "--task", str(folder), *SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = run_of(tmp_path)
    assert read(run.folder / "floor.json", Floor).mean == 1.5
    assert not list(run.folder.rglob("private"))
    assert "the baseline gave the same score with every seed" in done.stdout
    assert "improved:" not in done.stdout
