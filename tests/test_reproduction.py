"""Reproducing an idea: the answer, and what it takes, in real runs of planted programs."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from autoresearch.floors import floor_of
from autoresearch.records import Claims, Ended, Floor, Measurement, Score
from autoresearch.reproduced import Drawn, Reproduction, claim_of
from autoresearch.reproduction import LEVEL, Decision, decide
from autoresearch.spending import totals_of
from autoresearch.store import Run, list_runs, read
from tests.bench.claims.cheats.planted import ABLATION, FRESH, STANDS, Planted
from tests.bench.claims.cheats.runs import try_out
from tests.examples import EXECUTION, TASK
from tests.falsify import lines

ROOT = Path(__file__).parents[1]
STEPS = "    for _ in range(STEPS):"
CRASH = ((STEPS, f"    assert seed < 9, 'only known seeds'\n{STEPS.replace('STEPS', '400')}"),)
NEVER = ((STEPS, f"    assert seed < 0, 'never'\n{STEPS}"),)
MORE = Planted("only-known-seeds", "A schedule.", CRASH, (FRESH,))
FAILS = Planted("never-runs", "An assertion.", NEVER, ("failed",))


def autoresearch(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autoresearch", *arguments],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "160"},
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of planted programs."""
    folder = tmp_path_factory.mktemp("lines")
    chosen = ("more-steps", "known-seeds", "another-start", "wider-starts")
    planted = [each for each in lines.programs() if each.name in chosen]
    tally = try_out(lines.task(folder), [*planted, MORE, FAILS], folder / "runs", "none")
    ends = {each.planted.name: each.end for each in tally.endings}
    assert ends["more-steps"] == STANDS and ends["wider-starts"] == ABLATION
    assert ends["known-seeds"] == ends["only-known-seeds"] == FRESH
    return list_runs(folder / "runs")[0]


@pytest.fixture
def run(tried: Path, tmp_path: Path) -> Run:
    shutil.copytree(tried, tmp_path / "runs" / tried.name)
    return Run(tmp_path / "runs" / tried.name)


def reproduce(run: Run, *arguments: str) -> subprocess.CompletedProcess[str]:
    return autoresearch("reproduce", run.folder.name, *arguments, cwd=run.folder.parents[1])


def result_of(run: Run, name: str) -> Reproduction:
    return read(run.folder / "reproductions" / name / "result.json", Reproduction)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_true_gain_holds_and_only_the_reproduction_and_the_ledger_are_written(run: Run) -> None:
    with (run.task_folder / "score.py").open("a") as file:
        file.write("\nassert os.environ['SPLIT'] == 'validation', 'the seal is opened'\n")
    before, spent = files_of(run.folder), totals_of(run).overall
    done = reproduce(run, "more-steps")
    assert done.returncode == 0, done.stderr
    after, made = files_of(run.folder), result_of(run, "00-more-steps")
    changed = {name for name in after.keys() | before.keys() if after.get(name) != before.get(name)}
    others = {name for name in changed if not name.startswith("reproductions/00-more-steps/")}
    assert others == {"ledger.jsonl", "lock"}
    assert made.holds and made.p is not None and made.p < LEVEL and made.interval
    assert made.effect and made.effect > 0.3 and made.claimed.effect
    assert len(made.scores) == 4 and made.standing == "improved; a claim that stands"
    claim = claim_of(run, made.name)
    assert claim and made.commit == claim.commit and made.environment == claim.environment
    said = " ".join(done.stdout.split())
    assert re.search(r"claimed \+0\.64 \[.*\] negative_mse on validation, 4 seeds", said)
    assert re.search(rf"reproduced \{made.effect:+.4g} \[", said) and "none (NOT a sandbox" in said
    assert all(str(each.seed) in said for each in made.scores) and "holds the gain" in said
    cost = totals_of(run).overall
    assert made.cost.experiments == 8
    charged = cost.cpu_seconds - spent.cpu_seconds
    scorers = [json.loads(x) for x in after["ledger.jsonl"].decode().splitlines()][-200:]
    assert sum(x["role"] == "scorer" and x["kind"] == "charged" for x in scorers) >= 9
    assert charged >= made.cost.cpu_seconds > 0 and cost.unsettled == 0


