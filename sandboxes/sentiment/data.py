"""Split sentences of movie reviews, each rated by people from -4 to 4 and kept in sentences.tsv.

The label is 1 for a mean rating above 0 and 0 for one below; sentences rated within 0.5 of 0 are left
out. Writes $OUT/public, what an experiment may see: labelled training sentences and one unlabelled
pool; and $OUT/private, what only the scorer sees: the pool's labels and which rows are validation and
test. Running it twice gives the same bytes.

For the tests of a gain, --shuffle SEED gives the pool in another order and private/order.json, which
says of each row where it was and whether it is validation; --permute-labels SEED the training labels
in another order, and all else as it is.
"""

import argparse
import csv
import json
import os
from pathlib import Path

import numpy as np

TRAINING_SENTENCES = 2000
UNDECIDED = 0.5
SPLIT_SEED = 2014


def read_sentences() -> tuple[list[str], np.ndarray]:
    """The sentences that are clearly positive or negative, and their labels."""
    lines = Path(__file__).with_name("sentences.tsv").read_text(encoding="utf-8").splitlines()
    rated = [line.split("\t") for line in lines]
    decided = [(float(rating), text) for rating, text in rated if abs(float(rating)) >= UNDECIDED]
    labels = np.array([rating > 0 for rating, _ in decided], dtype=np.int64)
    return [text for _, text in decided], labels


def write_table(path: Path, header: list[str], rows: list[tuple[int, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shuffle", type=int, metavar="SEED", help="the pool in another order")
    parser.add_argument("--permute-labels", type=int, metavar="SEED", help="wrong training labels")
    return parser.parse_args()


def main() -> None:
    options = read_options()
    out = Path(os.environ["OUT"])
    public, private = out / "public", out / "private"
    public.mkdir(parents=True, exist_ok=True)
    private.mkdir(parents=True, exist_ok=True)

    sentences, labels = read_sentences()
    random = np.random.default_rng(SPLIT_SEED)
    order = random.permutation(len(labels))
    training, pool = order[:TRAINING_SENTENCES], order[TRAINING_SENTENCES:]
    is_test = np.zeros(len(pool), dtype=bool)
    is_test[random.permutation(len(pool))[: len(pool) // 2]] = True

    taught = labels[training]
    if options.permute_labels is not None:
        taught = np.random.default_rng(options.permute_labels).permutation(taught)
    if options.shuffle is not None:
        moved = np.random.default_rng(options.shuffle).permutation(len(pool))
        pool, is_test = pool[moved], is_test[moved]
        told = {"rows": moved.tolist(), "validation": (~is_test).tolist()}
        (private / "order.json").write_text(json.dumps(told))

    labelled = [(int(label), sentences[i]) for label, i in zip(taught, training, strict=True)]
    write_table(public / "train.csv", ["label", "text"], labelled)
    unlabelled = [(row, sentences[i]) for row, i in enumerate(pool)]
    write_table(public / "pool.csv", ["row", "text"], unlabelled)
    np.save(private / "pool_labels.npy", labels[pool])
    np.save(private / "pool_is_test.npy", is_test)


if __name__ == "__main__":
    main()
