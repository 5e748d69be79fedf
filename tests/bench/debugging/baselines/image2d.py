"""The baseline: a small convolutional network, trained on the images as they are."""

import csv
import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

CLASSES = 10
FILTERS = 16
HIDDEN = 64
EPOCHS = 20
BATCH_SIZE = 50
LEARNING_RATE = 0.02
MOMENTUM = 0.9


def read_data(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training images, training labels, and the images of the pool to predict."""
    images = np.load(folder / "train_images.npy")
    labels = np.load(folder / "train_labels.npy")
    pool = np.load(folder / "pool_images.npy")
    return images, labels, pool


def as_tensor(images: np.ndarray) -> torch.Tensor:
    """(N, 28, 28) pixel values 0 to 255 as (N, 1, 28, 28) values 0 to 1."""
    return torch.tensor(images, dtype=torch.float32).unsqueeze(1) / 255


def make_model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, FILTERS, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(FILTERS, 2 * FILTERS, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * FILTERS * 7 * 7, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, CLASSES),
    )


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    optimiser = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    model.train()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(BATCH_SIZE):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


@torch.no_grad()
def predict(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The most likely class of each image."""
    model.eval()
    return torch.cat([model(part).argmax(1) for part in images.split(500)])


def write_predictions(folder: Path, predictions: torch.Tensor) -> None:
    with open(folder / "predictions.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "label"])
        writer.writerows(enumerate(predictions.tolist()))


def main() -> None:
    torch.manual_seed(int(os.environ["SEED"]))
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    images, labels, pool = read_data(Path(os.environ["DATA"]))
    model = make_model()
    train(model, as_tensor(images), torch.tensor(labels))
    write_predictions(Path(os.environ["OUT"]), predict(model, as_tensor(pool)))


if __name__ == "__main__":
    main()
