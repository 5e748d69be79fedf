"""A folder's files as tables: what a search for leaked labels looks at.

Nothing is unpickled, and of no file more is read than a bound.
"""

import csv
import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Column = np.ndarray[Any, Any]

LARGEST_TEXT = 64 * 2**20
LARGEST_ARRAY = 512 * 2**20
FEWEST = 8  # rows; fewer are settings, not data
LONGEST_PERIOD = 64  # rows
MOST_COLUMNS = 128  # of wider arrays, such as images, only whole rows are compared
SEPARATORS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Table:
    """Columns of one length: float64, or text where a value is no number. `named` tells columns with
    names of their own from those with positions. `matrix` has all of an array's rows, also where it
    is too wide for columns."""

    name: str
    columns: Mapping[str, "Column"]
    named: bool
    matrix: "Column | None" = None

    @property
    def rows(self) -> int:
        if self.matrix is not None:
            return len(self.matrix)
        return len(next(iter(self.columns.values())))


def files_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


def read_tables(folder: Path, label: str) -> tuple[list[Table], list[Path]]:
    """The tables of a folder's files, and the files that could not be read as any."""
    tables: list[Table] = []
    unread = []
    for path in files_in(folder):
        name = f"{label}/{path.relative_to(folder)}"
        try:
            tables += _read(path, name)
        except (ValueError, OSError, EOFError, RecursionError, csv.Error,
                zipfile.BadZipFile, zlib.error, MemoryError, KeyError, NotImplementedError):  # fmt: skip
            unread.append(path)
    return tables, unread


def _read(path: Path, name: str) -> Iterator[Table]:
    """Raises ValueError (and what reading raises) where the file is no table that is known here."""
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix in (".npy", ".npz"):
        yield from _arrays(path, name)
    elif suffix in SEPARATORS:
        text = _text(path)
        yield from _cells(list(csv.reader(io.StringIO(text), delimiter=SEPARATORS[suffix])), name)
    elif suffix == ".json":
        yield from _json(json.loads(_text(path)), name)
    elif suffix == ".jsonl":
        yield from _json([json.loads(line) for line in _text(path).splitlines() if line], name)
    elif suffix in (".txt", ".dat", ".data", ".labels"):
        yield from _cells([re.split(r"[,;\s]+", line) for line in _text(path).splitlines()], name)
    else:
        raise ValueError(f"{suffix} is not read")


def _text(path: Path) -> str:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        data: bytes = file.read(LARGEST_TEXT + 1)
    if len(data) > LARGEST_TEXT:
        raise ValueError("too large")
    return data.decode("utf-8-sig")


def column(values: Sequence[Any]) -> "Column":
    """The values as numbers, or as text where one of them is no number."""
    import numpy as np

    try:
        return np.array([float(value) for value in values])
    except (TypeError, ValueError, OverflowError):
        return np.array([str(value) for value in values])


def _arrays(path: Path, name: str) -> Iterator[Table]:
    import numpy as np

    if path.suffix == ".gz" or path.stat().st_size > LARGEST_ARRAY:
        raise ValueError("too large, or packed")
    loaded = np.load(path, allow_pickle=False)
    parts = {"": loaded} if isinstance(loaded, np.ndarray) else loaded
    for key in parts:
        array = parts[key]
        if array.ndim == 0 or len(array) < FEWEST or array.dtype.kind not in "biufUS":
            continue
        matrix = array.reshape(len(array), -1)
        matrix = matrix.astype(float if array.dtype.kind in "biuf" else str)
        width = matrix.shape[1]
        columns = {str(i): matrix[:, i] for i in range(width)} if width <= MOST_COLUMNS else {}
        yield Table(f"{name}: {key}" if key else name, columns, False, matrix)


def _cells(rows: list[list[str]], name: str) -> Iterator[Table]:
    """A table of text cells; the first row is its header when the second is of another kind."""
    rows = [[cell.strip() for cell in row] for row in rows if any(row)]
    if len(rows) < FEWEST or len({len(row) for row in rows}) > 1:
        if len(rows) >= FEWEST:
            raise ValueError("rows of several lengths")
        return
    named = is_header(rows[0], rows[1])
    names = rows[0] if named else [str(i) for i in range(len(rows[0]))]
    body = rows[1:] if named else rows
    kept = list(zip(names, zip(*body, strict=True), strict=True))[:MOST_COLUMNS]
    yield Table(name, {key: column(values) for key, values in kept}, named)


