"""The baseline: WRN-28-10 (Zagoruyko and Komodakis, 2016), with crops, mirror images and its schedule."""

import csv
import os
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or a GPU's products vary

import numpy as np
import torch
from torch import nn

CLASSES = 100
DEPTH = 28
WIDEN_FACTOR = 10
DROPOUT = 0.0
EPOCHS = 200
BATCH_SIZE = 128
LEARNING_RATE = 0.1
MOMENTUM = 0.9
WEIGHT_DECAY = 0.0005
MILESTONES = (0.3, 0.6, 0.8)  # of the epochs; there the rate is divided by five
PADDING = 4
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SMOKE = "SMOKE" in os.environ  # a short run that only shows that everything works


def read_data(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training images, training labels, and the images of the pool to predict."""
    images = np.load(folder / "train_images.npy")
    labels = np.load(folder / "train_labels.npy")
    pool = np.load(folder / "pool_images.npy")
    return images, labels, pool


class Block(nn.Module):
    """Two convolutions around which the input is led: batch norm and ReLU come before each."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(before), nn.BatchNorm2d(after)
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.dropout = nn.Dropout(DROPOUT)
        fits = before == after and stride == 1
        self.around = None if fits else nn.Conv2d(before, after, 1, stride=stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ready = torch.relu(self.norm1(x))
        around = x if self.around is None else self.around(ready)
        inner = self.dropout(torch.relu(self.norm2(self.conv1(ready))))
        return around + self.conv2(inner)


class WideResNet(nn.Module):
    """Images (N, 3, 32, 32) to scores (N, CLASSES)."""

    def __init__(self, depth: int, widen_factor: int) -> None:
        super().__init__()
        widths = [16, 16 * widen_factor, 32 * widen_factor, 64 * widen_factor]
        blocks: list[nn.Module] = []
        for group in range(3):
            for place in range((depth - 4) // 6):
                before = widths[group + (place > 0)]
                stride = 2 if group > 0 and place == 0 else 1
                blocks.append(Block(before, widths[group + 1], stride))
        self.first = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.blocks = nn.Sequential(*blocks)
        self.last_norm = nn.BatchNorm2d(widths[3])
        self.decision = nn.Linear(widths[3], CLASSES)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = torch.relu(self.last_norm(self.blocks(self.first(images))))
        return self.decision(found.mean(dim=(2, 3)))


def as_tensor(images: np.ndarray, like: np.ndarray) -> torch.Tensor:
    """(N, 32, 32, 3) pixel values as (N, 3, 32, 32), with the training images' mean and deviation."""
    mean, deviation = like.mean((0, 1, 2)) / 255, like.std((0, 1, 2)) / 255
    scaled = (images.astype(np.float32) / 255 - mean) / deviation
    return torch.tensor(scaled, dtype=torch.float32).permute(0, 3, 1, 2)


def augment(images: torch.Tensor) -> torch.Tensor:
    """Each image moved by up to PADDING pixels, and half of them mirrored."""
    count, _, size, _ = images.shape
    padded = nn.functional.pad(images, (PADDING,) * 4, mode="reflect")
    moved = torch.empty_like(images)
    offsets = torch.randint(0, 2 * PADDING + 1, (count, 2)).tolist()
    mirrored = (torch.rand(count) < 0.5).tolist()
    for place, ((top, left), mirror) in enumerate(zip(offsets, mirrored, strict=True)):
        crop = padded[place, :, top : top + size, left : left + size]
        moved[place] = crop.flip(2) if mirror else crop
    return moved


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    optimiser = torch.optim.SGD(
        model.parameters(),
        lr=LEARNING_RATE,
        momentum=MOMENTUM,
        weight_decay=WEIGHT_DECAY,
        nesterov=True,
    )
    milestones = [int(share * EPOCHS) for share in MILESTONES]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, milestones, gamma=0.2)
    model.train()
    for _ in range(1 if SMOKE else EPOCHS):
        for batch in torch.randperm(len(images)).split(BATCH_SIZE):
            shown = augment(images[batch]).to(DEVICE)
            loss = nn.functional.cross_entropy(model(shown), labels[batch].to(DEVICE))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()


@torch.no_grad()
def predict(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The most likely class of each image."""
    model.eval()
    parts = images.split(4 * BATCH_SIZE)
    return torch.cat([model(part.to(DEVICE)).argmax(1).cpu() for part in parts])


def write_predictions(folder: Path, predictions: torch.Tensor) -> None:
    with open(folder / "predictions.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "label"])
        writer.writerows(enumerate(predictions.tolist()))


def main() -> None:
    torch.manual_seed(int(os.environ["SEED"]))
    torch.use_deterministic_algorithms(True)
    images, labels, pool = read_data(Path(os.environ["DATA"]))
    if SMOKE:
        images, labels, pool = images[:512], labels[:512], pool[:512]
    model = WideResNet(DEPTH, WIDEN_FACTOR).to(DEVICE)
    train(model, as_tensor(images, images), torch.tensor(labels))
    write_predictions(Path(os.environ["OUT"]), predict(model, as_tensor(pool, images)))


if __name__ == "__main__":
    main()
