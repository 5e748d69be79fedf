"""The baseline: the mean of learnt word vectors, and a linear layer on it."""

import csv
import os
import re
from collections import Counter
from pathlib import Path

import torch
from torch import nn

CLASSES = 2
VOCABULARY = 5000
EMBEDDING = 32
EPOCHS = 8
BATCH_SIZE = 32
LEARNING_RATE = 0.003


def read_data(folder: Path) -> tuple[list[str], torch.Tensor, list[str]]:
    """Training sentences, training labels, and the sentences of the pool to predict."""
    with open(folder / "train.csv", newline="", encoding="utf-8") as file:
        training = list(csv.DictReader(file))
    with open(folder / "pool.csv", newline="", encoding="utf-8") as file:
        pool = [row["text"] for row in csv.DictReader(file)]
    labels = torch.tensor([int(row["label"]) for row in training])
    return [row["text"] for row in training], labels, pool


def tokens_of(sentence: str) -> list[str]:
    """The words of a sentence."""
    return re.findall(r"[a-z']+", sentence.lower())


def make_vocabulary(sentences: list[str]) -> dict[str, int]:
    """A number, from 1, for each of the tokens that are in most sentences; 0 stands for others."""
    counts = Counter(token for sentence in sentences for token in sorted(set(tokens_of(sentence))))
    return {token: place for place, (token, _) in enumerate(counts.most_common(VOCABULARY), 1)}


def encode(sentences: list[str], vocabulary: dict[str, int]) -> list[torch.Tensor]:
    """The known tokens of each sentence as numbers; of a sentence without any, a 0."""
    found = ([vocabulary[t] for t in tokens_of(s) if t in vocabulary] for s in sentences)
    return [torch.tensor(numbers or [0]) for numbers in found]


class MeanOfWords(nn.Module):
    """Sentences, each a tensor of numbers of tokens, to scores (N, CLASSES)."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.vectors = nn.EmbeddingBag(tokens, EMBEDDING, mode="mean")
        self.decision = nn.Sequential(nn.Linear(EMBEDDING, CLASSES))

    def forward(self, sentences: list[torch.Tensor]) -> torch.Tensor:
        starts = torch.tensor([0, *(len(sentence) for sentence in sentences[:-1])]).cumsum(0)
        return self.decision(self.vectors(torch.cat(sentences), starts))


def train(model: nn.Module, sentences: list[torch.Tensor], labels: torch.Tensor) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    model.train()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(sentences)).split(BATCH_SIZE):
            scores = model([sentences[place] for place in batch])
            loss = nn.functional.cross_entropy(scores, labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


@torch.no_grad()
def predict(model: nn.Module, sentences: list[torch.Tensor]) -> torch.Tensor:
    """The more likely class of each sentence."""
    model.eval()
    parts = [sentences[start : start + 500] for start in range(0, len(sentences), 500)]
    return torch.cat([model(part).argmax(1) for part in parts])


def write_predictions(folder: Path, predictions: torch.Tensor) -> None:
    with open(folder / "predictions.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "label"])
        writer.writerows(enumerate(predictions.tolist()))


def main() -> None:
    torch.manual_seed(int(os.environ["SEED"]))
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    sentences, labels, pool = read_data(Path(os.environ["DATA"]))
    vocabulary = make_vocabulary(sentences)
    model = MeanOfWords(len(vocabulary) + 1)
    train(model, encode(sentences, vocabulary), labels)
    write_predictions(Path(os.environ["OUT"]), predict(model, encode(pool, vocabulary)))


if __name__ == "__main__":
    main()
