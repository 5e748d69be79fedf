"""Says of prediction files what a scorer may have overlooked. Runs in the scorer's sandbox, alone.

Reads the files that $NAMES lists (JSON) in $PREDICTIONS, as text or as plain arrays, and unpickles nothing;
writes $OUT/found.json: of each file that it understands the rows, how many of them differ, and how many
values are no finite numbers. Standard library only.
"""

import array
import ast
import csv
import io
import json
import math
import os
import stat
import struct
from pathlib import Path
from typing import Any

Looks = dict[str, int]
LARGEST = 64 * 2**20  # bytes
FLOATS = {"f4": "f", "f8": "d"}


def main() -> None:
    folder, found = Path(os.environ["PREDICTIONS"]), {}
    for name in json.loads(os.environ["NAMES"]):
        try:
            content = read(folder / name)
            suffix = Path(name).suffix.lower()
            rows = from_array(content) if suffix == ".npy" else from_text(content, suffix)
        except (
            OSError,
            ValueError,
            SyntaxError,
            KeyError,
            TypeError,
            RecursionError,
            csv.Error,
            struct.error,
        ):
            continue
        if rows is not None:
            found[name] = rows
    (Path(os.environ["OUT"]) / "found.json").write_text(json.dumps(found))


def read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("no regular file")
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError("too large")
    return content


def from_text(content: bytes, suffix: str) -> Looks | None:
    """Of each row all but the first cell is the prediction, where there is more than one."""
    text = content.decode()
    if suffix == ".json":
        return from_json(json.loads(text))
    if suffix not in (".csv", ".tsv", ".txt"):
        return None
    separator = "\t" if suffix == ".tsv" else ","
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=separator) if row]
    cells = [row[1:] if len(row) > 1 else row for row in rows]
    if rows and not any(map(is_number, rows[0])) and any(map(is_number, rows[-1])):
        cells = cells[1:]  # a header
    return told(cells)


def from_json(value: Any) -> Looks | None:
    while isinstance(value, dict):
        lists = [each for each in value.values() if isinstance(each, list)]
        value = lists[0] if len(lists) == 1 else list(value.values())
    if not isinstance(value, list):
        return None
    return told([row if isinstance(row, list) else [row] for row in value])


def told(rows: list[list[Any]]) -> Looks:
    values = [cell for row in rows for cell in row]
    return {
        "rows": len(rows),
        "different": len({json.dumps(row) for row in rows}),
        "not_finite": sum(not is_finite(value) for value in values),
    }


def is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def is_finite(cell: Any) -> bool:
    """Text that is no number is a label, and as finite as any; nothing at all is not."""
    return math.isfinite(float(cell)) if is_number(cell) else cell not in (None, "")


def from_array(content: bytes) -> Looks | None:
    """A .npy file by its own header; one that holds objects is not looked into."""
    if content[:6] != b"\x93NUMPY":
        return None
    wide = content[6] > 1
    (size,) = struct.unpack("<I" if wide else "<H", content[8 : 12 if wide else 10])
    start = (12 if wide else 10) + size
    header = ast.literal_eval(content[start - size : start].decode("latin-1").strip())
    kind, shape = header["descr"], header["shape"]
    if not isinstance(kind, str) or "O" in kind or header["fortran_order"] or not shape:
        return None
    body, rows = content[start:], shape[0]
    width = len(body) // rows if rows else 0
    parts = {body[row * width : (row + 1) * width] for row in range(rows)}
    code, not_finite = FLOATS.get(kind[1:]), 0
    if code:
        values = array.array(code, body)
        if kind[0] == ">":
            values.byteswap()
        not_finite = sum(not math.isfinite(value) for value in values)
    return {"rows": rows, "different": len(parts), "not_finite": not_finite}


if __name__ == "__main__":
    main()
