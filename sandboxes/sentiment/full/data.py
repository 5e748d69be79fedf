"""Split SST-2, given as GLUE's tables in $SOURCE, and pass on the weights of a pretrained BERT.

$SOURCE holds train.tsv and dev.tsv (or a folder SST-2 with them: columns sentence and label), and a
folder bert-base-uncased with config.json, vocab.txt and model.safetensors. GLUE's test labels are not
public, so dev.tsv is test. GLUE's training rows are phrases of whole sentences: some long ones are
validation, and every phrase that is a part of one of those leaves the training data. Validation and test
are mixed in one pool. Writes $OUT/public and $OUT/private; running it twice gives the same bytes.

For the tests of a gain, --shuffle SEED gives the pool in another order and private/order.json, which
says of each row where it was and whether it is validation; --permute-labels SEED the training labels
in another order, and all else as it is.
"""

import argparse
import csv
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np

SPLIT_SEED = 2013
LONG = 12  # words; validation sentences have at least as many, as most of dev.tsv have
WEIGHTS = ("config.json", "vocab.txt", "model.safetensors")


def find_source() -> tuple[Path, Path]:
    """The folder of the tables and the folder of the weights."""
    given = os.environ.get("SOURCE")
    if given is None:
        sys.exit("this task needs a data set: give a folder with GLUE's SST-2 and bert-base-uncased with --data")  # fmt: skip
    weights = Path(given) / "bert-base-uncased"
    missing = [name for name in WEIGHTS if not (weights / name).is_file()]
    if missing:
        sys.exit(f"the folder given with --data lacks bert-base-uncased/{missing[0]}")
    for folder in (Path(given), Path(given) / "SST-2"):
        if (folder / "train.tsv").is_file() and (folder / "dev.tsv").is_file():
            return folder, weights
    sys.exit(
        "the folder given with --data has no train.tsv and dev.tsv: unpack GLUE's SST-2.zip there"
    )


def read_table(file: Path) -> list[tuple[str, int]]:
    header, *lines = file.read_text(encoding="utf-8").splitlines() or [""]
    rows = [line.split("\t") for line in lines]
    if header.split("\t") != ["sentence", "label"] or any(len(row) != 2 or row[1] not in ("0", "1") for row in rows):  # fmt: skip
        sys.exit(f"{file.name} is not GLUE's: the columns must be sentence and label (0 or 1)")
    return [(sentence.strip(), int(label)) for sentence, label in rows]


def hold_out(
    rows: list[tuple[str, int]], count: int, random: np.random.Generator
) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Training rows, and `count` validation rows of which no training row is a part."""
    long = [place for place, (text, _) in enumerate(rows) if len(text.split()) >= LONG]
    chosen = [rows[place] for place in random.permutation(long)[:count]]
    held_out = list(dict(chosen).items())
    everything = "\n".join(f" {text} " for text, _ in held_out)
    training = [(text, label) for text, label in rows if f" {text} " not in everything]
    whole = "\n".join(f" {text} " for text, _ in training)
    # The other way round, a training sentence that a validation phrase is a part of.
    parts = [row for row in held_out if f" {row[0]} " not in whole]
    return training, parts


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
    (source, weights), out = find_source(), Path(os.environ["OUT"])
    public, private = out / "public", out / "private"
    (public / "bert").mkdir(parents=True, exist_ok=True)
    private.mkdir(parents=True, exist_ok=True)

    rows, test = read_table(source / "train.tsv"), read_table(source / "dev.tsv")
    random = np.random.default_rng(SPLIT_SEED)
    training, validation = hold_out(rows, len(test), random)
    pool = [*validation, *test]
    mixed = random.permutation(len(pool))
    is_test = np.arange(len(pool)) >= len(validation)

    taught = np.array([label for _, label in training])
    if options.permute_labels is not None:
        taught = np.random.default_rng(options.permute_labels).permutation(taught)
    if options.shuffle is not None:
        moved = np.random.default_rng(options.shuffle).permutation(len(mixed))
        mixed = mixed[moved]
        told = {"rows": moved.tolist(), "validation": (~is_test[mixed]).tolist()}
        (private / "order.json").write_text(json.dumps(told))

    labelled = [(label, text) for label, (text, _) in zip(taught.tolist(), training, strict=True)]
    write_table(public / "train.csv", ["label", "text"], labelled)
    texts = [(row, pool[place][0]) for row, place in enumerate(mixed)]
    write_table(public / "pool.csv", ["row", "text"], texts)
    for name in WEIGHTS:
        shutil.copyfile(weights / name, public / "bert" / name)
    np.save(private / "pool_labels.npy", np.array([pool[place][1] for place in mixed]))
    np.save(private / "pool_is_test.npy", is_test[mixed])


if __name__ == "__main__":
    main()
