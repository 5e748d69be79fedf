"""The shipped task: its recipe, its baseline and its scorer, run as the harness runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from autoresearch.config import load_task

TASK = Path(__file__).parents[1] / "sandboxes" / "digits"
POOL = 1557


def run(script: Path, **variables: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {name: str(value) for name, value in variables.items()}
    command = [sys.executable, str(script)]
    return subprocess.run(
        command, env=environment, cwd=script.parent, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data")
    assert run(TASK / "data.py", OUT=out).returncode == 0
    return out


def score(data: Path, predictions: Path, out: Path, split: str = "validation") -> dict[str, object]:
    out.mkdir(exist_ok=True)
    private = data / "private"
    ended = run(TASK / "score.py", PREDICTIONS=predictions, PRIVATE=private, SPLIT=split, OUT=out)
    assert ended.returncode == 0, ended.stderr
    assert [path.name for path in out.iterdir()] == ["score.json"]
    found: dict[str, object] = json.loads((out / "score.json").read_text())
    return found


def lines_for(labels: np.ndarray) -> list[str]:
    return ["row,label", *(f"{row},{label}" for row, label in enumerate(labels))]


def test_the_task_file_loads_and_asks_for_five_seeds() -> None:
    task = load_task(TASK)
    assert (task.seeds, task.metric, task.limits.timeout) == (5, "accuracy", 120.0)
    assert task.limits.memory == 2 * 2**30


def test_the_recipe_gives_the_same_bytes_twice(data: Path, tmp_path: Path) -> None:
    assert run(TASK / "data.py", OUT=tmp_path).returncode == 0
    files = sorted(path.relative_to(data) for path in data.rglob("*.*"))
    assert len(files) == 5
    for file in files:
        assert (data / file).read_bytes() == (tmp_path / file).read_bytes()


def test_the_pool_hides_which_rows_are_validation_and_which_are_test(data: Path) -> None:
    assert sorted(path.name for path in (data / "public").iterdir()) == [
        "pool_images.npy",
        "train_images.npy",
        "train_labels.npy",
    ]
    images = np.load(data / "public" / "pool_images.npy", allow_pickle=False)
    is_test = np.load(data / "private" / "pool_is_test.npy", allow_pickle=False)
    assert images.shape == (POOL, 8, 8)
    assert is_test.sum() == POOL // 2
    changes = np.abs(np.diff(is_test.astype(int))).sum()
    assert POOL * 0.4 < changes < POOL * 0.6  # mixed, not in blocks and not alternating
    brightness = images.mean(axis=(1, 2))
    assert abs(brightness[is_test].mean() - brightness[~is_test].mean()) < 0.2


def test_no_training_image_is_in_the_pool(data: Path) -> None:
    training = np.load(data / "public" / "train_images.npy").reshape(240, -1)
    pool = np.load(data / "public" / "pool_images.npy").reshape(POOL, -1)
    assert not {row.tobytes() for row in training} & {row.tobytes() for row in pool}


def test_the_baseline_leaves_headroom_and_its_seeds_differ(data: Path, tmp_path: Path) -> None:
    values = []
    for seed in range(3):
        out = tmp_path / str(seed)
        out.mkdir()
        ended = run(TASK / "baseline" / "train.py", DATA=data / "public", OUT=out, SEED=seed)
        assert ended.returncode == 0, ended.stderr
        values.append(score(data, out, tmp_path / f"score-{seed}")["value"])
    assert all(isinstance(value, float) and 0.8 < value < 0.92 for value in values)
    assert len(set(values)) == 3


def test_the_baseline_repeats_itself_with_the_same_seed(data: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        script = TASK / "baseline" / "train.py"
        assert run(script, DATA=data / "public", OUT=tmp_path / name, SEED=7).returncode == 0
    first, second = (tmp_path / name / "predictions.csv" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_one_call_scores_one_split_with_a_number_for_each_of_its_rows(
    data: Path, tmp_path: Path
) -> None:
    labels = np.load(data / "private" / "pool_labels.npy")
    is_test = np.load(data / "private" / "pool_is_test.npy")
    labels[np.flatnonzero(is_test)] = (labels[is_test] + 1) % 10  # wrong in every test row
    wrong = np.flatnonzero(~is_test)[5]
    labels[wrong] = (labels[wrong] + 1) % 10
    (tmp_path / "predictions.csv").write_text("\n".join(lines_for(labels)))
    validation = score(data, tmp_path, tmp_path / "v")
    test = score(data, tmp_path, tmp_path / "t", "test")
    examples = validation["examples"]
    assert isinstance(examples, list)
    assert [row for row, right in enumerate(examples) if right == 0.0] == [5]
    assert validation["value"] == pytest.approx(1 - 1 / len(examples))
    assert test == {"value": 0.0, "examples": [0.0] * (POOL // 2)}
    assert len(examples) == POOL - POOL // 2


def edited(row: int, line: str) -> list[str]:
    lines = lines_for(np.zeros(POOL, dtype=int))
    lines[row + 1] = line
    return lines


@pytest.mark.parametrize(
    "lines, said",
    [
        ([], "first line"),
        (lines_for(np.zeros(POOL - 1, dtype=int)), "1556 predictions for a pool of 1557"),
        (lines_for(np.zeros(POOL + 1, dtype=int)), "1558 predictions"),
        (["label,row", *lines_for(np.zeros(POOL, dtype=int))[1:]], "first line"),
        (edited(3, "3,nan"), "row 3"),
        (edited(3, "3,10"), "row 3"),
        (edited(3, "3,-1"), "row 3"),
        (edited(3, "3,4.0"), "row 3"),
        (edited(3, "3," + "9" * 5000), "row 3"),
        (edited(3, "3,"), "row 3"),
        (edited(3, "4,1"), "line 5"),
        (edited(3, "3,1,1"), "line 5"),
        (edited(3, "3,\u0661"), "plain text"),
        (["row,label", *["0,0"] * 300_000], "larger than"),
    ],
)  # fmt: skip
def test_bad_predictions_are_refused_with_a_reason(
    lines: list[str], said: str, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "predictions.csv").write_text("\n".join(lines))
    refused = str(score(data, tmp_path, tmp_path / "out")["refused"])
    assert said in refused
    assert "\n" not in refused and len(refused) < 200


def test_a_missing_file_a_link_a_pipe_and_a_folder_are_refused(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "predictions.csv"
    assert "missing" in str(score(data, tmp_path, tmp_path / "out"))
    target = tmp_path / "target"
    target.write_text("\n".join(lines_for(np.zeros(POOL, dtype=int))))
    file.symlink_to(target)
    assert "cannot be opened" in str(score(data, tmp_path, tmp_path / "out"))
    file.unlink()
    os.mkfifo(file)
    assert "not a regular file" in str(score(data, tmp_path, tmp_path / "out"))
    file.unlink()
    file.mkdir()
    assert "refused" in score(data, tmp_path, tmp_path / "out")


def test_code_that_the_experiment_left_is_not_run(data: Path, tmp_path: Path) -> None:
    for name in ("json.py", "numpy.py", "csv.py", "sitecustomize.py", "score.py"):
        (tmp_path / name).write_text("raise SystemExit('ran')")
    (tmp_path / "predictions.csv").write_text("\n".join(lines_for(np.zeros(POOL, dtype=int))))
    assert "value" in score(data, tmp_path, tmp_path / "out")
