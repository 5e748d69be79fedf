"""Tiny data sets in the real formats of CIFAR-100, ModelNet40 and SST-2, for tests of the full tasks."""

import json
from pathlib import Path

import numpy as np

RANDOM = np.random.default_rng(0)


def cifar100(folder: Path, training: int = 60, test: int = 30) -> Path:
    """The binary version: coarse label, fine label, then a red, a green and a blue plane a row."""
    inner = folder / "cifar-100-binary"
    inner.mkdir(parents=True)
    for name, count in (("train.bin", training), ("test.bin", test)):
        fine = RANDOM.integers(0, 100, (count, 1), dtype=np.uint8)
        fine[0] = 99
        pixels = RANDOM.integers(0, 256, (count, 3072), dtype=np.uint8)
        pixels[:, :1024] = fine  # the red plane shows the label: rows must stay together
        np.concatenate([fine // 5, fine, pixels], axis=1).tofile(inner / name)
    return folder


def modelnet40(folder: Path) -> Path:
    """modelnet40_normal_resampled: lists of objects, and a text file of points for each."""
    kinds = ("airplane", "night_stand", "xbox")
    folder.mkdir(parents=True)
    (folder / "modelnet40_shape_names.txt").write_text("".join(f"{kind}\n" for kind in kinds))
    for part, numbers in (("train", range(1, 8)), ("test", range(8, 11))):
        names = [(kind, f"{kind}_{number:04}") for kind in kinds for number in numbers]
        (folder / f"modelnet40_{part}.txt").write_text("".join(f"{name}\n" for _, name in names))
        for kind, name in names:
            (folder / kind).mkdir(exist_ok=True)
            points = RANDOM.normal(size=(1030, 6)) + kinds.index(kind)
            np.savetxt(folder / kind / f"{name}.txt", points, fmt="%.6f", delimiter=",")
    return folder


WORDS = [
    "it",
    "'s",
    "a",
    "film",
    "that",
    "never",
    "quite",
    "finds",
    "the",
    "heart",
    "of",
    "its",
    "own",
    "story",
]


def sst2(folder: Path, weights: bool = True) -> Path:
    """GLUE's tables, with phrases of sentences in the training data, and stand-ins for BERT's files."""
    (folder / "SST-2").mkdir(parents=True)
    sentences = [" ".join(RANDOM.permutation(WORDS)) for _ in range(40)]
    training = [
        text
        for s in sentences[:30]
        for text in (s, " ".join(s.split()[3:9]), s.split()[0] + " one")
    ]
    for name, texts in (("train.tsv", training), ("dev.tsv", sentences[30:])):
        rows = "".join(
            f"{text} \t{len(text.split()[0]) % 2}\n" for text in texts
        )  # GLUE has the trailing space
        (folder / "SST-2" / name).write_text("sentence\tlabel\n" + rows)
    if weights:
        (folder / "bert-base-uncased").mkdir()
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        vocabulary = "\n".join([*special, *sorted(set(WORDS)), "one", ""])
        for name, text in (
            ("config.json", json.dumps({})),
            ("vocab.txt", vocabulary),
            ("model.safetensors", ""),
        ):
            (folder / "bert-base-uncased" / name).write_text(text)
    return folder
