"""Points on a noisy line: 60 to learn from and a pool of 80, half validation, half test."""

import json
import os
import random
from pathlib import Path

out = Path(os.environ["OUT"])
generator = random.Random(7)
points = []
for _ in range(140):
    x = generator.uniform(-1, 1)
    points.append((x, 3 * x + 1 + generator.gauss(0, 0.3)))
for folder, content in (
    ("public", {"train": points[:60], "pool": [x for x, _ in points[60:]]}),
    ("private", {"labels": [y for _, y in points[60:]], "test": [i % 2 for i in range(80)]}),
):
    (out / folder).mkdir()
    (out / folder / "data.json").write_text(json.dumps(content))
