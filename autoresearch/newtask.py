"""`task new`: a task folder to start from, around existing code or as a small example that works."""

import json
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

from autoresearch.adoption import Adopted, adopt
from autoresearch.config import load_task
from autoresearch.errors import BadInput
from autoresearch.findings import listed
from autoresearch.prompts import shipped
from autoresearch.records import Direction
from autoresearch.store import cannot_write

KNOWN = {  # metrics that the template computes: what it is called there, and its direction
    "accuracy": ("accuracy", Direction.maximize),
    "error": ("error", Direction.minimize),
    "error_rate": ("error", Direction.minimize),
    "mse": ("mse", Direction.minimize),
    "rmse": ("rmse", Direction.minimize),
    "mae": ("mae", Direction.minimize),
}
COMPUTED = {
    "accuracy": "the share of right labels",
    "error": "the share of wrong labels",
    "mse": "the mean squared error",
    "rmse": "the root of the mean squared error",
    "mae": "the mean absolute error",
}
_SECTION = re.compile(r"\s*# \[([a-z ]+)\]\s*")


def new_task(
    folder: Path, source: Path | None, metric: str, direction: Direction | None
) -> Iterator[str]:
    """Make the folder; what was made and what is to be done, line by line.

    Raises BadInput, and then leaves nothing, where it is there already or something is not known.
    """
    kind, wanted = _metric(metric, direction)
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise BadInput(f"{folder} is there already: name a folder that is not, or an empty one")
    if source is not None and not source.exists():
        raise BadInput(f"--from {source}: there is no such file or folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as aside:
            made = Path(aside) / folder.name
            made.mkdir()
            adopted = adopt(source, made, Path(aside)) if source is not None else None
            _fill(made, adopted, {"METRIC": metric, "DIRECTION": wanted.value, "COMPUTED": COMPUTED[kind]},
                  {kind} | ({"other"} if metric not in KNOWN else set()))  # fmt: skip
            load_task(made)
            made.replace(folder)
    except OSError as problem:
        raise cannot_write(folder, problem) from None
    yield from _report(folder, metric, wanted, adopted)


def _metric(name: str, direction: Direction | None) -> tuple[str, Direction]:
    """Which variant of the template the metric takes, and its direction."""
    if not re.fullmatch(r"[A-Za-z][\w@.%-]{0,60}", name):
        raise BadInput(f"--metric {name!r}: a name such as accuracy, mse or val_loss")
    if name in KNOWN:
        kind, own = KNOWN[name]
        if direction not in (None, own):
            raise BadInput(f"{name} is {own.value}d: leave --direction out, or name another metric")
        return kind, own
    if direction is None:
        raise BadInput(f"--metric {name} is not known here: add --direction maximize or minimize")
    return ("accuracy" if direction is Direction.maximize else "mse"), direction


def _fill(made: Path, adopted: Adopted | None, words: dict[str, str], tags: set[str]) -> None:
    entry = adopted.entries[0] if adopted and adopted.entries else "train.py"
    nested = adopted is not None and any("/" in name for name in adopted.code)
    tables = [name for name in (adopted.raw if adopted else ()) if name.endswith(".csv")]
    words |= {
        "RAW": tables[0] if tables and '"' not in tables[0] else "data.csv",
        "FOLDER": made.name,
        "TOPIC": re.sub(r"[\W_]+", " ", made.name).strip(),
        "COMMAND": f"python {shlex.quote(entry)}",
        "ARGUMENTS": json.dumps(["python", entry]),
        "EDITABLE": '["**/*.py"]' if nested else '["*.py"]',
        "BETTER": "higher" if words["DIRECTION"] == "maximize" else "lower",
        "TIMEOUT": "1m" if adopted is None else "10m",
        "SEEDS": "10" if adopted is None else "5",  # the example's runs take a second
    }
    templates = shipped("templates") / "task"
    for path in sorted(p for p in templates.rglob("*") if p.is_file()):
        name = path.relative_to(templates)
        if adopted is not None and name.parts[0] == "baseline":
            continue
        text = chosen(path.read_text(encoding="utf-8"), tags)
        for word, value in words.items():
            text = text.replace(f"@{word}@", value)
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(text, encoding="utf-8")
    (made / "raw").mkdir(exist_ok=True)
    if adopted and adopted.requirements:
        (made / "requirements.txt").write_text(adopted.requirements)
    if adopted and not adopted.entries:
        task = made / "task.toml"
        text = task.read_text()
        task.write_text(
            text.replace("command = ", "# YOUR COMMAND HERE: no program was recognised\ncommand = ")
        )


def chosen(text: str, tags: set[str]) -> str:
    """The template's text with only those sections that one of the tags names."""
    kept, inside = [], True
    for line in text.splitlines(keepends=True):
        section = _SECTION.fullmatch(line)
        if section:
            inside = section[1] == "all" or bool(tags & set(section[1].split()))
        elif inside:
            kept.append(line)
    return re.sub(r"\n{4,}", "\n\n\n", "".join(kept))


def _report(
    folder: Path, metric: str, direction: Direction, adopted: Adopted | None
) -> Iterator[str]:
    yield f"made {folder} ({direction.value} {metric})"
    if adopted is None:
        yield "  a small example that works as it is: labels from two features, standard library only"
    else:
        yield from _adopted(adopted)
    yield "next"
    raw = f" (from {folder}/raw/{adopted.raw[0]}?)" if adopted and adopted.raw else ""
    steps = [f"{folder}/data.py: return your own data, at YOUR DATA HERE{raw}"]
    if adopted is not None:
        entry = adopted.entries[0] if adopted.entries else "your program"
        steps.append(
            f"{folder}/baseline/{entry}: read $DATA/train.csv and $DATA/pool.csv, take the seed from "
            f"$SEED, write $OUT/predictions.csv ({folder}/README.md shows how)"
        )
    if metric not in KNOWN:
        steps.append(f"{folder}/score.py: compute {metric}, at YOUR METRIC HERE")
    steps.append(
        f"{folder}/task.toml: the topic and the goal, at YOUR TOPIC HERE and YOUR GOAL HERE"
    )
    steps.append(f"autoresearch task check {shlex.quote(str(folder))}")
    yield from (f"  {number}. {step}" for number, step in enumerate(steps, start=1))


def _adopted(adopted: Adopted) -> Iterator[str]:
    yield f"  baseline/   {listed(adopted.code, 6)}"
    if adopted.raw:
        yield f"  raw/        {listed(adopted.raw, 6)} (for data.py: experiments do not see raw/)"
    if adopted.left_out:
        yield f"  left out    {listed(adopted.left_out, 8)}"
    if adopted.entries:
        others = adopted.entries[1:]
        also = f" (also possible: {listed(others)}; change it in task.toml)" if others else ""
        yield f"  command     python {adopted.entries[0]}{also}"
    else:
        yield "  command     not recognised: set it in task.toml, at YOUR COMMAND HERE"
    needs = adopted.requirements.split("\n")
    yield f"  packages    {listed([line for line in needs if line], 8) or 'the standard library only'}"
    if adopted.unpinned:
        yield f"  pin these   {listed(adopted.unpinned, 8)}: name the versions in requirements.txt"