def test_the_seeds_are_fresh_and_the_next_reproduction_draws_others(run: Run) -> None:
    assert reproduce(run, "0.1", "--seeds", "2").returncode == 0
    assert reproduce(run, "round-00/1-more-steps", "--seeds", "3").returncode == 0
    folders = sorted((run.folder / "reproductions").iterdir())
    assert [each.name for each in folders] == ["00-more-steps", "01-more-steps"]
    first, second = (set(read(each / "seeds.json", Drawn).seeds) for each in folders)
    ran = {
        int(found[1])
        for path in run.folder.rglob("seed-*-run.json")
        if (found := re.fullmatch(r"seed-(\d+)-run\.json", path.name))
    }
    assert len(first) == 2 and len(second) == 3 and not first & second
    assert len(ran) >= 12 and not (first | second) & ran
    shown = autoresearch("show", str(run.folder), "more-steps", cwd=run.folder).stdout
    assert shown.count(" fresh seeds (0") == 2 and "holds +0." in shown
    assert f"autoresearch reproduce {run.folder.name} more-steps" in shown
    assert "environment " in shown


def test_a_gain_from_a_branch_on_the_searchs_seeds_does_not_hold(run: Run) -> None:
    done = reproduce(run, "known-seeds", "--json")
    assert done.returncode == 1
    made = json.loads(done.stdout)
    assert made["holds"] is False and abs(made["effect"]) < 1e-9 and made["claimed"]["effect"] > 0.3
    assert "refuted by fresh seeds" in made["standing"]
    assert "seed " in done.stderr  # the progress is beside it


def test_a_program_that_fails_on_fresh_seeds_does_not_hold_and_says_why(run: Run) -> None:
    done = reproduce(run, "only-known-seeds")
    made = result_of(run, "00-only-known-seeds")
    assert done.returncode == 1 and made.holds is False and made.effect is None
    assert "no score with 4 of 4 fresh seeds" in made.reason and "only known seeds" in done.stdout


def test_a_refuted_claim_says_by_what_also_where_the_gain_is_there_again(run: Run) -> None:
    done = reproduce(run, "wider-starts")
    said = " ".join(done.stdout.split())
    assert "the claim was refuted by ablation: " in said
    assert result_of(run, "00-wider-starts").holds
    assert "the claim stays refuted by ablation" in said


def test_what_was_no_claim_is_run_too_and_called_that(run: Run) -> None:
    done = reproduce(run, "another-start")
    said = " ".join(done.stdout.split())
    assert done.returncode == 1 and "not a claim" in said and " in the run -0." in said
    assert "claimed" not in said.replace("none was claimed", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing",), "no idea 'nothing' .*0.1 more-steps"),
        (("never-runs",), "0.5 never-runs has no score that could be reproduced: .*never"),
        (("more-steps", "--seeds", "1"), "--seeds 1: give 2 to 1000"),
        (("more-steps", "--budget", "much"), "--budget 'much': write a number"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    run: Run, arguments: tuple[str, ...], said: str
) -> None:
    done = reproduce(run, *arguments)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and re.search(said, done.stderr)
    assert not (run.folder / "reproductions").exists() and not done.stdout


def test_killed_in_the_middle_it_goes_on_with_the_same_seeds_and_runs_nothing_twice(
    run: Run,
) -> None:
    command = [sys.executable, "-m", "autoresearch", "reproduce", str(run.folder), "more-steps"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [*command, "--seeds", "9"], env=environment, stdout=subprocess.DEVNULL, cwd=run.folder
    )
    deadline, place = time.monotonic() + 60, run.folder / "reproductions" / "00-more-steps"
    while len(list(place.glob("*-score.json"))) < 3:
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept = {path: path.read_bytes() for path in place.glob("*.json")}
    assert not (place / "result.json").exists() and 4 <= len(kept) < 30
    shown = autoresearch("show", str(run.folder), "more-steps", cwd=run.folder).stdout
    assert "unfinished, 9 seeds" in shown
    other = reproduce(run, "more-steps", "--seeds", "4")
    assert other.returncode == 2 and "9 seeds, not 4" in other.stderr
    began = (run.folder / "ledger.jsonl").read_text().count('"experiment"')
    done = reproduce(run, "more-steps")
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in kept} == kept
    assert [each.name for each in place.parent.iterdir()] == [place.name]
    made = result_of(run, place.name)
    assert tuple(each.seed for each in made.scores) == read(place / "seeds.json", Drawn).seeds
    ran = sum(path.name.endswith("-run.json") for path in kept)
    again = (run.folder / "ledger.jsonl").read_text().count('"experiment"') - began
    assert again == 2 * (18 - ran)  # a reservation and a charge for each that was missing
    assert totals_of(run).overall.unsettled <= run.settings.parallel


