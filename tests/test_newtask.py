"""`task new`: a task that works from the first minute, or the user's own code with what is left to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch.config import SandboxSettings, Settings, load_task
from autoresearch.errors import BadInput
from autoresearch.findings import Finding
from autoresearch.newtask import new_task
from autoresearch.records import Direction
from autoresearch.taskcheck import Wish, check_task

ROOT = Path(__file__).parents[1]


def check(task: Path, quick: bool = True) -> list[Finding]:
    settings = Settings(task=str(task), sandbox=SandboxSettings(kind="local"))
    return list(check_task(settings, Wish(quick), lambda doing: None))


def project(folder: Path) -> Path:
    """A small project as people have them."""
    code = folder / "project"
    for name, text in {
        "fit.py": "import numpy as np\nfrom sklearn import svm\nimport json, helpers\n\nif __name__ == '__main__':\n    open('iris.csv')\n",
        "helpers.py": "import yaml_that_nobody_has\n",
        "tests/test_fit.py": "import fit\n\nif __name__ == '__main__':\n    pass\n",
        "data/iris.csv": "a,b\n1,2\n",
        ".env": "KEY=1\n",
        "server.pem": "KEY\n",
        ".git/HEAD": "ref\n",
        "__pycache__/fit.pyc": "x",
        "my-env/pyvenv.cfg": "home = /usr\n",
        "my-env/lib/thing.py": "x = 1\n",
        "weights.ckpt": "w" * 3_000_000,
    }.items():
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(text)
    (code / "elsewhere.py").symlink_to("/etc/hostname")
    return code


@pytest.mark.parametrize(("metric", "direction"), [("accuracy", "maximize"), ("rmse", "minimize")])
def test_an_untouched_example_passes_and_says_what_is_to_be_filled_in(
    metric: str, direction: str, tmp_path: Path
) -> None:
    said = list(new_task(tmp_path / "mine", None, metric, None))
    assert said[0] == f"made {tmp_path / 'mine'} ({direction} {metric})"
    assert said[-1] == f"  3. autoresearch task check {tmp_path / 'mine'}"
    task = load_task(tmp_path / "mine")
    assert (task.metric, task.direction) == (metric, direction)
    findings = check(tmp_path / "mine", quick=metric != "accuracy")
    assert [f.what for f in findings if f.level != "ok"] == [
        "task.toml, line 4, still says YOUR TOPIC HERE",
        "task.toml, line 6, still says YOUR GOAL HERE",
        "data.py, line 32, still says YOUR DATA HERE",
    ]


@pytest.mark.parametrize("metric", ["accuracy", "error", "mse", "mae", "rmse", "f1"])
def test_no_variant_has_left_overs_of_the_template(metric: str, tmp_path: Path) -> None:
    list(new_task(tmp_path / "mine", None, metric, Direction.maximize if metric == "f1" else None))
    for path in (tmp_path / "mine").rglob("*.*"):
        text = path.read_text()
        assert "# [" not in text and "@" not in text.replace("e.g. @", ""), path
        assert ("YOUR METRIC HERE" in text) == (metric == "f1" and path.name == "score.py")
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F,E9", str(tmp_path)]
    assert subprocess.run(ruff, capture_output=True).returncode == 0


def test_code_is_taken_over_without_what_is_no_code(tmp_path: Path) -> None:
    code = project(tmp_path)
    before = sorted(path.name for path in code.rglob("*"))
    said = "\n".join(new_task(code / "my-task", code, "accuracy", None))
    task = code / "my-task"
    copied = sorted(str(p.relative_to(task)) for p in task.rglob("*") if p.is_file())
    assert copied == [
        "README.md", "baseline/fit.py", "baseline/helpers.py", "baseline/tests/test_fit.py", "data.py",
        "raw/data/iris.csv", "raw/weights.ckpt", "requirements.txt", "score.py", "task.toml",
    ]  # fmt: skip
    for reason in (
        ".git/ (hidden)", "__pycache__/ (made by a tool)", "my-env/ (a virtual environment)", ".env (hidden)",
        "elsewhere.py (a link)", "server.pem (may hold a secret)",
        "command     python fit.py", "pin these   yaml_that_nobody_has", "raw/        weights.ckpt, data/iris.csv",
    ):  # fmt: skip
        assert reason in said, (reason, said)
    found = load_task(task)
    assert found.command == ("python", "fit.py") and found.editable == ("**/*.py",)
    requirements = (task / "requirements.txt").read_text().split()
    assert [line.split("==")[0] for line in requirements] == [
        "numpy", "scikit-learn", "yaml_that_nobody_has",
    ]  # fmt: skip
    assert sum("==" in line for line in requirements) == 2
    assert sorted(p.name for p in code.rglob("*") if "my-task" not in str(p)) == before


def test_code_that_was_not_adapted_is_told_what_to_do_not_a_traceback(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("print('accuracy', 0.9)\n")
    list(new_task(tmp_path / "mine", script, "accuracy", None))
    lines = [line for finding in check(tmp_path / "mine") for line in finding.lines()]
    for expected in (
        'warning: nothing under baseline/ mentions DATA; read the data from the folder os.environ["DATA"]',
        'warning: nothing under baseline/ mentions OUT; write the predictions to the folder os.environ["OUT"]',
        'warning: nothing under baseline/ mentions SEED; take all randomness from int(os.environ["SEED"])',
        "error: the baseline gave no score: predictions refused: predictions.csv is missing: the experiment "
        "must write it to $OUT; mend the baseline, or what reads its score",
    ):
        assert expected in lines, lines


def test_its_own_requirements_are_kept_and_what_is_not_pinned_is_said(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.py").write_text("import torch\n")
    (tmp_path / "code" / "requirements.txt").write_text("numpy==2.0\nscipy>=1  # new\n")
    said = "\n".join(new_task(tmp_path / "mine", tmp_path / "code", "val_loss", Direction.minimize))
    assert (tmp_path / "mine" / "requirements.txt").read_text() == "numpy==2.0\nscipy>=1  # new\n"
    assert "pin these   scipy>=1:" in said
    assert "score.py: compute val_loss, at YOUR METRIC HERE" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["there"], "there is there already: name a folder"),
        (["new", "--from", "nowhere"], "--from nowhere: there is no such file"),
        (["new", "--from", "empty"], "empty holds no code"),
        (["new", "--metric", "f1"], "--metric f1 is not known here: add --direction"),
        (
            ["new", "--metric", "mse", "--direction", "maximize"],
            "mse is minimized: leave --direction",
        ),
        (["new", "--metric", 'x"y'], "a name such as accuracy"),
    ],
)
def test_what_cannot_be_made_leaves_nothing(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("mine")
    done = subprocess.run(
        [sys.executable, "-m", "autoresearch", "task", "new", *arguments],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "file", "there"]
    with pytest.raises(BadInput):
        list(new_task(tmp_path / "there", None, "accuracy", None))
