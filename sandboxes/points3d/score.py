"""Score an experiment's classes on one split of the pool. Trusted: runs nothing of the experiment's.

Reads $PREDICTIONS/predictions.csv and the labels in $PRIVATE; $SPLIT is "validation" or "test".
Writes $OUT/score.json: {"value": accuracy, "examples": [0.0 or 1.0 a row, in the pool's order]},
or {"refused": "why"} when the predictions cannot be scored. One call scores one split, so that the
test score is not computed before it is asked for.
"""

import json
import os
import re
import stat
from pathlib import Path

import numpy as np

NAME = "predictions.csv"
HEADER = "row,label"
LARGEST_FILE = 1_000_000  # bytes; an honest line has about ten


class Refused(Exception):
    """The predictions cannot be scored; the message says why."""


def read_file(path: Path) -> str:
    """The text of a regular file of a bounded size: no link, device or pipe is followed or opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise Refused(f"{NAME} is missing: the experiment must write it to $OUT") from None
    except OSError as error:
        raise Refused(f"{NAME} cannot be opened: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Refused(f"{NAME} is not a regular file")
        content = b""
        while len(content) <= LARGEST_FILE and (block := os.read(descriptor, 65536)):
            content += block
    finally:
        os.close(descriptor)
    if len(content) > LARGEST_FILE:
        raise Refused(f"{NAME} is larger than {LARGEST_FILE:,} bytes")
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise Refused(f"{NAME} is not plain text") from None


def read_label(line: str, row: int, classes: int) -> int:
    """The label of the line that must be about `row`."""
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) != 2 or cells[0] != str(row):
        raise Refused(f"line {row + 2}: expected `{row},label`, found {line[:40]!r}")
    if not re.fullmatch(r"[0-9]{1,3}", cells[1]) or int(cells[1]) >= classes:
        raise Refused(
            f"row {row}: a label is an integer from 0 to {classes - 1}, not {cells[1][:40]!r}"
        )
    return int(cells[1])


def read_predictions(path: Path, rows: int, classes: int) -> np.ndarray:
    """One label a row of the pool, in order; raises Refused."""
    header, *lines = read_file(path).strip().splitlines() or [""]
    if header.replace(" ", "") != HEADER:
        raise Refused(f"the first line must be {HEADER!r}, found {header[:40]!r}")
    if len(lines) != rows:
        raise Refused(f"{len(lines)} predictions for a pool of {rows}")
    return np.array([read_label(line, row, classes) for row, line in enumerate(lines)])


def score(predictions: Path, private: Path, split: str) -> dict[str, object]:
    """The answer of this scorer, as it goes into score.json."""
    labels = np.load(private / "pool_labels.npy", allow_pickle=False)
    is_test = np.load(private / "pool_is_test.npy", allow_pickle=False)
    chosen = {"validation": ~is_test, "test": is_test}[split]
    try:
        given = read_predictions(predictions / NAME, len(labels), int(labels.max()) + 1)
    except Refused as refusal:
        return {"refused": str(refusal)}
    correct = (given == labels)[chosen]
    return {"value": float(correct.mean()), "examples": [float(example) for example in correct]}


def main() -> None:
    environ = os.environ
    result = score(Path(environ["PREDICTIONS"]), Path(environ["PRIVATE"]), environ["SPLIT"])
    (Path(environ["OUT"]) / "score.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
