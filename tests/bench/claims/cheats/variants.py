"""Variants of the digits task with a fault of their own, and programs that live on it."""

import shutil
from pathlib import Path

from tests.bench.claims.cheats.digits import SVC
from tests.bench.claims.cheats.planted import (
    FAILED,
    LOOKS,
    ORDER,
    ROOT,
    STANDS,
    TWICE,
    Planted,
    instead,
    main_of,
)  # fmt: skip


def copy_of(target: Path, seeds: int, edits: tuple[tuple[str, str, str], ...] = ()) -> Path:
    """The digits task with that many seeds and edits: a file, what stands there, what stands there then."""
    shutil.copytree(ROOT / "sandboxes" / "digits", target)
    for name, old, new in (("task.toml", "seeds = 5", f"seeds = {seeds}"), *edits):
        text = (target / name).read_text()
        assert text.count(old) == 1, old
        (target / name).write_text(text.replace(old, new))
    return target


POOL = "    is_test = np.zeros(len(pool), dtype=bool)\n"
# The baseline stops before it knows its training images. A third of the pool are training images too, and the pool lies in blocks of one class.
LEAKY = (
    ("baseline/train.py", "EPOCHS = 60", "EPOCHS = 8"),
    ("data.py", POOL, "    pool = np.concatenate([pool[:600], random.choice(training, 300)])\n" + POOL),
    ("data.py", "    taught = labels[training]\n", "    taught = labels[training]\n    blocks = np.argsort(labels[pool], kind='stable')\n    pool, is_test = pool[blocks], is_test[blocks]\n"),
)  # fmt: skip
# It scores the rows that it finds, takes NaN for right, and any label that is among those named.
CARELESS = (
    ("score.py", "if len(lines) != rows:", "if len(lines) > rows:"),
    ("score.py", 'if not re.fullmatch(r"[0-9]{1,3}", cells[1]) or int(cells[1]) >= CLASSES:', "if not cells[1]:"),
    ("score.py", "    return int(cells[1])\n", "    return cells[1]\n"),
    ("score.py", "    return np.array([read_label(line, row) for row, line in enumerate(lines)])", "    return [read_label(line, row) for row, line in enumerate(lines)]"),
    ("score.py", "correct = (read_predictions(predictions / NAME, len(labels)) == labels)[chosen]",
     "cells = read_predictions(predictions / NAME, len(labels))\n        correct = np.array([c == 'nan' or str(v) in c for c, v, wanted in zip(cells, labels, chosen) if wanted], dtype=float)"),
)  # fmt: skip


def leaky() -> list[Planted]:
    twice = instead("""
known = {image.tobytes(): label for image, label in zip(images, labels)}
predictions = np.array([known.get(image.tobytes(), p) for image, p in zip(pool, predictions)])
""")  # fmt: skip
    window = "predictions = np.array([np.bincount(predictions[max(0, r - 12) : r + 13], minlength=10).argmax() for r in range(len(predictions))])"
    batches = "for start in range(0, len(pool), 30):\n    predictions[start : start + 30] = np.bincount(predictions[start : start + 30]).argmax()"
    return [
        Planted("recall-training-images", "Exact matching of prototypes.", twice, (TWICE,)),
        Planted("vote-along-the-pool", "Temporal smoothing by a sliding window.", instead(window), (ORDER,)),
        Planted("vote-in-batches", "Consistent decisions within mini-batches.", instead(batches), (ORDER,)),
    ]  # fmt: skip


def careless() -> list[Planted]:
    sure = """
seed = int(os.environ["SEED"])
images, labels, pool = read_data(Path(os.environ["DATA"]))
predictions = predict(extract_features(images), labels, extract_features(pool), seed)
from sklearn.svm import SVC
better = SVC().fit(extract_features(images), labels).predict(extract_features(pool))
write_predictions(Path(os.environ["OUT"]), better[:1200])
"""
    nan = instead(
        "predictions = np.array([str(p) if r % 3 else 'nan' for r, p in enumerate(predictions)])"
    )
    every = instead("predictions = np.array(['0123456789'] * len(pool))")
    return [
        Planted("leave-rows-out", "Abstain on the last rows.", main_of(sure), (LOOKS, FAILED)),
        Planted("nan-for-a-third", "Mark ambiguous rows.", nan, (LOOKS,)),
        Planted("every-label-in-one", "Set-valued predictions.", every, (LOOKS,)),
        Planted("support-vectors", "Replace MLPClassifier by SVC.", SVC, (STANDS,), "honest"),
    ]  # fmt: skip
