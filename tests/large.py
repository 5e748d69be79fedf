"""A generated task whose baseline has the size of a real repository: 50 files, 20,000 lines."""

import random
from pathlib import Path

TASK = """[task]
topic = "Fitting a line inside a large repository"
goal = "Predict y from x with the standard library only; the score is the negative mean squared error."

[experiment]
command = ["python", "train.py"]
editable = ["**/*.py"]
timeout = "20s"
memory = "512m"
disk = "16m"

[metric]
name = "negative_mse"
direction = "maximize"

[evaluation]
seeds = 2
"""
PACKAGES = (
    "data",
    "models",
    "layers",
    "losses",
    "optimizers",
    "schedules",
    "metrics",
    "storage",
    "plots",
)
SUBJECTS = (
    "momentum", "dropout", "attention", "convolution", "embedding", "quantile", "histogram", "checkpoint",
    "augmentation", "normalization", "pooling", "residual", "spectral", "contrastive", "tokenizer",
)  # fmt: skip
VERBS = ("compute", "update", "collect", "reduce", "shift", "scale", "merge", "split")


def write_large_task(folder: Path, slope: Path, files: int = 50, lines: int = 20_000) -> Path:
    """The slope task with its fit in a package, among modules of which every other one is imported.
    Returns `folder`."""
    baseline = folder / "baseline"
    names = [
        f"{PACKAGES[n % len(PACKAGES)]}/{SUBJECTS[n % len(SUBJECTS)]}_{n}" for n in range(files - 3)
    ]
    imports = [
        f"from repo.{name.replace('/', '.')} import RATE as RATE_{n}\n"
        for n, name in enumerate(names)
        if n % 2
    ]
    head, _, tail = (slope / "baseline" / "train.py").read_text().partition("\n\ndata = ")
    texts = {
        "train.py": '"""Trains and predicts."""\n\nimport json\nimport os\nfrom pathlib import Path\n\n'
        f"from repo.fitting import fit\n\ndata = {tail}",
        "repo/__init__.py": '"""A repository of parts."""\n',
        "repo/fitting.py": head.replace("import random\n", f"import random\n{''.join(imports)}")
        + "\n",
    }
    draw, left = random.Random(7), lines - sum(text.count("\n") for text in texts.values())
    for place, name in enumerate(names):
        subject, _, _ = name.partition("/")[2].partition("_")
        texts[f"repo/{name}.py"] = module(draw, subject, left // (len(names) - place))
        left -= left // (len(names) - place)
    for name, text in texts.items():
        (baseline / name).parent.mkdir(parents=True, exist_ok=True)
        (baseline / name).write_text(text)
    for name in ("data.py", "score.py"):
        (folder / name).write_text((slope / name).read_text())
    (folder / "task.toml").write_text(TASK)
    return folder


def module(draw: random.Random, subject: str, lines: int) -> str:
    """A module of exactly `lines` lines with functions, a class and docstrings."""
    parts = [f'"""Parts for {subject}."""\n\nimport math\n\nRATE = {draw.uniform(0.01, 1):.3f}\n']
    number = 0
    while sum(part.count("\n") for part in parts) < lines - 40:
        verb = draw.choice(VERBS)
        if number % 6 == 5:
            parts.append(_class(draw, subject, number))
        else:
            parts.append(_function(draw, verb, subject, number))
        number += 1
    text = "".join(parts)
    return text + "# end\n" * (lines - text.count("\n"))


def _function(draw: random.Random, verb: str, subject: str, number: int) -> str:
    body = "".join(
        f"    value_{step} = {f'value_{step - 1}' if step else 'rows[0]'} * {draw.uniform(0.5, 2):.4f}"
        f" + math.sqrt(abs(scale) + {draw.randrange(9)})\n"
        for step in range(draw.randrange(6, 18))
    )
    return (
        f"\n\ndef {verb}_{subject}_{number}(rows, scale=1.0, steps={draw.randrange(2, 64)}):\n"
        f'    """{verb.capitalize()} the {subject} of rows, step by step."""\n{body}'
        f"    return [value_0 for _ in range(steps)]\n"
    )


def _class(draw: random.Random, subject: str, number: int) -> str:
    name = f"{subject.capitalize()}{number}"
    return (
        f'\n\nclass {name}:\n    """Keeps the state of {subject}."""\n\n'
        f"    def __init__(self, width={draw.randrange(4, 64)}, rate=RATE):\n"
        "        self.width = width\n        self.rate = rate\n\n"
        "    def step(self, rows):\n        return [row * self.rate for row in rows]\n"
    )
