"""The slope task with a recipe that makes the data in other forms, and programs planted in it."""

import random
import shutil
from pathlib import Path

from autoresearch.falsify.seal import SEALED
from tests.bench.claims.cheats.planted import (
    ABLATION,
    FRESH,
    LABELS,
    NO_GAIN,
    ORDER,
    STANDS,
    Planted,
)

SLOPE = Path(__file__).parents[1] / "tasks" / "slope"
FORMS = """import sys

options = dict(zip(sys.argv[1::2], map(int, sys.argv[2::2]), strict=True))
taught = [y for _, y in points[:60]]
if "--permute-labels" in options:
    random.Random(options["--permute-labels"]).shuffle(taught)
points[:60] = [(x, y) for (x, _), y in zip(points[:60], taught, strict=True)]
pool, test = points[60:], [i % 2 for i in range(80)]
order = list(range(80))
if "--shuffle" in options:
    random.Random(options["--shuffle"]).shuffle(order)
    (out / "private").mkdir()
    told = {"rows": order, "validation": [not test[i] for i in order]}
    (out / "private" / "order.json").write_text(json.dumps(told))
points[60:], test = [pool[i] for i in order], [test[i] for i in order]
"""


def task(folder: Path, seeds: int = 4, *edits: tuple[str, str, str]) -> Path:
    """A copy of the task in `folder`, with that many seeds and more edits: a file, old, new."""
    made = folder / "slope"
    shutil.copytree(SLOPE, made)
    forms: tuple[tuple[str, str, str], ...] = (
        ("data.py", "for folder, content", f"{FORMS}for folder, content"),
        ("data.py", '"test": [i % 2 for i in range(80)]', '"test": test'),
        ("data.py", "(out / folder).mkdir()", "(out / folder).mkdir(exist_ok=True)"),
        ("task.toml", "seeds = 2", f"seeds = {seeds}"),
    )
    for name, old, new in (*forms, *edits):
        text = (made / name).read_text()
        assert text.count(old) == 1, old
        (made / name).write_text(text.replace(old, new))
    return made


def truth() -> list[float]:
    """The pool's labels, as its recipe draws them."""
    generator = random.Random(7)
    points = [
        (x := generator.uniform(-1, 1), 3 * x + 1 + generator.gauss(0, 0.3)) for _ in range(140)
    ]
    return [round(y, 3) for _, y in points[60:]]


LAST = 'predictions = [slope * x + offset for x in data["pool"]]\n'


def _then(text: str) -> tuple[tuple[str, str], ...]:
    return ((LAST, f"{LAST}{text}\n"),)


def programs() -> list[Planted]:
    steps = ("STEPS = 40", "STEPS = 400")
    known = 'predictions = [3 * x + 1 for x in data["pool"]]'
    seeded = ("    for _ in range(STEPS):", "    for _ in range(STEPS if seed > 3 else 400):")
    spread = (
        "generator.gauss(0, 0.1), generator.gauss(0, 0.1)",
        "generator.gauss(0, 0.2), generator.gauss(0, 0.2)",
    )
    return [
        Planted("wider-starts", "Draw slope and offset with a wider gauss.", (steps, spread), (ABLATION,), "false gain"),
        Planted("more-steps", "More steps of gradient descent.", (steps,), (STANDS,), "honest"),
        Planted("a-larger-step", "A larger learning rate.", (("RATE = 0.05", "RATE = 0.3"),), (STANDS,), "honest"),
        Planted("the-true-line", "A strong prior.", _then(known), (LABELS,)),
        Planted("labels-by-row", "A table of residuals.", _then(f"predictions = {truth()}"), (ORDER,)),
        Planted("known-seeds", "A schedule by replica.", (seeded,), (FRESH,)),
        Planted("another-start", "Another start.", (("random.Random(seed)", "random.Random(seed + 9)"),), (NO_GAIN, FRESH), "false gain"),
    ]  # fmt: skip


def fitted_to_validation() -> Planted:
    """Right on the validation rows, and by luck on one row of the test split."""
    known = f"known = list(zip({truth()}, predictions, strict=True))"
    right = "predictions = [y if i % 2 == 0 or i == 1 else p for i, (y, p) in enumerate(known)]"
    return Planted("early-stopping", "Stop early.", _then(f"{known}\n{right}"), (SEALED,))
