"""Labels that an experiment could read: every way known of, in real files; and what is no leak."""

import csv
import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autoresearch.findings import Finding
from autoresearch.leaks import find_leaks

ROWS = 200
LABELS = np.random.default_rng(0).integers(0, 4, ROWS)
TARGETS = np.random.default_rng(1).normal(size=ROWS).round(6)
IS_TEST = np.random.default_rng(2).random(ROWS) < 0.5
FEATURES = np.random.default_rng(3).normal(size=(ROWS, 3))
TRAINING = np.random.default_rng(4).normal(size=(120, 3))


def write_csv(path: Path, header: str, *columns: object) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *zip(*columns, strict=True)])


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A sound task's folders: arrays in public, a table in private."""
    for name in ("public", "private", "baseline"):
        (tmp_path / name).mkdir()
    np.save(tmp_path / "public" / "pool.npy", FEATURES)
    np.save(tmp_path / "public" / "train.npy", TRAINING)
    np.save(tmp_path / "public" / "train_labels.npy", np.random.default_rng(5).integers(0, 4, 120))
    split = np.where(IS_TEST, "test", "validation")
    write_csv(tmp_path / "private" / "labels.csv", "row,label,split", range(ROWS), LABELS, split)
    return tmp_path


def errors(task: Path) -> list[str]:
    return [f.what for f in find(task) if f.level == "error"]


def find(task: Path) -> list[Finding]:
    return list(find_leaks(task / "public", task / "private", task / "baseline"))


def pictures(public: Path) -> None:
    """A file a row, its class in the name."""
    (public / "images").mkdir()
    for i, label in enumerate(LABELS):
        (public / "images" / f"{i:04}_{label}.png").write_bytes(bytes([i, int(label)]))


def class_folders(public: Path) -> None:
    for i, label in enumerate(LABELS):
        folder = public / "images" / f"class-{label}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i:04}.png").write_bytes(bytes([i, int(label)]))


def packed(public: Path) -> None:
    with gzip.open(public / "extra.csv.gz", "wt") as file:
        file.write("hint\n" + "\n".join(map(str, LABELS)) + "\n")


