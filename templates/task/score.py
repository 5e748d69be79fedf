"""Score an experiment's predictions on one split of the pool. Trusted; runs nothing of the experiment's.

Reads $PREDICTIONS/predictions.csv (a header `row,label`, then the pool's rows in their order) and
$PRIVATE/labels.csv; $SPLIT is "validation" or "test". Writes $OUT/score.json:

    {"value": 0.91, "examples": [1.0, 0.0, ...]}   one number a row of the split, HIGHER IS BETTER
    {"refused": "why"}                             for predictions that cannot be scored

Predictions come from code that nobody has read. Everything about them is checked before it is used.
"""

import csv
import json

# [rmse]
import math

# [all]
import os
import stat
from pathlib import Path

NAME = "predictions.csv"
HEADER = "row,label"
LARGEST_CELL = 100  # characters
# [mse mae rmse]
LARGEST_NUMBER = 1e50
# [all]


class Refused(Exception):
    """The predictions cannot be scored; the message says why, and the model is shown it."""


# [accuracy error]
def read_label(text: str, known: set[str]) -> str:
    """One prediction: a label that the pool has."""
    if text not in known:
        raise Refused(f"{text[:40]!r} is none of the labels ({', '.join(sorted(known)[:20])})")
    return text


# [mse mae rmse]
def read_label(text: str, known: set[str]) -> float:
    """One prediction: a finite number."""
    try:
        number = float(text)
    except ValueError:
        raise Refused(f"{text[:40]!r} is not a number") from None
    if not abs(number) <= LARGEST_NUMBER:  # NaN is not either
        raise Refused(f"{text[:40]!r} is not a finite number of a sensible size")
    return number


# [other]
# YOUR METRIC HERE: this computes @COMPUTED@; make it compute @METRIC@, then delete this line.
# [accuracy error]
def score_row(predicted: str, label: str) -> float:
    """How good one prediction is; higher is better, whatever the direction of the metric."""
    return float(predicted == label)


# [mse rmse]
def score_row(predicted: float, label: str) -> float:
    """How good one prediction is; higher is better, whatever the direction of the metric."""
    return -((predicted - float(label)) ** 2)


# [mae]
def score_row(predicted: float, label: str) -> float:
    """How good one prediction is; higher is better, whatever the direction of the metric."""
    return -abs(predicted - float(label))


# [all]
def value_of(examples: list[float]) -> float:
    """The metric of one split, in its own direction."""
    mean = sum(examples) / len(examples)
    # [accuracy]
    return mean
    # [error]
    return 1 - mean
    # [mse mae]
    return -mean
    # [rmse]
    return math.sqrt(-mean)
    # [all]


def read_file(path: Path, largest: int) -> str:
    """The text of a regular file of a bounded size: no link, device or pipe is followed or opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise Refused(f"{NAME} is missing: the experiment must write it to $OUT") from None
    except OSError as error:
        raise Refused(f"{NAME} cannot be opened: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Refused(f"{NAME} is not a regular file")
        content = file.read(largest + 1)
    if len(content) > largest:
        raise Refused(f"{NAME} is larger than {largest:,} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise Refused(f"{NAME} is not plain text") from None


def read_predictions(path: Path, known: set[str], rows: int) -> list:
    """One prediction for each row of the pool, in its order."""
    header, *lines = read_file(path, 1000 + rows * LARGEST_CELL).strip().splitlines() or [""]
    if header.replace(" ", "") != HEADER:
        raise Refused(f"the first line must be {HEADER!r}, not {header[:40]!r}")
    if len(lines) != rows:
        raise Refused(f"{len(lines)} predictions for a pool of {rows} rows")
    found = []
    for row, line in enumerate(lines):
        number, _, text = line.partition(",")
        if number.strip() != str(row):
            raise Refused(f"line {row + 2}: expected `{row},label`, not {line[:40]!r}")
        found.append(read_label(text.strip(), known))
    return found


def score(predictions: Path, private: Path, split: str) -> dict[str, object]:
    """What goes into score.json."""
    with open(private / "labels.csv", newline="") as file:
        labels = list(csv.DictReader(file))
    known = {each["label"] for each in labels}
    try:
        predicted = read_predictions(predictions / NAME, known, len(labels))
    except Refused as refusal:
        return {"refused": str(refusal)}
    examples = [
        score_row(mine, each["label"])
        for mine, each in zip(predicted, labels)
        if each["split"] == split
    ]
    return {"value": value_of(examples), "examples": examples}


def main() -> None:
    environ = os.environ
    result = score(Path(environ["PREDICTIONS"]), Path(environ["PRIVATE"]), environ["SPLIT"])
    (Path(environ["OUT"]) / "score.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