def is_header(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether a first row names the columns: no numbers, above a row with some, or all words."""
    return not any(map(is_number, first)) and (
        any(map(is_number, second)) or all(re.fullmatch(r"[A-Za-z]\w*", cell) for cell in first)
    )


def is_number(cell: object) -> bool:
    try:
        float(str(cell))
    except ValueError:
        return False
    return True


def _json(value: object, name: str, depth: int = 0) -> Iterator[Table]:
    """The lists in a JSON value as tables: of scalars, of records, or of rows; and mappings of scalars."""
    if isinstance(value, list):
        columns = _columns(value) if len(value) >= FEWEST else {}
        if columns:
            yield Table(name, columns, isinstance(value[0], dict))
    elif isinstance(value, dict) and depth < 8:
        if len(value) >= FEWEST and all(map(_is_scalar, value.values())):
            pairs = {"key": column(list(value)), "value": column(list(value.values()))}
            yield Table(name, pairs, True)
        for key, item in value.items():
            yield from _json(item, f"{name}: {key}", depth + 1)


def _columns(rows: list[Any]) -> dict[str, "Column"]:
    """{} for what is no table."""
    if all(map(_is_scalar, rows)):
        return {"0": column(rows)}
    if all(isinstance(row, dict) for row in rows):
        keys = [key for key in rows[0] if all(_is_scalar(row.get(key)) for row in rows)]
        return {str(key): column([row.get(key) for row in rows]) for key in keys}
    if not all(isinstance(row, list) and all(map(_is_scalar, row)) for row in rows):
        return {}
    if len({len(row) for row in rows}) > 1:
        return {}
    parts = list(zip(*rows, strict=True))[:MOST_COLUMNS]
    return {str(i): column(part) for i, part in enumerate(parts)}


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def name_tables(folder: Path, label: str) -> list[Table]:
    """What file names tell: their pieces, and the folder each file is in, in the order of names."""
    files = sorted(files_in(folder), key=lambda path: path.name)
    groups: dict[str, list[Path]] = {}
    for path in files:
        groups.setdefault(str(path.parent.relative_to(folder)), []).append(path)
        top = path.relative_to(folder).parts[0]
        if len(path.relative_to(folder).parts) > 2:
            groups.setdefault(f"{top}/**", []).append(path)
    tables = []
    for where, paths in groups.items():
        pieces = [re.split(r"[^A-Za-z0-9]+", path.stem) for path in paths]
        columns = {"folder": column([path.parent.name for path in paths])}
        if len({len(each) for each in pieces}) == 1:
            parts = zip(*pieces, strict=True)
            columns |= {f"piece {i + 1}": column(part) for i, part in enumerate(parts)}
        if len(paths) >= FEWEST:
            tables.append(Table(f"the file names in {label}/{where}", columns, True))
    return tables


# --- what a column is like ----------------------------------------------------------------------


def bits(values: "Column") -> float:
    """The information in a sequence, if its order were random."""
    import numpy as np

    _, counts = np.unique(values, return_counts=True)
    shares = counts / len(values)
    return float(-len(values) * (shares * np.log2(shares)).sum())


def steps(values: "Column") -> bool:
    """0, 1, 2, ... and the like."""
    import numpy as np

    return values.dtype.kind == "f" and len(values) > 2 and len(set(np.diff(values).tolist())) == 1


def pattern(values: "Column") -> str:
    """How a column follows from the row number; "" when it does not in a simple way."""
    import numpy as np

    changes = int((values[1:] != values[:-1]).sum())
    distinct = len(np.unique(values))
    if values.dtype.kind == "f" and distinct > 1:
        differences = np.diff(values)
        if (differences >= 0).all() or (differences <= 0).all():
            return "is sorted"
    if 1 < distinct <= len(values) / 2 and changes == distinct - 1:
        return "comes in blocks"
    for period in range(2, min(LONGEST_PERIOD, len(values) // 3) + 1):
        if distinct > 1 and np.array_equal(values[period:], values[:-period]):
            return f"repeats every {period} rows"
    return ""