def test_it_holds_to_the_budgets_of_the_run_and_goes_on_with_a_larger_one(run: Run) -> None:
    done = reproduce(run, "more-steps", "--budget", "20s")
    assert done.returncode == 3 and done.stderr.count("\n") == 1
    assert "the budget of 20s has no room for a run of the experiment" in done.stderr
    assert f"[autoresearch reproduce {run.folder.name} more-steps]" in done.stderr
    assert reproduce(run, "more-steps").returncode == 3  # as `resume`: it counts from then on
    assert not list(run.folder.glob("reproductions/*/result.json"))
    more = reproduce(run, "more-steps", "--budget", "1h")
    assert more.returncode == 0, more.stderr
    assert [each.name for each in (run.folder / "reproductions").iterdir()] == ["00-more-steps"]


def test_a_run_that_another_process_holds_is_left_alone(run: Run) -> None:
    with run.locked():
        done = reproduce(run, "more-steps")
    assert done.returncode == 2 and f"worked on by process {os.getpid()}" in done.stderr
    assert not (run.folder / "reproductions").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (r'^environment = ".*"$', 'environment = "another"', "was another and is now .*same versions"),
        (r"^packages = \[", 'packages = [\n    "ghost==1.0",', r"packages of .* not what .*ghost==1\.0"),
        (r'^name = "none ', 'name = "local ', "ran in local .*would run in none"),
    ],
)  # fmt: skip
def test_in_another_environment_it_is_not_run_and_what_differs_is_said(
    run: Run, old: str, new: str, said: str
) -> None:
    path = run.folder / "run.toml"
    text, count = re.subn(old, new, path.read_text(), flags=re.MULTILINE)
    assert count
    path.write_text(text)
    done = reproduce(run, "more-steps", "--json")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert re.search(f"does not reproduce here: .*{said}", done.stderr)
    answer = json.loads(done.stdout)
    assert answer["holds"] is None and re.search(said, answer["reason"])
    assert not (run.folder / "reproductions").exists()


def test_data_that_are_gone_are_made_again_and_other_data_are_refused(run: Run) -> None:
    shutil.rmtree(run.folder / "data")
    assert reproduce(run, "more-steps", "--seeds", "2").returncode == 0
    assert result_of(run, "00-more-steps").differs == ("the data were made again",)
    path = run.folder / "data" / "private" / "data.json"
    told = json.loads(path.read_text())
    told["labels"] = [label + 1 for label in told["labels"]]
    path.write_text(json.dumps(told))
    done = reproduce(run, "more-steps")
    assert done.returncode == 2 and "are not what they were" in done.stderr
    shutil.rmtree(run.folder / "data")
    recipe = run.task_folder / "data.py"
    recipe.write_text(recipe.read_text().replace("3 * x + 1", "2 * x + 1"))
    done = reproduce(run, "more-steps")
    assert done.returncode == 2 and "are not what they were" in done.stderr
    assert not (run.folder / "data").exists()


def test_claims_of_before_there_were_reproductions_are_still_read(run: Run) -> None:
    path = run.folder / "claims.json"
    told: dict[str, Any] = json.loads(path.read_text())
    for claim in told["claims"]:
        assert claim.pop("reproduce") == f"autoresearch reproduce {run.folder.name} {claim['slug']}"
        assert re.fullmatch("[0-9a-f]{16}", claim.pop("environment"))
    path.write_text(json.dumps(told))
    assert all(claim.environment is None for claim in read(path, Claims).claims)
    shown = autoresearch("show", str(run.folder), cwd=run.folder).stdout
    assert shown.count("autoresearch reproduce") == 1
    assert reproduce(run, "more-steps", "--seeds", "2").returncode == 0


