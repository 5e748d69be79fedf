"""`task check` finds what makes a task's scores worthless: each fault made on purpose, in a real sandbox."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch import smokecheck, taskcheck
from autoresearch.config import SandboxSettings, Settings
from autoresearch.findings import Finding
from autoresearch.taskcheck import Wish, check_task

ROOT = Path(__file__).parents[1]
SLOPE = ROOT / "tests" / "tasks" / "slope"


def check(task: Path, quick: bool = True, gain: float | None = None) -> list[Finding]:
    settings = Settings(task=str(task), sandbox=SandboxSettings(kind="local"))
    return list(check_task(settings, Wish(quick, gain), lambda doing: None))


def changed(folder: Path, *edits: tuple[str, str, str]) -> Path:
    """A copy of the slope task with edits: a file, what stands there, what stands there then."""
    task = folder / "slope"
    shutil.copytree(SLOPE, task)
    for name, old, new in edits:
        text = (task / name).read_text()
        assert old in text, old
        (task / name).write_text(text.replace(old, new))
    return task


def said(findings: list[Finding], level: str) -> str:
    return "\n".join(line for f in findings if f.level == level for line in f.lines())


def test_a_sound_task_has_no_error() -> None:
    findings = check(SLOPE, quick=False)  # digits is checked in test_wheel.py
    assert not said(findings, "error")
    for part in (
        "same bytes twice",
        "refuses 4 kinds of nonsense\n    | a missing file, an empty file",
        "private/data.json: labels not",
    ):
        assert part in said(findings, "ok")
    assert "the smallest gain found 4 times in 5" in said(findings, "warning")  # it has two seeds


FITTED = "predictions = [slope"
VALUE = 'result = {"value": sum(errors) / len(errors), "examples": errors}'
READING = 'json.loads((Path(os.environ["PREDICTIONS"]) / "predictions.json").read_text())'
# Each: the edits, and what has to be found then, in one check.
FAULTS = {
    "chance in the recipe, the baseline and the scorer": (
        [("data.py", "random.Random(7)", "random.Random()"),
         ("baseline/train.py", "random.Random(seed)", "random.Random()"),
         ("score.py", VALUE, f"import random\n    errors[0] -= random.random()\n    {VALUE}")],
        ["data.py made another private/data.json, public/data.json when it ran again; give every",
         "two runs with the same seed predict differently, scoring -.* and -.*; take all randomness from",
         "score.py scored the same predictions .* and then .*; take all chance out of it"],
    ),
    "a recipe that fails": (
        [("data.py", "points = []", "points = []\nraise KeyError('lost')")],
        [r"data.py: exit code 1: KeyError: 'lost'; mend data.py\n(    \| .*\n)*    \| KeyError: 'lost'"],
    ),
    "labels in public, in a pool in their order, a scorer that evaluates, nothing to edit": (
        [("data.py", "for folder, content", "points[60:] = sorted(points[60:], key=lambda p: p[1])\nfor folder, content"),
         ("data.py", '"train": points[:60],', '"train": points[:60], "y": [y for _, y in points[60:]],'),
         ("score.py", READING, READING.replace("json.loads(", "eval(")),
         ("task.toml", '["*.py"]', '["*.c"]')],
        ["private/data.json: labels can be read from public/data.json: y: it has the labels, in their order",
         "the order of the pool tells the labels: private/data.json: labels is sorted; shuffle",
         "score.py, line 11, calls eval: a prediction file could have it run code; read text",
         r"no file under baseline/ matches editable = \['\*.c'\]; name the files"],
    ),
    "a baseline that fails": (
        [("baseline/train.py", FITTED, f"raise OSError('no luck')\n{FITTED}")],
        [r"the baseline gave no score: exit code 1: OSError: no luck; mend the baseline\n(    \| .*\n)*    \|   File .*train.py"],
    ),
    "a baseline that is slower than its limit": (
        [("task.toml", '"20s"', '"1s"'), ("baseline/train.py", FITTED, f"import time; time.sleep(9)\n{FITTED}")],
        ["the baseline gave no score: killed: ran longer than 1 s: .*; raise timeout in task.toml"],
    ),
    "a baseline that writes another file": (
        [("baseline/train.py", "predictions.json", "forecasts.json")],
        ["the baseline gave no score: predictions refused: predictions.json: .*No such file"],
    ),
    "a scorer that takes half of the rows, in any order, and knows one split": (
        [("score.py", "errors = [", "chosen = [i for i in chosen if i < len(predictions)]\n    errors = ["),
         ("score.py", "    chosen = [i for i, test", "    predictions.sort()\n    chosen = [i for i, test"),
         ("score.py", 'os.environ["SPLIT"] == "test"', "0")],
        ['score.py gives half of the rows a score of .*; have it write {"refused": "why"}',
         "score.py gives shuffled predictions .*, which is no better; compare row by row",
         "score.py says the same of validation and test; score only the rows"],
    ),
    "a scorer whose examples point the other way, without a test split": (
        [("score.py", '"examples": errors', '"examples": [-error for error in errors]'),
         ("score.py", 'int(os.environ["SPLIT"] == "test")', '{"validation": 0}[os.environ["SPLIT"]]')],
        ['its per-example scores say that .*; in "examples" higher is better',
         "score.py works on validation but not with SPLIT=test: the scorer failed .*KeyError: 'test'"],
    ),
    "a scorer that looks at no prediction": (
        [("score.py", "predictions = ", "predictions = private['labels'] or ")],
        ["score.py gives a missing file a score of .*", "score.py gives binary garbage a score of"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_and_said_in_a_line(fault: str, tmp_path: Path) -> None:
    edits, expected = FAULTS[fault]
    errors = said(check(changed(tmp_path, *edits)), "error")
    for line in expected:
        assert re.search(line, errors), (line, errors)


def test_what_is_only_doubtful_is_a_warning(tmp_path: Path) -> None:
    task = changed(
        tmp_path,
        ("baseline/train.py", "random.Random(seed)", "random.Random(0)"),
        ("task.toml", 'topic = "Fitting a line without a library"', 'topic = ""  # YOUR TOPIC HERE'),
    )  # fmt: skip
    (task / "baseline" / "points.csv").write_text("a,b\n" + "1,2\n" * 30)
    findings = check(task)
    warnings = said(findings, "warning")
    for expected in (
        "the baseline gives the same predictions with another seed; where there is any randomness",
        "task.toml, line 2, still says YOUR TOPIC HERE; do what is said there",
        "task.toml has no topic",
        "a row's number tells whether it is validation or test: .* repeats every 2 rows",
        "score.py gives more rows than the pool has a score",
        "score.py gives a link in place of the file a score",
        "score.py breaks down instead of refusing on NaN in every row",
    ):
        assert re.search(f"warning: {expected}", warnings), (expected, warnings)
    assert not said(findings, "error")


OFFERED = ("task.toml", 'timeout = "20s"', 'timeout = "20s"\nsmoke = "2s"')


@pytest.mark.parametrize(
    "program, level, line",
    [
        ("sum(range(0 if 'SMOKE' in os.environ else 30_000_000))", "ok", "the short run with .SMOKE set takes "),
        ("sum(range(30_000_000))", "warning", r"the short run takes [\d.]+ of the whole one's [\d.]+ CPU seconds; do less"),
        ("'SMOKE' in os.environ and 1 / 0", "error", "failed: exit code 1: ZeroDivisionError: .*; mend the baseline"),
        ("'SMOKE' in os.environ and __import__('time').sleep(9)", "error", "failed: killed: ran longer than 2 s: .*; do less"),
    ],
)  # fmt: skip
def test_the_short_run_must_end_well_and_be_worth_making(
    program: str, level: str, line: str, tmp_path: Path
) -> None:
    edit = ("baseline/train.py", "LEARNING_RATE = 0.05", f"{program}\nLEARNING_RATE = 0.05")
    assert re.search(line, said(check(changed(tmp_path, OFFERED, edit)), level))


def test_a_long_run_without_a_short_one_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smokecheck, "LONG", 0.001)
    assert 'offer a short one: smoke = "30s"' in said(check(SLOPE), "warning")


def test_a_baseline_near_its_limits_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taskcheck, "NEAR", 0.0001)
    warnings = said(check(SLOPE), "warning")
    assert re.search(
        r"the baseline takes 0\.\d s of its 20 s; raise timeout in task.toml", warnings
    )
    assert re.search(r"takes .* MiB of its 512.0 MiB of memory; raise memory", warnings)


def test_a_noise_floor_that_hides_every_gain_is_an_error_and_says_what_would_do(
    tmp_path: Path,
) -> None:
    wide = changed(
        tmp_path,
        ("baseline/train.py", "generator.gauss(0, 0.1), generator.gauss(0, 0.1)", "generator.gauss(0, 2), 0"),
        ("task.toml", "seeds = 2", "seeds = 3"),
    )  # fmt: skip
    errors = said(check(wide, quick=False), "error")
    assert re.search(
        r"the smallest gain found 4 times in 5 among 40 ideas is [\d.]+, more than the [\d.]+ looked for "
        r"\(10% of what is left up to a perfect 0; --gain changes it\), and more than is left up to a "
        r"perfect 0; set seeds = \d+ in task.toml",
        errors,
    ) or re.search(r"plan fewer ideas: 100 seeds would still see only [\d.]+", errors), errors


def autoresearch(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    temporary = cwd / "temporary"
    temporary.mkdir()
    return subprocess.run(
        [sys.executable, "-m", "autoresearch", "task", "check", *arguments, "--sandbox", "local", "--quick"],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip


def test_the_exit_code_says_whose_fault_it_is_and_nothing_is_left_behind(tmp_path: Path) -> None:
    for name, arguments, code in (
        ("sound", [str(SLOPE)], 0),
        ("fault", [str(changed(tmp_path, ("data.py", "out = Path", "raise OSError('x')\nout = Path")))], 2),
        ("engine", [str(SLOPE), "--set", "sandbox.python=/no/such/python"], 1),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        done = autoresearch(*arguments, cwd=tmp_path / name)
        assert done.returncode == code, done.stdout + done.stderr
        assert [path.name for path in (tmp_path / name).rglob("*")] == ["temporary"]
        last = (done.stdout or done.stderr).splitlines()[-1]
        assert re.match(
            r"0 to mend, \d+ to think about, \d+ fine|1 to mend|error: no Python", last
        ), last
