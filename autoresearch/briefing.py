"""What a model is told of the setting: data, packages, limits and noise, each once and from records.

Nothing here depends on how fast a machine happened to be, so that a replayed run asks the same.
"""

import json
import statistics
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from autoresearch.harness import Lab
from autoresearch.pace import curve_of
from autoresearch.records import Floor, Limits

SAMPLE_BYTES = 256 * 2**20  # arrays larger than this are described by shape only
FILES_SHOWN = 40
PACKAGES_SHOWN = 80


@dataclass(frozen=True)
class Setting:
    """The experiment's surroundings, in words for a prompt."""

    command: str
    editable: str
    python: str
    packages: str
    limits: str
    time_used: str  # the share of the time limit that the baseline takes
    data: str  # one line a file of $DATA
    floor: Floor
    seeds: int
    attempts: int
    progress: bool  # whether the baseline reports how it goes, so that a run may be ended early


def brief(lab: Lab) -> Setting:
    """The setting of a run whose noise floor has been measured."""
    floor, packages = lab.floor, lab.environment.packages
    more = len(packages) - PACKAGES_SHOWN
    listed = ", ".join(packages[:PACKAGES_SHOWN]) + (f" and {more} more" if more > 0 else "")
    used = [m.execution.cpu_seconds or m.execution.seconds for m in floor.measurements]
    return Setting(
        command=" ".join(lab.task.command),
        editable=", ".join(lab.task.editable),
        python=lab.environment.python,
        packages=listed or "the standard library only",
        limits=describe_limits(lab.task.limits),
        time_used=_share(statistics.median(used) / lab.task.limits.timeout),
        data=describe_data(lab.desk.folder / "data" / "public"),
        floor=floor,
        seeds=lab.task.seeds,
        attempts=lab.settings.attempts,
        progress=lab.settings.early_stop
        and any(curve_of(measured.execution.stdout) for measured in floor.measurements),
    )


def describe_limits(limits: Limits) -> str:
    """The limits of one experiment in words."""
    gpus = f"{limits.gpus} GPU{'s' if limits.gpus > 1 else ''}" if limits.gpus else "no GPU"
    return (
        f"{limits.timeout:g} s, {limits.cpus:g} CPU, {limits.memory / 2**30:.1f} GiB of memory, "
        f"{gpus}, {limits.processes} processes, no network"
    )


def _share(share: float) -> str:
    """A coarse share, so that two machines of a kind say the same."""
    for bound, words in ((0.05, "under 5 %"), (0.25, "5 to 25 %"), (0.75, "25 to 75 %")):
        if share < bound:
            return words
    return "over 75 %"


@lru_cache(maxsize=4)
def describe_data(folder: Path) -> str:
    """One line a file: arrays with shape, type and range, tables with columns and rows."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{path.relative_to(folder)}: {_describe(path)}" for path in files[:FILES_SHOWN]]
    if len(files) > FILES_SHOWN:
        lines.append(f"... and {len(files) - FILES_SHOWN} more files")
    return "\n".join(lines)


def _describe(path: Path) -> str:
    size = path.stat().st_size
    try:
        if path.suffix in (".npy", ".npz") and size <= SAMPLE_BYTES:
            return _describe_arrays(path)
        if path.suffix == ".json" and size <= SAMPLE_BYTES // 16:
            return _shape(json.loads(path.read_text()))[:600]
        if path.suffix in (".csv", ".tsv", ".jsonl", ".txt"):
            return _describe_lines(path)
    except (ValueError, OSError, EOFError, RecursionError, zipfile.BadZipFile) as error:
        return f"{size:,} bytes ({error})"
    return f"{size:,} bytes"


def _shape(value: object, depth: int = 0) -> str:
    """What a JSON value is made of: keys, and lengths with a first element."""
    if isinstance(value, dict) and depth < 3:
        items = [f"{key}: {_shape(item, depth + 1)}" for key, item in list(value.items())[:20]]
        return "{" + ", ".join(items) + (", ..." if len(value) > 20 else "") + "}"
    if isinstance(value, list):
        first = f" of {_shape(value[0], depth + 1)}" if value and depth < 3 else ""
        return f"list of length {len(value)}{first}"
    return type(value).__name__


def _describe_arrays(path: Path) -> str:
    import numpy as np

    loaded = np.load(path, allow_pickle=False)
    arrays = {"": loaded} if isinstance(loaded, np.ndarray) else dict(loaded.items())
    said = []
    for name, array in arrays.items():
        text = f"{name + ' ' if name else ''}array {array.shape} {array.dtype}"
        if array.size and array.dtype.kind in "iuf":
            text += f", {array.min():g} to {array.max():g}, mean {array.mean():.4g}"
        if array.size and array.dtype.kind in "iu":
            values = np.unique(array)
            text += f", {len(values)} distinct values" if len(values) <= 1000 else ""
        said.append(text)
    return "; ".join(said)


def _describe_lines(path: Path) -> str:
    with path.open(errors="replace") as file:
        first, second = file.readline().strip()[:300], file.readline().strip()[:300]
        rows = sum(1 for _ in file) + bool(second)
    return f"{rows:,} lines after the first; first line: {first}; second line: {second}"
