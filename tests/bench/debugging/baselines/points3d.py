"""The baseline: a small PointNet. Each point alone, then the largest value over all points."""

import csv
import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

CLASSES = 10
WIDTH = 32
EPOCHS = 30
BATCH_SIZE = 25
LEARNING_RATE = 0.003


def read_data(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training clouds, training labels, and the clouds of the pool to predict."""
    points = np.load(folder / "train_points.npy")
    labels = np.load(folder / "train_labels.npy")
    pool = np.load(folder / "pool_points.npy")
    return points, labels, pool


class PointNet(nn.Module):
    """Clouds (N, P, 3) to scores (N, CLASSES), whatever the order of the points."""

    def __init__(self) -> None:
        super().__init__()
        self.each_point = nn.Sequential(
            nn.Linear(3, WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, 2 * WIDTH),
            nn.ReLU(),
            nn.Linear(2 * WIDTH, 4 * WIDTH),
        )
        self.whole_cloud = nn.Sequential(
            nn.Linear(4 * WIDTH, 2 * WIDTH),
            nn.ReLU(),
            nn.Linear(2 * WIDTH, CLASSES),
        )

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        return self.whole_cloud(self.each_point(points).amax(dim=1))


def train(model: nn.Module, points: torch.Tensor, labels: torch.Tensor) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    model.train()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(points)).split(BATCH_SIZE):
            loss = nn.functional.cross_entropy(model(points[batch]), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


@torch.no_grad()
def predict(model: nn.Module, points: torch.Tensor) -> torch.Tensor:
    """The most likely class of each cloud."""
    model.eval()
    return torch.cat([model(part).argmax(1) for part in points.split(100)])


def write_predictions(folder: Path, predictions: torch.Tensor) -> None:
    with open(folder / "predictions.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "label"])
        writer.writerows(enumerate(predictions.tolist()))


def main() -> None:
    torch.manual_seed(int(os.environ["SEED"]))
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    points, labels, pool = read_data(Path(os.environ["DATA"]))
    model = PointNet()
    train(model, torch.tensor(points), torch.tensor(labels))
    write_predictions(Path(os.environ["OUT"]), predict(model, torch.tensor(pool)))


if __name__ == "__main__":
    main()
