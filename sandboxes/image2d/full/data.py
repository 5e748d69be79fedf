"""Split CIFAR-100, given in its binary version (no pickles) as the folder in $SOURCE.

$SOURCE, or a folder `cifar-100-binary` in it, holds train.bin and test.bin: rows of a coarse label, a
fine label and 3 x 32 x 32 pixel values. A tenth of train.bin is validation and all of test.bin is test,
mixed in one pool. Writes $OUT/public and $OUT/private; running it twice gives the same bytes.

For the tests of a gain, --shuffle SEED gives the pool in another order and private/order.json, which
says of each row where it was and whether it is validation; --permute-labels SEED the training labels
in another order, and all else as it is.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np

ROW = 2 + 3 * 32 * 32
SPLIT_SEED = 100


def find_source() -> Path:
    given = os.environ.get("SOURCE")
    if given is None:
        sys.exit(
            "this task needs a data set: give the folder of CIFAR-100's binary version with --data"
        )
    for folder in (Path(given), Path(given) / "cifar-100-binary"):
        if (folder / "train.bin").is_file() and (folder / "test.bin").is_file():
            return folder
    sys.exit(
        "the folder given with --data has no train.bin and test.bin: unpack cifar-100-binary.tar.gz there"
    )


def read_rows(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 32, 32, 3) with pixel values 0 to 255 and their fine labels (N,)."""
    content = np.fromfile(file, dtype=np.uint8)
    if len(content) == 0 or len(content) % ROW:
        sys.exit(f"{file.name} is not of CIFAR-100's binary version: no whole rows of {ROW} bytes")
    rows = content.reshape(-1, ROW)
    if rows[:, 1].max() > 99:
        sys.exit(f"{file.name} is not of CIFAR-100's binary version: it has labels over 99")
    return rows[:, 2:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), rows[:, 1].astype(np.int64)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shuffle", type=int, metavar="SEED", help="the pool in another order")
    parser.add_argument("--permute-labels", type=int, metavar="SEED", help="wrong training labels")
    return parser.parse_args()


def main() -> None:
    options = read_options()
    source, out = find_source(), Path(os.environ["OUT"])
    public, private = out / "public", out / "private"
    public.mkdir(parents=True, exist_ok=True)
    private.mkdir(parents=True, exist_ok=True)

    images, labels = read_rows(source / "train.bin")
    test_images, test_labels = read_rows(source / "test.bin")
    random = np.random.default_rng(SPLIT_SEED)
    order = random.permutation(len(labels))
    held_out, training = order[: len(order) // 10], order[len(order) // 10 :]
    mixed = random.permutation(len(held_out) + len(test_labels))
    is_test = np.arange(len(mixed)) >= len(held_out)

    taught = labels[training]
    if options.permute_labels is not None:
        taught = np.random.default_rng(options.permute_labels).permutation(taught)
    if options.shuffle is not None:
        moved = np.random.default_rng(options.shuffle).permutation(len(mixed))
        mixed = mixed[moved]
        told = {"rows": moved.tolist(), "validation": (~is_test[mixed]).tolist()}
        (private / "order.json").write_text(json.dumps(told))

    np.save(public / "train_images.npy", np.ascontiguousarray(images[training]))
    np.save(public / "train_labels.npy", taught)
    np.save(public / "pool_images.npy", np.concatenate([images[held_out], test_images])[mixed])
    np.save(private / "pool_labels.npy", np.concatenate([labels[held_out], test_labels])[mixed])
    np.save(private / "pool_is_test.npy", is_test[mixed])


if __name__ == "__main__":
    main()
