"""Make point clouds of ten kinds of shapes: procedural, because no package ships real labelled ones.

A cloud is 128 points of a shape's surface. The shape has random proportions and is stretched, cut by a
plane as if something hid a part of it, turned around the vertical and tilted a little, blurred, and
mixed with stray points; then it is centred and scaled to a unit sphere. Writes $OUT/public, what an experiment may see: labelled
training clouds and one unlabelled pool; and $OUT/private, what only the scorer sees. Running it twice
gives the same bytes.

For the tests of a gain, --shuffle SEED gives the pool in another order and private/order.json, which
says of each row where it was and whether it is validation; --permute-labels SEED the training labels
in another order, and all else as it is.
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

TRAINING_CLOUDS, POOL_CLOUDS, POINTS = 500, 3000, 128
SEED = 3
LARGEST_HIDDEN_SHARE = 0.3
LARGEST_TILT = 15  # degrees
NOISE = 0.02  # of the shape's radius
STRAY_POINTS = 3

Sampler = Callable[[np.random.Generator, int], np.ndarray]


def directions(random: np.random.Generator, count: int) -> np.ndarray:
    """Points evenly on the unit sphere."""
    points = random.normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def on_disk(random: np.random.Generator, count: int, height: float) -> np.ndarray:
    angle = random.uniform(0, 2 * np.pi, count)
    radius = np.sqrt(random.uniform(0, 1, count))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(count, height)], 1)


def on_side(random: np.random.Generator, height: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Points around the z axis at these heights and distances."""
    angle = random.uniform(0, 2 * np.pi, len(height))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], 1)


def on_triangles(random: np.random.Generator, count: int, corners: np.ndarray) -> np.ndarray:
    """Points evenly on triangles (T, 3, 3)."""
    sides = corners[:, 1:] - corners[:, :1]
    areas = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
    chosen = random.choice(len(corners), count, p=areas / areas.sum())
    weights = random.uniform(0, 1, (count, 2))
    weights = np.where(weights.sum(1, keepdims=True) > 1, 1 - weights, weights)
    return corners[chosen, 0] + (weights[:, :, None] * sides[chosen]).sum(1)


def ellipsoid(random: np.random.Generator, count: int) -> np.ndarray:
    return directions(random, count)


def box(random: np.random.Generator, count: int) -> np.ndarray:
    points = random.uniform(-1, 1, (count, 3))
    points[np.arange(count), random.integers(0, 3, count)] = random.choice([-1.0, 1.0], count)
    return points


