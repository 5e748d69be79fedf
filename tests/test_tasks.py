"""The tasks with torch: recipes, scorers and full-size variants, and a whole run in each sandbox."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from autoresearch.assembly import open_lab, start
from autoresearch.config import SandboxSettings, Settings, find_task, load_task
from autoresearch.errors import BadInput
from autoresearch.prompts import shipped
from autoresearch.sandbox.shelf import Shelf
from autoresearch.sandbox.venvs import local_environment
from tests import full_size
from tests.engine import TASKS, docker_or_skip, torch_image

SMALL = ("image2d", "points3d", "sentiment")
TRAINING = {"image2d": 500, "points3d": 500, "sentiment": 2000}
POOL = {"image2d": 4000, "points3d": 3000, "sentiment": 8070}
BASELINE = {"image2d": (0.84, 0.93), "points3d": (0.55, 0.66), "sentiment": (0.68, 0.74)}
EPOCHS = {"image2d": 20, "points3d": 30, "sentiment": 8}


def run(script: Path, **variables: object) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "SOURCE"}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1"} | {k: str(v) for k, v in variables.items()}
    command = [sys.executable, str(script)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def made(script: Path, out: Path, **variables: object) -> Path:
    """The folder that a recipe filled."""
    ended = run(script, OUT=out, **variables)
    assert ended.returncode == 0, ended.stderr
    return out


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    return {name: made(TASKS / name / "data.py", folder / name) for name in SMALL}


def rows_of(folder: Path) -> list[bytes]:
    """The rows of the training data, then those of the pool, without labels."""
    arrays = [p for name in ("train", "pool") for p in folder.glob(f"{name}_*s.npy") if "labels" not in p.name]  # fmt: skip
    if arrays:
        return [row.tobytes() for path in arrays for row in np.load(path, allow_pickle=False)]
    tables = [folder / "train.csv", folder / "pool.csv"]
    return [line.partition(b",")[2] for t in tables for line in t.read_bytes().splitlines()[1:]]


# --- recipes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_a_recipe_gives_the_same_bytes_twice(
    name: str, data: dict[str, Path], tmp_path: Path
) -> None:
    again = made(TASKS / name / "data.py", tmp_path)
    files = sorted(path.relative_to(again) for path in again.rglob("*.*"))
    assert len(files) >= 4
    for file in files:
        assert (data[name] / file).read_bytes() == (again / file).read_bytes()


@pytest.mark.parametrize("name", SMALL)
def test_the_public_data_has_no_labels_of_the_pool_and_shares_no_row_with_it(
    name: str, data: dict[str, Path]
) -> None:
    public, private = data[name] / "public", data[name] / "private"
    labels = np.load(private / "pool_labels.npy", allow_pickle=False)
    is_test = np.load(private / "pool_is_test.npy", allow_pickle=False)
    rows = rows_of(public)
    assert len(labels) == len(is_test) == POOL[name]
    assert len(rows) == len(set(rows)) == TRAINING[name] + POOL[name]
    for path in public.glob("*.npy"):
        found = np.load(path, allow_pickle=False)
        assert len(found) == (TRAINING if path.name.startswith("train") else POOL)[name]
    assert {p.name for p in public.iterdir() if "label" in p.name} <= {"train_labels.npy"}
    header, *lines = (public / "pool.csv").read_text().splitlines() if name == "sentiment" else [""]
    assert header in ("", "row,text")
    assert [line.partition(",")[0] for line in lines] == [str(row) for row in range(len(lines))]


@pytest.mark.parametrize("name", SMALL)
def test_validation_and_test_rows_are_mixed_and_the_classes_are_even(
    name: str, data: dict[str, Path]
) -> None:
    labels = np.load(data[name] / "private" / "pool_labels.npy")
    is_test = np.load(data[name] / "private" / "pool_is_test.npy")
    assert is_test.sum() == len(is_test) // 2
    assert 0.45 < np.abs(np.diff(is_test.astype(int))).mean() < 0.55
    shares = [np.bincount(labels[part]) / part.sum() for part in (is_test, ~is_test)]
    assert np.abs(shares[0] - shares[1]).max() < 0.03
    assert max(map(max, shares)) < 1.35 / len(shares[0])


def test_the_images_are_scans_of_ink_and_not_of_noise(data: dict[str, Path]) -> None:
    images = np.load(data["image2d"] / "public" / "train_images.npy")
    assert images.dtype == np.uint8 and images.max() == 255
    inked = images > 0
    assert inked[:, 0].mean() < 0.01 < 0.1 < inked[:, 6:22, 6:22].mean() < 0.6


def test_the_clouds_are_centred_in_a_unit_sphere(data: dict[str, Path]) -> None:
    clouds = np.load(data["points3d"] / "public" / "train_points.npy")
    assert clouds.shape == (500, 128, 3) and clouds.dtype == np.float32
    assert np.abs(clouds.mean(1)).max() < 0.01
    assert np.abs(np.linalg.norm(clouds, axis=2).max(1) - 1).max() < 0.01


# --- scorers ------------------------------------------------------------------------------------


def score(name: str, data: Path, text: str, folder: Path, split: str = "validation") -> dict[str, object]:  # fmt: skip
    out = folder / split
    out.mkdir()
    (folder / "predictions.csv").write_text(text)
    script = TASKS / name / "score.py"
    ended = run(script, PREDICTIONS=folder, PRIVATE=data / "private", SPLIT=split, OUT=out)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, object] = json.loads((out / "score.json").read_text())
    return found


def lines_for(labels: np.ndarray) -> str:
    return "row,label\n" + "".join(f"{row},{label}\n" for row, label in enumerate(labels))


def test_there_is_one_scorer_and_each_task_has_its_own_copy() -> None:
    copies = [*TASKS.glob("*/score.py"), *TASKS.glob("*/full/score.py")]
    texts = {path.read_bytes() for path in copies if path.parent.name != "digits"}
    assert len(copies) == 7 and len(texts) == 1


def test_one_call_scores_one_split(data: dict[str, Path], tmp_path: Path) -> None:
    labels = np.load(data["sentiment"] / "private" / "pool_labels.npy")
    is_test = np.load(data["sentiment"] / "private" / "pool_is_test.npy")
    given = lines_for(np.where(is_test, 1 - labels, labels))
    right = score("sentiment", data["sentiment"], given, tmp_path)
    assert right == {"value": 1.0, "examples": [1.0] * (POOL["sentiment"] // 2)}
    wrong = score("sentiment", data["sentiment"], given, tmp_path, "test")
    assert wrong == {"value": 0.0, "examples": [0.0] * (POOL["sentiment"] // 2)}


@pytest.mark.parametrize(
    "name, old, new, said",
    [
        ("sentiment", "row,label\n", "", "first line"),
        ("sentiment", "\n9,0\n", "\n9,2\n", "from 0 to 1"),
        ("sentiment", "\n9,0\n", "\n9,0.5\n", "row 9"),
        ("points3d", "\n9,0\n", "\n9,10\n", "from 0 to 9"),
        ("points3d", "\n9,0\n", "\n", "2999 predictions for a pool of 3000"),
        ("image2d", "\n9,0\n", "\n9,nan\n", "row 9"),
        ("image2d", "\n9,0\n", "\n8,0\n", "line 11"),
    ],
)  # fmt: skip
def test_bad_predictions_are_refused_with_a_reason(
    name: str, old: str, new: str, said: str, data: dict[str, Path], tmp_path: Path
) -> None:
    text = lines_for(np.zeros(POOL[name], dtype=int)).replace(old, new, 1)
    assert said in str(score(name, data[name], text, tmp_path)["refused"])


# --- full size ----------------------------------------------------------------------------------

FULL = {
    "image2d": (full_size.cifar100, "cifar-100-binary/train.bin", "no train.bin and test.bin"),
    "points3d": (full_size.modelnet40, "modelnet40_train.txt", "lacks modelnet40_shape_names.txt"),
    "sentiment": (full_size.sst2, "bert-base-uncased/vocab.txt", "lacks bert-base-uncased/vocab.txt"),
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_a_full_recipe_splits_a_data_set_in_its_real_format(name: str, tmp_path: Path) -> None:
    source = FULL[name][0](tmp_path / "source")
    script = TASKS / name / "full" / "data.py"
    first, second = (made(script, tmp_path / part, SOURCE=source) for part in ("a", "b"))
    for path in (path for path in first.rglob("*") if path.is_file()):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()
    labels = np.load(first / "private" / "pool_labels.npy")
    is_test = np.load(first / "private" / "pool_is_test.npy")
    assert len(labels) == len(is_test) and {True, False} == set(is_test.tolist())
    rows = rows_of(first / "public")  # the training data's first
    assert len(rows) > len(labels) and not set(rows[: -len(labels)]) & set(rows[-len(labels) :])


def test_labels_stay_with_their_rows_in_the_full_recipes(tmp_path: Path) -> None:
    images = made(TASKS / "image2d/full/data.py", tmp_path / "i", SOURCE=full_size.cifar100(tmp_path / "c"))  # fmt: skip
    red = np.load(images / "public" / "pool_images.npy")[:, 0, 0, 0]
    assert (red == np.load(images / "private" / "pool_labels.npy")).all()
    assert np.load(images / "private" / "pool_is_test.npy").sum() == 30
    texts = made(TASKS / "sentiment/full/data.py", tmp_path / "t", SOURCE=full_size.sst2(tmp_path / "s"))  # fmt: skip
    pool = (texts / "public" / "pool.csv").read_text().splitlines()[1:]
    first_words = [line.partition(",")[2].split()[0] for line in pool]
    labels = np.load(texts / "private" / "pool_labels.npy").tolist()
    assert [len(word) % 2 for word in first_words] == labels and len(set(labels)) == 2


def test_no_training_phrase_of_the_full_sentences_is_a_part_of_one_held_out(tmp_path: Path) -> None:
    source = full_size.sst2(tmp_path / "source")
    out = made(TASKS / "sentiment" / "full" / "data.py", tmp_path / "out", SOURCE=source)
    training = [line.partition(",")[2] for line in (out / "public" / "train.csv").read_text().splitlines()[1:]]  # fmt: skip
    pool = [line.partition(",")[2] for line in (out / "public" / "pool.csv").read_text().splitlines()[1:]]  # fmt: skip
    assert len(pool) == 20 and len(training) > 30
    assert not [t for t in training for p in pool if f" {t} " in f" {p} "]


@pytest.mark.parametrize("name", SMALL)
def test_a_full_recipe_says_what_is_missing(name: str, tmp_path: Path) -> None:
    make, file, said = FULL[name]
    script = TASKS / name / "full" / "data.py"
    ended = run(script, OUT=tmp_path / "out")
    assert ended.returncode == 1 and "--data" in ended.stderr and "Traceback" not in ended.stderr
    (make(tmp_path / "source") / file).unlink()
    ended = run(script, OUT=tmp_path / "out", SOURCE=tmp_path / "source")
    assert ended.returncode == 1 and said in ended.stderr and ended.stderr.count("\n") == 1


def test_files_of_another_format_are_refused_in_one_line(tmp_path: Path) -> None:
    images = full_size.cifar100(tmp_path / "images") / "cifar-100-binary" / "train.bin"
    images.write_bytes(images.read_bytes()[:-1])
    clouds = full_size.modelnet40(tmp_path / "clouds") / "xbox" / "xbox_0003.txt"
    clouds.write_text("OFF\n8 6 0\n")
    table = full_size.sst2(tmp_path / "sentences") / "SST-2" / "dev.tsv"
    table.write_text("index\tsentence\n0\tuneasy mishmash\n")
    for name, source in zip(SMALL, ("images", "clouds", "sentences"), strict=True):
        ended = run(TASKS / name / "full" / "data.py", OUT=tmp_path, SOURCE=tmp_path / source)
        assert ended.returncode == 1 and ended.stderr.count("\n") == 1, ended.stderr


def test_a_variant_is_found_under_its_task_and_named_after_both() -> None:
    task = load_task(find_task("image2d/full", shipped("sandboxes")))
    assert (task.name, task.limits.gpus) == ("image2d-full", 1)
    assert load_task(find_task("image2d", shipped("sandboxes"))).name == "image2d"


def test_a_data_folder_that_is_not_there_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    settings = Settings(task="image2d/full", data=tmp_path / "none", runs=tmp_path / "runs")
    with pytest.raises(BadInput, match="no such folder"):
        start(settings)
    assert not (tmp_path / "runs").exists()


# --- with torch ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def python() -> str:
    """The interpreter of the environment that the three tasks share; built where it is not cached."""
    environment = local_environment(TASKS / "image2d", Shelf(SandboxSettings()))
    return f"{environment.reference}/bin/python"


def copied(name: str, folder: Path, **changes: tuple[str, str]) -> Path:
    """A copy of a task with two seeds and these changes of its program's text."""
    task = shutil.copytree(TASKS / name, folder / Path(name).parts[0])
    edits = {"task.toml": [(f"seeds = {n}", "seeds = 2") for n in (3, 5)]}
    edits["baseline/train.py"] = list(changes.values())
    for path, pairs in edits.items():
        text = (task / path).read_text()
        for old, new in pairs:
            assert old in text or old.startswith("seeds"), old
            text = text.replace(old, new)
        (task / path).write_text(text)
    return task


