"""The baseline: BERT (Devlin et al., 2019), fine-tuned as its authors did."""

import csv
import os
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or a GPU's products vary

import torch
from torch import nn
from transformers import BertForSequenceClassification, BertTokenizer

CLASSES = 2
EPOCHS = 3
BATCH_SIZE = 32
LEARNING_RATE = 2e-5
WARMUP_SHARE = 0.1
WEIGHT_DECAY = 0.01
GRADIENT_NORM = 1.0
LONGEST = 128  # tokens
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SMOKE = "SMOKE" in os.environ  # a short run that only shows that everything works


def read_data(folder: Path) -> tuple[list[str], torch.Tensor, list[str]]:
    """Training sentences, training labels, and the sentences of the pool to predict."""
    with open(folder / "train.csv", newline="", encoding="utf-8") as file:
        training = list(csv.DictReader(file))
    with open(folder / "pool.csv", newline="", encoding="utf-8") as file:
        pool = [row["text"] for row in csv.DictReader(file)]
    labels = torch.tensor([int(row["label"]) for row in training])
    return [row["text"] for row in training], labels, pool


class Classifier(nn.Module):
    """Sentences to scores (N, CLASSES)."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.tokenizer = BertTokenizer(str(weights / "vocab.txt"))
        self.bert = BertForSequenceClassification.from_pretrained(
            str(weights), num_labels=CLASSES, local_files_only=True, use_safetensors=True
        )

    def forward(self, sentences: list[str]) -> torch.Tensor:
        tokens = self.tokenizer(
            sentences, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
        )
        return self.bert(**tokens.to(DEVICE)).logits


def train(model: nn.Module, sentences: list[str], labels: torch.Tensor) -> None:
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = EPOCHS * -(-len(sentences) // BATCH_SIZE)
    warmup = max(1, int(WARMUP_SHARE * steps))

    def share(step: int) -> float:
        """Of the learning rate: up to all of it, and back to nothing."""
        return min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, share)
    model.train()
    for _ in range(1 if SMOKE else EPOCHS):
        for batch in torch.randperm(len(sentences)).split(BATCH_SIZE):
            scores = model([sentences[place] for place in batch])
            loss = nn.functional.cross_entropy(scores, labels[batch].to(DEVICE))
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
            optimiser.step()
            schedule.step()


@torch.no_grad()
def predict(model: nn.Module, sentences: list[str]) -> torch.Tensor:
    """The more likely class of each sentence."""
    model.eval()
    parts = [sentences[start : start + 128] for start in range(0, len(sentences), 128)]
    return torch.cat([model(part).argmax(1).cpu() for part in parts])


def write_predictions(folder: Path, predictions: torch.Tensor) -> None:
    with open(folder / "predictions.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "label"])
        writer.writerows(enumerate(predictions.tolist()))


def main() -> None:
    torch.manual_seed(int(os.environ["SEED"]))
    torch.use_deterministic_algorithms(True)
    data = Path(os.environ["DATA"])
    sentences, labels, pool = read_data(data)
    if SMOKE:
        sentences, labels, pool = sentences[:512], labels[:512], pool[:512]
    model = Classifier(data / "bert").to(DEVICE)
    train(model, sentences, labels)
    write_predictions(Path(os.environ["OUT"]), predict(model, pool))


if __name__ == "__main__":
    main()
