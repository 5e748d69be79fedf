"""Make the data of this task. Trusted; runs without a network; must give the same bytes every time.

    $OUT/public/train.csv     what there is to learn from: the features and the label
    $OUT/public/pool.csv      what is to be predicted: a row number and the features, no label
    $OUT/private/labels.csv   the pool's labels, and which rows are validation and which are test

Experiments see `public` only. The pool mixes validation and test rows, in random order.

A gain is tested on two other forms of the same data; keep both options when you change this file:

    --shuffle SEED          the pool in another order; private/order.json says of each of its rows where
                            it was and whether it is validation
    --permute-labels SEED   the labels of the training rows in another order, and all else as it is
"""

import argparse
import csv
import json
import math
import os
import random
from pathlib import Path

RAW = Path(__file__).parent / "raw"
TRAINING_SHARE = 0.1
SPLIT_SEED = 20  # of the one random split; it stays as it is


def read_rows() -> tuple[list[str], list[tuple[list, object]]]:
    """The names of the features, and a pair (features, label) for each row.

    YOUR DATA HERE: replace the example below by your own rows. Put your files into raw/ beside this
    program: experiments do not see that folder. For a CSV file whose last column is the label:

        with open(RAW / "@RAW@", newline="") as file:
            header, *rows = csv.reader(file)
        return header[:-1], [(row[:-1], row[-1]) for row in rows]

    Packages named in requirements.txt can be imported here, and their data sets used.
    """
    generator = random.Random(1)
    rows = []
    for _ in range(2000):
        first, second = (round(generator.uniform(-2, 2), 4) for _ in range(2))
        height = math.sin(2 * first) + second / 2 + generator.gauss(0, 0.3)
        # [accuracy error]
        rows.append(([first, second], int(height > -0.5) + int(height > 0.5)))
        # [mse mae rmse]
        rows.append(([first, second], round(height, 4)))
        # [all]
    return ["first", "second"], rows


def without_duplicates(rows: list[tuple[list, object]]) -> list[tuple[list, object]]:
    """One row for each set of features: a pool row that is a training row too would tell its label."""
    return list({tuple(map(str, features)): (features, label) for features, label in rows}.values())


def write(path: Path, header: list[str], rows: list[list]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shuffle", type=int, metavar="SEED", help="the pool in another order")
    parser.add_argument("--permute-labels", type=int, metavar="SEED", help="wrong training labels")
    return parser.parse_args()


def main() -> None:
    options = read_options()
    out = Path(os.environ["OUT"])
    names, rows = read_rows()
    rows = without_duplicates(rows)
    generator = random.Random(SPLIT_SEED)
    generator.shuffle(rows)
    training = round(TRAINING_SHARE * len(rows))
    pool = rows[training:]
    splits = ["validation", "test"] * (len(pool) // 2 + 1)
    splits = splits[: len(pool)]
    generator.shuffle(splits)
    taught = [label for _, label in rows[:training]]
    if options.permute_labels is not None:
        random.Random(options.permute_labels).shuffle(taught)
    if options.shuffle is not None:
        moved = random.Random(options.shuffle).sample(range(len(pool)), len(pool))
        pool, splits = [pool[i] for i in moved], [splits[i] for i in moved]
        told = {"rows": moved, "validation": [split == "validation" for split in splits]}
        (out / "private").mkdir(parents=True, exist_ok=True)
        (out / "private/order.json").write_text(json.dumps(told))

    learnt = [[*features, label] for (features, _), label in zip(rows, taught)]
    write(out / "public/train.csv", [*names, "label"], learnt)
    write(out / "public/pool.csv", ["row", *names], [[i, *f] for i, (f, _) in enumerate(pool)])
    labels = [[i, label, split] for i, ((_, label), split) in enumerate(zip(pool, splits))]
    write(out / "private/labels.csv", ["row", "label", "split"], labels)


if __name__ == "__main__":
    main()
