"""Predictions that no scorer should fall for, made out of sound ones.

Each case is a folder like the one an experiment leaves. What a prediction file looks like inside is
guessed from its suffix and content; of one that is not understood only the cases that need no
understanding are made.
"""

import csv
import io
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from autoresearch.tables import is_header, is_number

LARGEST = 64 * 2**20  # bytes of a prediction file that is taken apart
HUGE = 16 * 2**20  # bytes of padding for the file that is too large
Wanted = Literal["refused", "better refused", "worse"]


@dataclass(frozen=True)
class Case:
    """`name` in words; `wanted`: to be refused, better so, or at least scored worse than the sound ones."""

    name: str
    wanted: Wanted
    change: Callable[[Path], bool]  # of one prediction file; False: does not apply to it


def prediction_files(folder: Path, scorer: str) -> list[Path]:
    """The files of an experiment that the scorer's source names; all of them where it names none."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return [path for path in files if path.name in scorer] or files


def spoil(sound: Path, target: Path, names: list[Path], case: Case) -> bool:
    """A copy of `sound` in `target` with the case's change; False where it does not apply."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(sound, target)
    return all([case.change(target / path.relative_to(sound)) for path in names])


def same_bytes(one: Path, other: Path) -> list[str]:
    """The names of the files that differ between two folders, or are in one of them only."""
    files = {p.relative_to(f) for f in (one, other) for p in f.rglob("*") if p.is_file()}
    return sorted(
        str(name)
        for name in files
        if not ((one / name).is_file() and (other / name).is_file())
        or (one / name).read_bytes() != (other / name).read_bytes()
    )


# --- what needs no understanding ----------------------------------------------------------------


def _delete(path: Path) -> bool:
    path.unlink()
    return True


def _write(content: bytes) -> Callable[[Path], bool]:
    return lambda path: path.write_bytes(content) >= 0


def _link(path: Path) -> bool:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    return True


def _pad(path: Path) -> bool:
    size = min(HUGE, shutil.disk_usage(path.parent).free // 4)
    with path.open("ab") as file:
        file.write(b"\n" * size)
    return path.suffix not in (".npy", ".npz")


_GARBAGE = bytes(random.Random(0).randrange(256) for _ in range(4096))


# --- what changes values ------------------------------------------------------------------------

Change = Callable[[list[Any]], list[Any] | None]


def _values(change: Change) -> Callable[[Path], bool]:
    """A change of the list of predictions, whatever file they are in."""

    def apply(path: Path) -> bool:
        if path.stat().st_size > LARGEST:
            return False
        write = _WRITERS.get(path.suffix.lower())
        try:
            return write is not None and write(path, change)
        except (ValueError, OSError, csv.Error):
            return False

    return apply


def _csv(path: Path, change: Change) -> bool:
    """Of each line all but the first cell is the prediction, where there is more than one."""
    separator = "\t" if path.suffix == ".tsv" else ","
    rows = list(csv.reader(io.StringIO(path.read_text()), delimiter=separator))
    if len(rows) < 3 or len({len(row) for row in rows}) != 1:
        return False
    head, body = (rows[:1], rows[1:]) if is_header(rows[0], rows[1]) else ([], rows)
    keys = [row[:1] if len(row) > 1 else [] for row in body]
    changed = change([row[len(key) :] for key, row in zip(keys, body, strict=True)])
    if changed is None:
        return False
    keys += [[str(len(keys) + i)] if keys[0] else [] for i in range(len(changed) - len(keys))]
    lines = [*head, *(key + value for key, value in zip(keys, changed, strict=False))]
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=separator, lineterminator="\n").writerows(lines)
    return True


def _json(path: Path, change: Change) -> bool:
    value = json.loads(path.read_text())
    lists = [value] if isinstance(value, list) else []
    if isinstance(value, dict):
        lists = [each for each in value.values() if isinstance(each, list)]
        if not lists and len(value) > 2:
            changed = change([[each] for each in value.values()])
            if changed is None or len(changed) > len(value):
                return False
            value = {key: row[0] for key, row in zip(value, changed, strict=False)}
            return path.write_text(json.dumps(value)) > 0
    for each in lists:
        changed = change([row if isinstance(row, list) else [row] for row in each])
        if changed is None:
            return False
        each[:] = [row if each and isinstance(each[0], list) else row[0] for row in changed]
    return bool(lists) and path.write_text(json.dumps(value)) > 0


