"""The baseline: PointNet (Qi et al., 2017) with both of its transformation networks."""

import csv
import os
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or a GPU's products vary

import numpy as np
import torch
from torch import nn

CLASSES = 40
EPOCHS = 250
BATCH_SIZE = 32
LEARNING_RATE = 0.001
DECAY_EVERY = 20
DECAY_RATE = 0.7
DROPOUT = 0.3
ORTHOGONALITY_WEIGHT = 0.001
JITTER_SIGMA = 0.01
JITTER_BOUND = 0.05
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SMOKE = "SMOKE" in os.environ  # a short run that only shows that everything works


def read_data(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training clouds, training labels, and the clouds of the pool to predict."""
    points = np.load(folder / "train_points.npy")
    labels = np.load(folder / "train_labels.npy")
    pool = np.load(folder / "pool_points.npy")
    return points, labels, pool


def each_point(*widths: int) -> nn.Sequential:
    """The same layers for each point, on (N, widths[0], P)."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv1d(before, after, 1), nn.BatchNorm1d(after), nn.ReLU()]
    return nn.Sequential(*layers)


def whole_cloud(*widths: int) -> nn.Sequential:
    """Layers on (N, widths[0])."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
    return nn.Sequential(*layers)


class Transformation(nn.Module):
    """Looks at a cloud (N, size, P) and gives the matrix (N, size, size) to turn its points with."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.points = each_point(size, 64, 128, 1024)
        self.cloud = whole_cloud(1024, 512, 256)
        self.last = nn.Linear(256, size * size)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, cloud: torch.Tensor) -> torch.Tensor:
        found = self.last(self.cloud(self.points(cloud).amax(dim=2)))
        return found.view(-1, self.size, self.size) + torch.eye(self.size, device=found.device)


class PointNet(nn.Module):
    """Clouds (N, P, 3) to scores (N, CLASSES), and the second transformation (N, 64, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self.turn_points, self.turn_features = Transformation(3), Transformation(64)
        self.first, self.second = each_point(3, 64, 64), each_point(64, 64, 128, 1024)
        self.cloud = whole_cloud(1024, 512, 256)
        self.decision = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(256, CLASSES))

    def forward(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        cloud = points.transpose(1, 2)
        features = self.first(self.turn_points(cloud) @ cloud)
        turn = self.turn_features(features)
        found = self.second(turn @ features).amax(dim=2)
        return self.decision(self.cloud(found)), turn


def augment(points: torch.Tensor) -> torch.Tensor:
    """Each cloud turned around the y axis by any angle, and each point moved a little."""
    angle = torch.rand(len(points)) * 2 * torch.pi
    turn = torch.zeros(len(points), 3, 3)
    turn[:, 0, 0] = turn[:, 2, 2] = angle.cos()
    turn[:, 0, 2] = angle.sin()
    turn[:, 2, 0] = -angle.sin()
    turn[:, 1, 1] = 1
    jitter = (JITTER_SIGMA * torch.randn(points.shape)).clamp(-JITTER_BOUND, JITTER_BOUND)
    return points @ turn + jitter


def loss_of(scores: torch.Tensor, turn: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross entropy, and how far the transformation of the features is from orthogonal."""
    far = turn @ turn.transpose(1, 2) - torch.eye(turn.shape[1], device=turn.device)
    penalty = far.square().sum(dim=(1, 2)).mean()
    return nn.functional.cross_entropy(scores, labels) + ORTHOGONALITY_WEIGHT * penalty


def train(model: nn.Module, points: torch.Tensor, labels: torch.Tensor) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, DECAY_EVERY, gamma=DECAY_RATE)
    model.train()
    for _ in range(1 if SMOKE else EPOCHS):
        order = torch.randperm(len(points))
        whole = len(order) // BATCH_SIZE * BATCH_SIZE or len(order)
        for batch in order[:whole].split(BATCH_SIZE):  # of one cloud, batch norm cannot learn
            scores, turn = model(augment(points[batch]).to(DEVICE))
            loss = loss_of(scores, turn, labels[batch].to(DEVICE))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()


@torch.no_grad()
def predict(model: nn.Module, points: torch.Tensor) -> torch.Tensor:
    """The most likely class of each cloud."""
    model.eval()
    return torch.cat([model(p.to(DEVICE))[0].argmax(1).cpu() for p in points.split(BATCH_SIZE)])


def write_predictions(folder: Path, predictions: torch.Tensor) -> None:
    with open(folder / "predictions.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "label"])
        writer.writerows(enumerate(predictions.tolist()))


def main() -> None:
    torch.manual_seed(int(os.environ["SEED"]))
    torch.use_deterministic_algorithms(True)
    points, labels, pool = read_data(Path(os.environ["DATA"]))
    if SMOKE:
        points, labels, pool = points[:512], labels[:512], pool[:512]
    model = PointNet().to(DEVICE)
    train(model, torch.tensor(points), torch.tensor(labels))
    write_predictions(Path(os.environ["OUT"]), predict(model, torch.tensor(pool)))


if __name__ == "__main__":
    main()
