"""Nonsense made out of sound predictions, in every format that is taken apart."""

import json
from pathlib import Path

import numpy as np
import pytest

from autoresearch.nonsense import cases, prediction_files, risky_calls, same_bytes, spoil

CASES = {case.name: case for case in cases()}


def spoiled(folder: Path, name: str, content: bytes, case: str) -> bytes | None:
    sound = folder / "sound"
    sound.mkdir(exist_ok=True)
    (sound / name).write_bytes(content)
    if not spoil(sound, folder / "spoiled", [sound / name], CASES[case]):
        return None
    return (folder / "spoiled" / name).read_bytes()


def test_a_table_keeps_its_keys_and_header(tmp_path: Path) -> None:
    lines = ["row,label", *(f"{i},{i % 3}" for i in range(30))]
    table = "\n".join(lines).encode()

    def rows(case: str) -> list[str]:
        return (spoiled(tmp_path, "p.csv", table, case) or b"").decode().split()

    shuffled = rows("shuffled predictions")
    assert shuffled[0] == "row,label" and shuffled != lines
    assert [line.split(",")[0] for line in shuffled] == [line.split(",")[0] for line in lines]
    assert sorted(line[-1] for line in shuffled) == sorted(line[-1] for line in lines)
    assert rows("one prediction for all rows")[1:] == [f"{i},0" for i in range(30)]
    assert rows("half of the rows") == lines[:16]
    assert rows("more rows than the pool has")[31:] == [f"{30 + i},{i % 3}" for i in range(7)]
    assert rows("NaN in every row")[1:3] == ["0,nan", "1,nan"]
    assert rows("a wrong header") == ["x0,x1", *lines[1:]]
    assert rows("values out of any range in every third row")[1:3] == ["0,1000000000", "1,1"]


def test_a_list_a_mapping_and_an_array_are_shuffled(tmp_path: Path) -> None:
    values = [i / 7 for i in range(20)]
    listed = spoiled(tmp_path, "p.json", json.dumps(values).encode(), "shuffled predictions")
    assert listed is not None and sorted(json.loads(listed)) == values != json.loads(listed)
    mapped = {f"k{i}": value for i, value in enumerate(values)}
    found = spoiled(tmp_path, "m.json", json.dumps(mapped).encode(), "shuffled predictions")
    assert found is not None and list(json.loads(found)) == list(mapped)
    assert sorted(json.loads(found).values()) == values != list(json.loads(found).values())
    (tmp_path / "sound").mkdir(exist_ok=True)
    np.save(tmp_path / "sound" / "p.npy", np.eye(6, 3))
    array = (tmp_path / "sound" / "p.npy").read_bytes()
    assert spoiled(tmp_path, "p.npy", array, "shuffled predictions") != array
    turned = np.load(tmp_path / "spoiled" / "p.npy")
    assert turned.shape == (6, 3) and turned.sum() == 3


@pytest.mark.parametrize("name", ["p.bin", "p.json", "p.npy", "p.csv"])
def test_what_cannot_be_taken_apart_is_only_damaged_as_a_whole(name: str, tmp_path: Path) -> None:
    assert spoiled(tmp_path, name, b"\x93NUMPY not what it says", "shuffled predictions") is None
    assert spoiled(tmp_path, name, b"whatever", "an empty file") == b""


def test_the_files_that_the_scorer_names_are_the_predictions(tmp_path: Path) -> None:
    for name in ("log.txt", "predictions.json"):
        (tmp_path / name).write_text("x")
    named = prediction_files(tmp_path, 'open(folder / "predictions.json")')
    assert [path.name for path in named] == ["predictions.json"]
    assert len(prediction_files(tmp_path, "glob('*')")) == 2
    assert same_bytes(tmp_path, tmp_path) == []


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("value = eval(text)", "eval"),
        ("exec(text)", "exec"),
        ("rows = pickle.load(file)", "pickle.load"),
        ("rows = joblib.load(path)", "joblib.load"),
        ("rows = np.load(path, allow_pickle=True)", "np.load(allow_pickle=True)"),
        ("rows = pandas.read_pickle(path)", "pandas.read_pickle"),
        ("os.system(text)", "os.system"),
        ("subprocess.run([path])", "subprocess.run"),
        ("rows = np.load(path, allow_pickle=False)", None),
        ("rows = json.loads(text)", None),
        ("model.eval()", None),
        ("pattern = re.compile(text)", None),
    ],
)
def test_calls_that_could_run_a_prediction_file_are_seen_in_the_source(
    line: str, name: str | None
) -> None:
    assert risky_calls(f"import os\n{line}\n") == ([(2, name)] if name else [])