def _npy(path: Path, change: Change) -> bool:
    import numpy as np

    array = np.load(path, allow_pickle=False)
    if array.ndim == 0 or len(array) < 3:
        return False
    changed = change(array.reshape(len(array), -1).tolist())
    if changed is None:
        return False
    kind = array.dtype if array.dtype.kind == "f" else None
    np.save(path, np.array(changed, dtype=kind).reshape(len(changed), *array.shape[1:]))
    return True


_WRITERS: dict[str, Callable[[Path, Change], bool]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".txt": _csv,
    ".json": _json,
    ".npy": _npy,
}


def _shuffled(rows: list[Any]) -> list[Any]:
    order = list(range(len(rows)))
    random.Random(0).shuffle(order)
    return [rows[i] for i in order]


def _constant(rows: list[Any]) -> list[Any]:
    """The most common prediction everywhere; the median where hardly any comes twice."""
    counts = Counter(map(str, rows))
    if counts.most_common(1)[0][1] > 1:
        return [rows[list(map(str, rows)).index(counts.most_common(1)[0][0])]] * len(rows)
    numbers = all(is_number(cell) for row in rows for cell in row)
    ranked = sorted(rows, key=lambda row: [float(c) for c in row]) if numbers else rows
    return [ranked[len(ranked) // 2]] * len(rows)


def _each(cell: Callable[[Any], Any], every: int) -> Change:
    """The cells of every n-th row replaced."""
    return lambda rows: [
        [cell(each) for each in row] if i % every == 0 else row for i, row in enumerate(rows)
    ]


def _beyond(cell: Any) -> Any:
    """A value of the same kind that no task has: text stays text."""
    wild = 10**9 if str(cell).lstrip("-").isdigit() else 1e300
    if isinstance(cell, str):
        return str(wild) if is_number(cell) else "no-such-label"
    return wild


def _header(path: Path) -> bool:
    lines = path.read_text(errors="replace").splitlines()
    if path.suffix not in (".csv", ".tsv") or len(lines) < 3:
        return False
    if not is_header(lines[0].split(","), lines[1].split(",")):
        return False
    cells = [f"x{i}" for i in range(lines[0].count(",") + 1)]
    return path.write_text("\n".join([",".join(cells), *lines[1:], ""])) > 0


def _nan(cell: Any) -> Any:
    return "nan" if isinstance(cell, str) else float("nan")


def cases() -> Iterator[Case]:
    """All cases, those that must be refused first."""
    yield Case("a missing file", "refused", _delete)
    yield Case("an empty file", "refused", _write(b""))
    yield Case("binary garbage", "refused", _write(_GARBAGE))
    yield Case("half of the rows", "refused", _values(lambda rows: rows[: len(rows) // 2]))
    yield Case("NaN in every row", "refused", _values(_each(_nan, 1)))
    yield Case("more rows than the pool has", "better refused", _values(lambda r: [*r, *r[:7]]))
    yield Case("a wrong header", "better refused", _header)
    yield Case("a link in place of the file", "better refused", _link)
    yield Case("a file with 16 MiB of empty lines", "better refused", _pad)
    yield Case("NaN in every third row", "worse", _values(_each(_nan, 3)))
    yield Case("values out of any range in every third row", "worse", _values(_each(_beyond, 3)))
    yield Case("shuffled predictions", "worse", _values(_shuffled))
    yield Case("one prediction for all rows", "worse", _values(_constant))


# --- the scorer's source ------------------------------------------------------------------------


def risky_calls(source: str) -> list[tuple[int, str]]:
    """Lines of a scorer that could run what a prediction file says: eval, exec, pickles, shells."""
    import ast

    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            pickles = any(
                word.arg == "allow_pickle" and getattr(word.value, "value", True) is not False
                for word in node.keywords
            )
            last = name.rpartition(".")[2]
            if name in _CALLS or (last in _METHODS and name != last) or pickles:
                found.append((node.lineno, name + ("(allow_pickle=True)" if pickles else "")))
    return sorted(set(found))


_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "yaml.load"}  # fmt: skip
_CALLS |= {f"{m}.{f}" for m in ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal") for f in ("load", "loads")}  # fmt: skip
_CALLS |= {f"subprocess.{f}" for f in ("run", "call", "Popen", "check_output", "check_call")}
_METHODS = {"read_pickle", "import_module", "run_path", "run_module", "Unpickler"}