NAMES = np.array(["oak", "ash", "elm", "fir"])
LEAKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "an array": (lambda p: np.save(p / "y.npy", LABELS), "public/y.npy: it has the labels"),
    "a part of a longer array": (
        lambda p: np.save(p / "all.npy", np.concatenate([LABELS[:7], LABELS, [1, 2]])), "public/all.npy: it has",
    ),
    "a column of an array": (
        lambda p: np.save(p / "x.npy", np.column_stack([FEATURES, LABELS])), "public/x.npy, column 3: it has",
    ),
    "an archive of arrays": (lambda p: np.savez(p / "d.npz", a=FEATURES, b=LABELS), "public/d.npz: b"),
    "a column of a table": (
        lambda p: write_csv(p / "t.csv", "a,kind", FEATURES[:, 0], LABELS), "public/t.csv, column kind",
    ),
    "a packed table": (packed, "public/extra.csv.gz: it has the labels"),
    "a list in JSON": (
        lambda p: (p / "j.json").write_text(json.dumps({"x": {"y": LABELS.tolist()}})), "public/j.json: x: y",
    ),
    "records in JSON": (
        lambda p: (p / "r.json").write_text(json.dumps([{"id": i, "c": int(v)} for i, v in enumerate(LABELS)])),
        "public/r.json, column c",
    ),
    "lines of text": (lambda p: (p / "l.txt").write_text("\n".join(map(str, LABELS))), "public/l.txt"),
    "plain bytes": (lambda p: (p / "l.weights").write_bytes(b"head" + LABELS.astype("u1").tobytes()), "u1 numbers"),
    "other names for the classes": (
        lambda p: write_csv(p / "t.csv", "tree", NAMES[LABELS]), "each of its values stands for one label",
    ),
    "those of the validation rows": (
        lambda p: np.save(p / "v.npy", LABELS[~IS_TEST]), "it has the labels (those of one split, validation)",
    ),
    "file names": (pictures, "the file names in public/images, column piece 2"),
    "folders": (class_folders, "the file names in public/images/**, column folder"),
    "the private file": (
        lambda p: (p / "copy").write_bytes((p.parent / "private" / "labels.csv").read_bytes()),
        "private/labels.csv is public/copy",
    ),
    "the private file in an archive": (
        lambda p: (p / "a.tar").write_bytes(b"x" * 512 + (p.parent / "private" / "labels.csv").read_bytes()),
        "private/labels.csv is inside of public/a.tar",
    ),
    "the baseline's own folder": (
        lambda p: np.save(p.parent / "baseline" / "y.npy", LABELS), "baseline/y.npy: it has the labels",
    ),
    "pool rows among the training rows": (
        lambda p: np.save(p / "train.npy", np.concatenate([TRAINING, FEATURES[50:90]])),
        "40 of the 200 rows of public/pool.npy are in public/train.npy too",
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", LEAKS)
def test_labels_are_found_in(way: str, task: Path) -> None:
    assert not errors(task)
    leak, expected = LEAKS[way]
    leak(task / "public")
    assert any(expected in each for each in errors(task)), errors(task)


def test_a_column_that_ranks_the_pool_like_its_labels_is_found(task: Path) -> None:
    write_csv(task / "private" / "labels.csv", "row,label", range(ROWS), TARGETS)
    assert not errors(task)
    np.save(task / "public" / "scaled.npy", np.exp(-TARGETS))
    assert any("the order of the labels" in each for each in errors(task))


@pytest.mark.parametrize(
    ("order", "how"),
    [(np.argsort(LABELS), "is sorted"), (np.argsort(-LABELS), "is sorted")],
)
def test_a_pool_in_the_order_of_its_labels_is_found(
    order: np.ndarray, how: str, task: Path
) -> None:
    write_csv(task / "private" / "labels.csv", "row,label", range(ROWS), LABELS[order])
    assert any(f"column label {how}" in each for each in errors(task))


def test_blocks_and_repetitions_are_found(task: Path) -> None:
    file = task / "private" / "labels.csv"
    write_csv(file, "row,label", range(ROWS), NAMES[np.sort(LABELS)])
    assert any("comes in blocks" in each for each in errors(task))
    write_csv(file, "row,label", range(ROWS), np.resize([0, 1, 3, 2, 0], ROWS))
    assert any("repeats every 5 rows" in each for each in errors(task))


def test_a_few_duplicates_are_a_warning_only(task: Path) -> None:
    np.save(task / "public" / "train.npy", np.concatenate([TRAINING, FEATURES[:3]]))
    (found,) = [f for f in find(task) if f.level == "warning"]
    assert found.what == "3 of the 200 rows of public/pool.npy are in public/train.npy too"
    assert found.todo == "drop duplicates in data.py before the split"


def test_the_same_image_for_training_and_in_the_pool_is_found(task: Path) -> None:
    for folder in ("train", "pool"):
        (task / "public" / folder).mkdir()
        (task / "public" / folder / f"{folder}.png").write_bytes(b"the same picture")
    (found,) = [f for f in find(task) if f.level == "warning"]
    assert found.what == "1 files are in public/pool, public/train alike"


def test_row_numbers_keys_and_features_kept_in_private_are_no_leak(task: Path) -> None:
    keys = [f"img-{random.Random(i).random():.9f}" for i in range(ROWS)]
    write_csv(task / "public" / "pool.csv", "row,key,a,b", range(ROWS), keys, *FEATURES.T[:2])
    write_csv(
        task / "private" / "labels.csv", "row,key,a,b,label",
        range(ROWS), keys, *FEATURES.T[:2], LABELS,
    )  # fmt: skip
    assert not errors(task)


def test_where_no_labels_are_recognised_it_says_that_it_could_not_look(task: Path) -> None:
    (task / "private" / "labels.csv").unlink()
    (task / "private" / "labels.parquet").write_bytes(b"PAR1" * 100)
    (found,) = find(task)
    assert found.level == "warning" and "no labels were recognised in private/" in found.what


def test_broken_and_pickled_files_are_not_opened_up(task: Path) -> None:
    public = task / "public"
    np.save(public / "objects.npy", np.array([{"a": 1}] * 20, dtype=object), allow_pickle=True)
    (public / "broken.npz").write_bytes(b"PK\x03\x04 not really")
    (public / "broken.csv.gz").write_bytes(b"\x1f\x8b\x08 not really")
    (public / "deep.json").write_text("[" * 100_000)
    (public / "ragged.csv").write_text("a,b\n" * 10 + "a\n" * 10)
    (found,) = find(task)
    assert found.level == "ok"
    assert found.what == (
        "private/labels.csv, column label not found in public/ (.csv, .gz, .json, .npy and 1 more files "
        "searched as bytes only)"
    )