def researched(task: Path, folder: Path, *options: str) -> dict[str, object]:
    """One round of one idea, from the command line, offline; the noise floor that it measured."""
    command = [
        sys.executable,
        "-m",
        "autoresearch",
        "run",
        "--task",
        str(task),
        "--runs",
        str(folder),
    ]
    command += ["--model", "offline", "--rounds", "1", "--ideas", "1", *options]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "baseline  accuracy 0." in ended.stdout
    (floor,) = folder.glob("*/floor.json")
    (practice,) = folder.glob("*/round-00/*/practice.json")
    trial = json.loads(practice.read_text())
    assert trial["measurements"], trial
    assert all(each["score"]["value"] is not None for each in trial["measurements"])
    found: dict[str, object] = json.loads(floor.read_text())
    return found


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", SMALL)
def test_a_whole_run_in_the_local_sandbox_and_its_cassette(
    name: str, python: str, tmp_path: Path
) -> None:
    floor = researched(copied(name, tmp_path), tmp_path / "runs", "--sandbox", "local")
    least, most = BASELINE[name]
    values = [m["score"]["value"] for m in floor["measurements"]]  # type: ignore[attr-defined]
    assert all(least < value < most for value in values) and len(set(values)) == 2
    (folder,) = (tmp_path / "runs").glob("2*")
    command = [sys.executable, "-m", "autoresearch", "cassette", str(folder), str(tmp_path / "run.json.gz")]  # fmt: skip
    assert subprocess.run(command).returncode == 0
    assert (tmp_path / "run.json.gz").stat().st_size < 2_000_000


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", SMALL)
def test_a_whole_run_in_docker_with_a_shortened_baseline(name: str, tmp_path: Path) -> None:
    docker_or_skip()
    short = (f"EPOCHS = {EPOCHS[name]}", "EPOCHS = 2")
    options = ["--sandbox", "docker", "--set", f"sandbox.image={torch_image()}"]
    researched(copied(name, tmp_path, short=short), tmp_path / "runs", *options)


