"""Polynomials fitted by gradient descent on two small data sets, three times each."""

import argparse
import json
import os
import random

LEARNING_RATE = 0.02
STEPS = 60


def make(dataset, count, generator):
    curve = {"line": lambda x: 2 * x - 1, "bow": lambda x: x * x + 0.5 * x}[dataset]
    points = [generator.uniform(-1, 1) for _ in range(count)]
    return [(x, curve(x) + generator.gauss(0, 0.1)) for x in points]


def loss_of(weights, points):
    guesses = [sum(w * x**i for i, w in enumerate(weights)) for x, _ in points]
    return sum((g - y) ** 2 for g, (_, y) in zip(guesses, points, strict=True)) / len(points)


def run(dataset):
    data = random.Random(1)
    train, val = make(dataset, 40, data), make(dataset, 60, data)
    weights = [random.gauss(0, 0.05) for _ in range(3)]
    for _ in range(STEPS):
        for i in range(3):
            slope = sum((sum(w * x**j for j, w in enumerate(weights)) - y) * x**i for x, y in train)
            weights[i] -= LEARNING_RATE * slope / len(train)
    return {"train_loss": loss_of(weights, train), "val_loss": loss_of(weights, val)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--out_dir", default="run_0")
    out_dir = parser.parse_args().out_dir
    os.makedirs(out_dir)
    final_infos = {}
    for dataset in ["line", "bow"]:
        runs = [run(dataset) for _ in range(3)]
        means = {f"{k}_mean": sum(r[k] for r in runs) / 3 for k in runs[0]}
        final_infos[dataset] = {"means": means, "stderrs": {}, "final_info_dict": runs}
    with open("last_dataset.txt", "w") as file:  # such programs do write beside themselves
        file.write(dataset)
    with open(os.path.join(out_dir, "final_info.json"), "w") as file:
        json.dump(final_infos, file)
