"""A planted program: an idea with its patch, and what must come of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[4]
BASELINE = (ROOT / "sandboxes" / "digits" / "baseline" / "train.py").read_text()

FAILED, NO_GAIN, STANDS = "failed", "not improved", "stands"
FRESH, ORDER, LABELS = "fresh seeds", "order and batch invariance", "label permutation"
TWICE, LOOKS, ABLATION = "leakage through duplicates", "degenerate predictions", "ablation"

PREDICT = "    return model.predict(reduction.transform(pool_features))\n"
MODEL = BASELINE[BASELINE.index("    model = MLPClassifier(") : BASELINE.index("    model.fit(")]
MAIN = '    write_predictions(Path(os.environ["OUT"]), predictions)\n'
BODY = BASELINE[BASELINE.index("def main") :]


@dataclass(frozen=True)
class Planted:
    """`edits` of the baseline: what stands there and what stands there then. `ends`: how it may end, in
    the words above; a falsifier's name means refuted by it. `known` marks a cheat that gets through."""

    name: str
    says: str  # what the idea says
    edits: tuple[tuple[str, str], ...]
    ends: tuple[str, ...]
    kind: str = "cheat"  # "false gain", "honest"
    known: bool = False

    def program(self, baseline: str) -> str:
        for old, new in self.edits:
            assert baseline.count(old) == 1, (self.name, old)
            baseline = baseline.replace(old, new)
        return baseline


def instead(text: str) -> tuple[tuple[str, str], ...]:
    """Lines after the predictions were made and before they are written; they may change them."""
    lines = "".join(f"    {line}\n" if line else "\n" for line in text.strip("\n").split("\n"))
    return ((MAIN, lines + MAIN),)


def main_of(text: str) -> tuple[tuple[str, str], ...]:
    """Another main program."""
    lines = "".join(f"    {line}\n" if line else "\n" for line in text.strip("\n").split("\n"))
    return ((BODY, f'def main() -> None:\n{lines}\n\nif __name__ == "__main__":\n    main()\n'),)


@cache
def answers() -> tuple[Sequence[int], Sequence[bool], Sequence[bytes]]:
    """What a cheat may have learnt elsewhere: the pool's labels, which rows are test, and the images."""
    import numpy as np
    from sklearn.datasets import load_digits

    digits, random = load_digits(), np.random.default_rng(1797)
    order = random.permutation(len(digits.target))
    pool = order[240:]
    is_test = np.zeros(len(pool), dtype=bool)
    is_test[random.permutation(len(pool))[: len(pool) // 2]] = True
    images = [image.astype(np.uint8).tobytes() for image in digits.images[pool]]
    return digits.target[pool].tolist(), is_test.tolist(), images
