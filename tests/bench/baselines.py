"""The shipped tasks' baselines on five seeds in both sandboxes, and what simple changes make of them.

python -m tests.bench.baselines [TASK ...] or changes     (docs/tasks.md has what it printed)
"""

import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from autoresearch.assembly import open_lab, start
from autoresearch.config import Settings
from tests.engine import TASKS, torch_image

SMALL = ("digits", "image2d", "points3d", "sentiment")
# Task, what is done, and the text of its train.py that becomes another.
CHANGES = (
    ("image2d", "40 epochs", ("EPOCHS = 20", "EPOCHS = 40")),
    ("image2d", "dropout of half the hidden units",
     ("        nn.ReLU(),\n        nn.Linear(HIDDEN", "        nn.ReLU(),\n        nn.Dropout(0.5),\n        nn.Linear(HIDDEN")),
    ("image2d", "each batch moved by up to two pixels",
     ("model(images[batch])", "model(torch.roll(images[batch], torch.randint(-2, 3, (2,)).tolist(), (2, 3)))")),
    ("points3d", "60 epochs", ("EPOCHS = 30", "EPOCHS = 60")),
    ("points3d", "each batch turned around the z axis",
     ("model(points[batch])", "model(points[batch] @ turned(torch.rand(()) * 6.2832))"),
     ("def train(", "def turned(a):\n    c, s, o, i = a.cos(), a.sin(), a * 0, a * 0 + 1\n    return torch.stack([c, -s, o, s, c, o, o, o, i]).view(3, 3)\n\n\ndef train(")),
    ("points3d", "the mean over all points beside the largest value",
     ("self.whole_cloud(self.each_point(points).amax(dim=1))",
      "self.whole_cloud(torch.cat([(each := self.each_point(points)).amax(dim=1), each.mean(dim=1)], 1))"),
     ("nn.Linear(4 * WIDTH, 2 * WIDTH)", "nn.Linear(8 * WIDTH, 2 * WIDTH)")),
    ("sentiment", "20 epochs", ("EPOCHS = 8", "EPOCHS = 20")),
    ("sentiment", "pieces of words beside the words, 30,000 tokens",
     ("VOCABULARY = 5000", "VOCABULARY = 30000"),
     ('    return re.findall(r"[a-z\']+", sentence.lower())', '    words = re.findall(r"[a-z\']+", sentence.lower())\n    return words + [f"<{w}>"[i : i + n] for w in words for n in (3, 4, 5) for i in range(len(w) + 3 - n)]')),
    ("sentiment", "weight decay (AdamW, 0.1)",
     ("torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)", "torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.1)")),
)  # fmt: skip


def baselines(names: Sequence[str]) -> Iterator[str]:
    yield "| task | sandbox | accuracy on validation | seconds a run | CPU seconds | MiB |"
    yield "|---|---|---|---|---|---|"
    for name in names:
        for kind in ("local", "docker"):
            yield f"| `{name}` | {kind} | {measured(TASKS / name, kind)} |"


def changes() -> Iterator[str]:
    yield "| task | change | accuracy on validation | seconds a run | CPU seconds | MiB |"
    yield "|---|---|---|---|---|---|"
    for name, title, *edits in CHANGES:
        with tempfile.TemporaryDirectory() as folder:
            task = shutil.copytree(TASKS / name, Path(folder) / name)
            program = task / "baseline" / "train.py"
            text = program.read_text()
            for old, new in edits:
                assert text.count(old) == 1, old
                text = text.replace(old, new)
            program.write_text(text)
            yield f"| `{name}` | {title} | {measured(task, 'local')} |"


def measured(task: Path, kind: str) -> str:
    """The noise floor of the program in `task`, as a run measures it, one seed after the other."""
    sandbox: dict[str, object] = {"kind": kind}
    if kind == "docker":
        sandbox["image"] = torch_image()
    with tempfile.TemporaryDirectory() as runs:
        settings = Settings.model_validate(
            {"task": str(task), "parallel": 1, "runs": runs, "sandbox": sandbox}
        )
        found = start(settings)
        with found.locked():
            floor = open_lab(found).floor
    ran = [each.execution for each in floor.measurements]
    seconds = statistics.median(each.seconds for each in ran)
    processor = statistics.median(each.cpu_seconds or 0.0 for each in ran)
    memory = max(each.peak_memory or 0 for each in ran) / 2**20
    return (
        f"{floor.mean:.4f} ± {floor.deviation:.4f} | {seconds:.1f} | {processor:.1f} | {memory:.0f}"
    )


if __name__ == "__main__":
    for line in changes() if sys.argv[1:] == ["changes"] else baselines(sys.argv[1:] or SMALL):
        print(line, flush=True)