@pytest.mark.parametrize("name", SMALL)
def test_a_baseline_repeats_itself_with_the_same_seed(
    name: str, python: str, data: dict[str, Path], tmp_path: Path
) -> None:
    task = copied(name, tmp_path, short=(f"EPOCHS = {EPOCHS[name]}", "EPOCHS = 1"))
    script, programs = task / "baseline" / "train.py", []
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        environment = {"DATA": str(data[name] / "public"), "OUT": str(tmp_path / part), "SEED": "7"}
        programs.append(subprocess.Popen([python, str(script)], env=environment))
    assert [program.wait() for program in programs] == [0, 0]
    found = [(tmp_path / part / "predictions.csv").read_bytes() for part in ("a", "b")]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "name, changes",
    [
        ("image2d/full", {"a": ("DEPTH = 28", "DEPTH = 10"), "b": ("WIDEN_FACTOR = 10", "WIDEN_FACTOR = 1"), "c": ("EPOCHS = 200", "EPOCHS = 2")}),
        ("points3d/full", {"a": ("EPOCHS = 250", "EPOCHS = 2"), "b": ("CLASSES = 40", "CLASSES = 3")}),
    ],
)  # fmt: skip
def test_a_full_task_runs_in_a_sandbox_on_a_tiny_data_set_that_the_user_names(
    name: str, changes: dict[str, tuple[str, str]], python: str, tmp_path: Path
) -> None:
    task = copied(name, tmp_path, **changes)
    text = (task / "task.toml").read_text().replace("gpus = 1", "gpus = 0")
    (task / "task.toml").write_text(text.replace("seeds = 2", "seeds = 1"))
    shutil.copyfile(TASKS / "image2d" / "requirements.txt", task / "requirements.txt")  # no CUDA
    source = FULL[task.name][0](tmp_path / "source")
    given = Settings.model_validate(
        {"task": str(task), "data": source, "runs": tmp_path / "runs", "sandbox": {"kind": "local"}}
    )
    found = start(given)
    with found.locked():
        assert open_lab(found).floor.mean >= 0


WIDE = """
import sys, torch
sys.path.insert(0, sys.argv[1])
import train
torch.manual_seed(0)
model = train.WideResNet(train.DEPTH, train.WIDEN_FACTOR)
loss = torch.nn.functional.cross_entropy(model(torch.randn(2, 3, 32, 32)), torch.tensor([3, 97]))
loss.backward()
assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
print(sum(p.numel() for p in model.parameters()))
"""


def test_the_wide_residual_network_has_its_published_size_and_a_gradient(python: str) -> None:
    command = [python, "-c", WIDE, str(TASKS / "image2d" / "full" / "baseline")]
    ended = subprocess.run(command, capture_output=True, text=True, env={"OMP_NUM_THREADS": "2"})
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) == 36_536_884  # "36.5M" in the paper
