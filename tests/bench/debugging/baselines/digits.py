"""The baseline: principal components of the raw pixels, then a small neural network."""

import csv
import os
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPClassifier

COMPONENTS = 20
HIDDEN_LAYERS = (32,)
LEARNING_RATE = 0.001
EPOCHS = 60


def read_data(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training images, training labels, and the images of the pool to predict."""
    images = np.load(folder / "train_images.npy").astype(float)
    labels = np.load(folder / "train_labels.npy")
    pool = np.load(folder / "pool_images.npy").astype(float)
    return images, labels, pool


def extract_features(images: np.ndarray) -> np.ndarray:
    """One row of numbers an image: its pixels, row by row."""
    return images.reshape(len(images), -1)


def predict(
    features: np.ndarray, labels: np.ndarray, pool_features: np.ndarray, seed: int
) -> np.ndarray:
    """Train on the labelled rows and predict a label for every row of the pool."""
    reduction = PCA(n_components=COMPONENTS, random_state=seed)
    reduced = reduction.fit_transform(features)
    model = MLPClassifier(
        hidden_layer_sizes=HIDDEN_LAYERS,
        activation="relu",
        solver="sgd",
        learning_rate_init=LEARNING_RATE,
        momentum=0.9,
        alpha=0.0001,
        batch_size=32,
        max_iter=EPOCHS,
        early_stopping=False,
        random_state=seed,
    )
    model.fit(reduced, labels)
    return model.predict(reduction.transform(pool_features))


def write_predictions(folder: Path, predictions: np.ndarray) -> None:
    with open(folder / "predictions.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "label"])
        writer.writerows(enumerate(predictions.tolist()))


def main() -> None:
    seed = int(os.environ["SEED"])
    images, labels, pool = read_data(Path(os.environ["DATA"]))
    predictions = predict(extract_features(images), labels, extract_features(pool), seed)
    write_predictions(Path(os.environ["OUT"]), predictions)


if __name__ == "__main__":
    main()
