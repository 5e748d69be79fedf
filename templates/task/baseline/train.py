"""The example's baseline: the nearest of a random part of the training rows decide."""

import csv
import os
import random
from pathlib import Path

NEIGHBOURS = 3
PART = 0.97  # of the training rows


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def features_of(row: dict[str, str]) -> list[float]:
    return [float(value) for name, value in row.items() if name not in ("row", "label")]


def predict(known: list[tuple[list[float], str]], features: list[float]) -> object:
    """From the labels of the nearest known rows."""
    ranked = sorted(known, key=lambda each: sum((a - b) ** 2 for a, b in zip(each[0], features)))
    labels = [label for _, label in ranked[:NEIGHBOURS]]
    # [accuracy error]
    return max(sorted(set(labels)), key=labels.count)
    # [mse mae rmse]
    return sum(map(float, labels)) / len(labels)
    # [all]


def main() -> None:
    data, out = Path(os.environ["DATA"]), Path(os.environ["OUT"])
    generator = random.Random(int(os.environ["SEED"]))
    rows = read(data / "train.csv")
    part = generator.sample(rows, round(PART * len(rows)))
    known = [(features_of(row), row["label"]) for row in part]
    with open(out / "predictions.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "label"])
        for row in read(data / "pool.csv"):
            writer.writerow([row["row"], predict(known, features_of(row))])


if __name__ == "__main__":
    main()