def cylinder(random: np.random.Generator, count: int) -> np.ndarray:
    half, ends = random.uniform(0.8, 1.6), count // 3
    side = on_side(random, random.uniform(-half, half, count - ends), np.ones(count - ends))
    return np.concatenate([side, on_disk(random, ends // 2, half), on_disk(random, ends - ends // 2, -half)])  # fmt: skip


def cone(random: np.random.Generator, count: int) -> np.ndarray:
    height, base = random.uniform(1.2, 2.4), count // 3
    share = np.sqrt(random.uniform(0, 1, count - base))
    side = on_side(random, height * (1 - share), share)
    return np.concatenate([side, on_disk(random, base, 0.0)])


def torus(random: np.random.Generator, count: int) -> np.ndarray:
    thickness, angle = random.uniform(0.25, 0.45), random.uniform(0, 2 * np.pi, count)
    return on_side(random, thickness * np.sin(angle), 1 + thickness * np.cos(angle))


def pyramid(random: np.random.Generator, count: int) -> np.ndarray:
    top = np.array([0, 0, random.uniform(1.2, 2.4)])
    a, b, c, d = np.array([[1, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]], dtype=float)
    faces = [(a, b, top), (b, c, top), (c, d, top), (d, a, top), (a, b, c), (a, c, d)]
    return on_triangles(random, count, np.array(faces))


def capsule(random: np.random.Generator, count: int) -> np.ndarray:
    half, ends = random.uniform(0.5, 1.2), count // 2
    caps = directions(random, ends)
    caps[:, 2] += np.where(caps[:, 2] > 0, half, -half)
    side = on_side(random, random.uniform(-half, half, count - ends), np.ones(count - ends))
    return np.concatenate([caps, side])


def helix(random: np.random.Generator, count: int) -> np.ndarray:
    turns, height = random.uniform(1.5, 3.0), random.uniform(1.2, 2.4)
    share = random.uniform(0, 1, count)
    angle = 2 * np.pi * turns * share
    line = np.stack([np.cos(angle), np.sin(angle), height * share], 1)
    return line + 0.12 * directions(random, count)


def bowl(random: np.random.Generator, count: int) -> np.ndarray:
    points = directions(random, count)
    points[:, 2] = -np.abs(points[:, 2])
    return points


def cross(random: np.random.Generator, count: int) -> np.ndarray:
    """Two bars that meet at a right angle."""
    thickness = random.uniform(0.2, 0.35)
    bar = box(random, count) * np.array([1, thickness, thickness])
    turned = random.uniform(0, 1, count) < 0.5
    bar[turned] = bar[turned][:, [1, 0, 2]]
    return bar


SHAPES: tuple[Sampler, ...] = (ellipsoid, box, cylinder, cone, torus, pyramid, capsule, helix, bowl, cross)  # fmt: skip


def normalised(points: np.ndarray) -> np.ndarray:
    """Centred, and with the furthest point at distance 1."""
    points = points - points.mean(0)
    return points / np.linalg.norm(points, axis=1).max()


def rotation(random: np.random.Generator) -> np.ndarray:
    """Any turn around the z axis, then a small tilt around some horizontal axis."""
    turn, heading = random.uniform(0, 2 * np.pi, 2)
    tilt = np.deg2rad(random.uniform(0, LARGEST_TILT))
    return about_z(heading).T @ about_x(tilt) @ about_z(heading + turn)


def about_z(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def about_x(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def make_cloud(random: np.random.Generator, shape: Sampler) -> np.ndarray:
    points = shape(random, 4 * POINTS) * random.uniform(0.6, 1.5, 3)
    hidden = int(random.uniform(0, LARGEST_HIDDEN_SHARE) * len(points))
    seen = np.argsort(points @ directions(random, 1)[0])[hidden:]
    points = normalised(points[random.permutation(seen)[:POINTS]]) @ rotation(random).T
    points += NOISE * random.normal(size=points.shape)
    points[:STRAY_POINTS] = random.uniform(-1, 1, (STRAY_POINTS, 3))
    # Rounded, so that the last bit of some machine's sine does not matter.
    return np.round(normalised(random.permutation(points)), 3).astype(np.float32)


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

    random = np.random.default_rng(SEED)
    labels = random.integers(0, len(SHAPES), TRAINING_CLOUDS + POOL_CLOUDS)
    clouds = np.stack([make_cloud(random, SHAPES[label]) for label in labels])
    is_test = np.zeros(POOL_CLOUDS, dtype=bool)
    is_test[random.permutation(POOL_CLOUDS)[: POOL_CLOUDS // 2]] = True

    taught, pool = labels[:TRAINING_CLOUDS], np.arange(TRAINING_CLOUDS, len(labels))
    if options.permute_labels is not None:
        taught = np.random.default_rng(options.permute_labels).permutation(taught)
    if options.shuffle is not None:
        moved = np.random.default_rng(options.shuffle).permutation(POOL_CLOUDS)
        pool, is_test = pool[moved], is_test[moved]
        told = {"rows": moved.tolist(), "validation": (~is_test).tolist()}
        (private / "order.json").write_text(json.dumps(told))

    np.save(public / "train_points.npy", clouds[:TRAINING_CLOUDS])
    np.save(public / "train_labels.npy", taught)
    np.save(public / "pool_points.npy", clouds[pool])
    np.save(private / "pool_labels.npy", labels[pool])
    np.save(private / "pool_is_test.npy", is_test)


if __name__ == "__main__":
    main()