def test_a_self_reported_gain_is_called_that(tmp_path: Path) -> None:
    task = ROOT / "tests" / "tasks" / "template"
    done = autoresearch(
        "run", "--task", str(task), "--model", "offline", "--sandbox", "none", "--rounds", "1",
        "--ideas", "2", "--runs", "runs", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = Run(list_runs(tmp_path / "runs")[0])
    claim = read(run.folder / "claims.json", Claims).claims[0]
    again = reproduce(run, claim.slug)
    made = result_of(run, f"00-{claim.slug}")
    assert made.split == "self-reported" and again.stdout.count("(self-reported)") == 2
    assert again.returncode == (0 if made.holds else 1) and "validation" not in again.stdout


# --- the rule -----------------------------------------------------------------------------------


def measured(seed: int, value: float | None, ended: Ended = Ended.exited) -> Measurement:
    ran = EXECUTION.model_copy(update={"ended": ended})
    score = Score(metric="accuracy", split="validation", value=value) if value is not None else None
    return Measurement(seed=seed, execution=ran, score=score)


BASE = (0.80, 0.81, 0.79, 0.80, 0.82)


def floor() -> Floor:
    from autoresearch.config import Settings

    whole = floor_of(
        "c" * 40, tuple(measured(*each) for each in enumerate(BASE)), [*BASE], Settings()
    )
    return whole.model_copy(update={"alpha": LEVEL})


def decided(claimed: float | None, *gains: float) -> Decision:
    pairs = [
        (measured(seed, base + gain), measured(seed, base))
        for seed, (base, gain) in enumerate(zip(BASE, gains, strict=True))
    ]
    return decide(TASK, claimed, pairs, floor())


@pytest.mark.parametrize(
    ("claimed", "gains", "holds", "said"),
    [
        (0.1, (0.1, 0.12, 0.09, 0.1, 0.11), True, "above zero, p = "),
        (0.1, (0.02, 0.03, 0.02, 0.01, 0.02), True, "less than 50% of the claimed"),
        (0.1, (0.01, -0.01, 0.0, 0.01, -0.02), False, "the interval ends below 50%"),
        (0.04, (-0.03, 0.02, -0.02, 0.02, -0.01), False, "ends below the claimed"),
        (0.1, (-0.2, 0.2, -0.1, 0.1, -0.01), None, "give --seeds [12][0-9] to find one of .0.1$"),
        (0.001, (-0.01, 0.01, 0.02, -0.02, -0.001), None, "1000 would not find one of"),
        (0.02, (-0.04, 0.05, 0.04, -0.03, 0.02), None, "give --seeds [1-9][0-9]+ to find one"),
        (0.02, (0.0, 0.0, 0.0, 0.0, 0.0), False, "gain is [+-]0|with every seed"),
        (None, (-0.01, 0.01, 0.02, -0.02, -0.01), False, "none was claimed"),
        (-0.1, (0.05, 0.06, 0.05, 0.04, 0.05), True, "above zero"),
        (-0.1, (0.05, -0.04, 0.03, -0.02, 0.02), None, "give --seeds [0-9]+"),
    ],
)
def test_the_rule_says_holds_does_not_hold_or_how_many_seeds_it_wants(
    claimed: float | None, gains: tuple[float, ...], holds: bool | None, said: str
) -> None:
    found = decided(claimed, *gains)
    assert found.holds is holds and re.search(said, found.reason), found


def test_what_a_limit_ended_or_a_baseline_without_a_score_leaves_undecided() -> None:
    base, lost = measured(1, 0.8), measured(1, None, Ended.timeout)
    assert decide(TASK, 0.1, [(lost, base)], floor()).holds is None
    assert decide(TASK, 0.1, [(measured(1, None), base)], floor()).holds is False
    found = decide(TASK, 0.1, [(base, measured(1, None))], floor())
    assert found.holds is None and "the baseline gives no score with seed 1" in found.reason
