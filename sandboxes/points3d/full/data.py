"""Split ModelNet40, given as text files of points (modelnet40_normal_resampled) in $SOURCE.

$SOURCE, or a folder `modelnet40_normal_resampled` in it, holds modelnet40_shape_names.txt,
modelnet40_train.txt, modelnet40_test.txt and, for each object, a file such as
airplane/airplane_0001.txt with lines x,y,z,nx,ny,nz. The first 1,024 points of each are taken, without
normals. A tenth of the training objects is validation and all test objects are test, mixed in one pool.
Writes $OUT/public and $OUT/private; running it twice gives the same bytes.

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

POINTS = 1024
SPLIT_SEED = 40
LISTS = ("modelnet40_shape_names.txt", "modelnet40_train.txt", "modelnet40_test.txt")


def find_source() -> Path:
    given = os.environ.get("SOURCE")
    if given is None:
        sys.exit(
            "this task needs a data set: give the folder modelnet40_normal_resampled with --data"
        )
    for folder in (Path(given), Path(given) / "modelnet40_normal_resampled"):
        if all((folder / name).is_file() for name in LISTS):
            return folder
    sys.exit(f"the folder given with --data lacks {', '.join(LISTS)}: unpack modelnet40_normal_resampled.zip there")  # fmt: skip


def read_list(file: Path) -> list[str]:
    return [line.strip() for line in file.read_text().splitlines() if line.strip()]


def read_cloud(file: Path) -> np.ndarray:
    """The object's first points (POINTS, 3), centred and scaled to a unit sphere."""
    try:
        points = np.loadtxt(file, delimiter=",", usecols=(0, 1, 2), max_rows=POINTS, ndmin=2)
    except (OSError, ValueError) as error:
        sys.exit(f"{file.parent.name}/{file.name} cannot be read as points: {error}")
    if len(points) < POINTS:
        sys.exit(f"{file.parent.name}/{file.name} has {len(points)} points; {POINTS} are needed")
    points = points - points.mean(0)
    return (points / np.linalg.norm(points, axis=1).max()).astype(np.float32)


def read_part(source: Path, name: str, classes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The clouds (N, POINTS, 3) of the objects that a list names, and their classes (N,)."""
    objects = read_list(source / name)
    kinds = [each.rpartition("_")[0] for each in objects]
    unknown = sorted(set(kinds) - set(classes))
    if unknown or not objects:
        sys.exit(f"{name} lists no objects, or of an unknown class: {', '.join(unknown[:3])}")
    clouds = [read_cloud(source / kind / f"{each}.txt") for kind, each in zip(kinds, objects, strict=True)]  # fmt: skip
    return np.stack(clouds), np.array([classes.index(kind) for kind in kinds], dtype=np.int64)


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

    classes = read_list(source / LISTS[0])
    clouds, labels = read_part(source, LISTS[1], classes)
    test_clouds, test_labels = read_part(source, LISTS[2], classes)
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

    np.save(public / "train_points.npy", clouds[training])
    np.save(public / "train_labels.npy", taught)
    np.save(public / "pool_points.npy", np.concatenate([clouds[held_out], test_clouds])[mixed])
    np.save(private / "pool_labels.npy", np.concatenate([labels[held_out], test_labels])[mixed])
    np.save(private / "pool_is_test.npy", is_test[mixed])


if __name__ == "__main__":
    main()
