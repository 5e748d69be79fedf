"""Split 4,500 real scans of handwritten digits (28x28, pixel values 0 to 255), kept in images.b64.

Writes $OUT/public, what an experiment may see: labelled training images and one unlabelled pool; and
$OUT/private, what only the scorer sees: the pool's labels and which rows are validation and test.
Running it twice gives the same bytes.

For the tests of a gain, --shuffle SEED gives the pool in another order and private/order.json, which
says of each row where it was and whether it is validation; --permute-labels SEED the training labels
in another order, and all else as it is.
"""

import argparse
import base64
import gzip
import json
import os
from pathlib import Path

import numpy as np

TRAINING_IMAGES = 500
SPLIT_SEED = 4500


def read_images() -> tuple[np.ndarray, np.ndarray]:
    """Images (4500, 28, 28) and labels (4500,). Text, not an archive: a run's record is text."""
    file = Path(__file__).with_name("images.b64")
    content = np.frombuffer(gzip.decompress(base64.b64decode(file.read_bytes())), dtype=np.uint8)
    count = len(content) // (1 + 28 * 28)
    return content[count:].reshape(count, 28, 28), content[:count].astype(np.int64)


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

    images, labels = read_images()
    random = np.random.default_rng(SPLIT_SEED)
    order = random.permutation(len(labels))
    training, pool = order[:TRAINING_IMAGES], order[TRAINING_IMAGES:]
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

    np.save(public / "train_images.npy", images[training])
    np.save(public / "train_labels.npy", taught)
    np.save(public / "pool_images.npy", images[pool])
    np.save(private / "pool_labels.npy", labels[pool])
    np.save(private / "pool_is_test.npy", is_test)


if __name__ == "__main__":
    main()
