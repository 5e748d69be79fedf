"""Whether an experiment could read the pool's labels, from what it is given.

A search, not a proof: it finds copies of the labels (also under other names for the classes), pools in
an order that tells them, columns that give them away, and pool rows that are training rows too. What
it does not read (images, other binary formats) is only compared byte by byte.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autoresearch.findings import Finding, error, listed, ok, warning
from autoresearch.tables import Table, bits, files_in, name_tables, pattern, read_tables, steps

if TYPE_CHECKING:
    from autoresearch.tables import Column

SHORTEST = 20  # labels; fewer are found anywhere
BITS = 30.0  # of information that a sequence has before finding it again means something
LARGEST = 256 * 2**20  # bytes of a file that is searched as bytes
MANY = 0.1  # the share of pool rows seen in training from which it is an error
_LABEL = re.compile(r"label|target|truth|answer|class|outcome|gold|\by\b|_y\b", re.IGNORECASE)
_SPLIT = re.compile(
    r"(.*[_ /:])?(is_?)?(test|splits?|val|validation|folds?|parts?|subset)(_rows|_mask)?(\.\w+)?",
    re.I,
)
_ID = re.compile(r"(.*[_ ])?(id|ids|row|rows|index|idx|key|name|file|filename|path|image)", re.I)


@dataclass(frozen=True)
class _Labels:
    """One private column that an experiment must not know, and its rows by split."""

    name: str
    values: "Column"
    parts: "Mapping[str, Column]"


def find_leaks(public: Path, private: Path, baseline: Path) -> Iterator[Finding]:
    """What of `private` can be read from what an experiment sees: `public` and its own code's folder."""
    hidden, _ = read_tables(private, "private")
    seen, unread = read_tables(public, "public")
    own, _ = read_tables(baseline, "baseline")
    found = [*_copies(public, private), *_copies(baseline, private, "baseline")]
    labels, splits = _labels_of(hidden)
    for each in labels:
        found += _in_tables(each, [*seen, *own, *name_tables(public, "public")])
        found += _in_bytes(each, unread, public)
        found += _in_order(each)
    found += [each for split in splits for each in _split_in_order(*split)]
    lengths = {len(each.values) for each in labels}
    found += _duplicates([t for t in seen if t.rows in lengths], [*seen, *own], lengths)
    found += _same_files(public)
    yield from found
    if not labels:
        yield warning(
            "no labels were recognised in private/, so no leak of them can be looked for",
            "keep them as a column named label in .csv, .npy or .json",
        )
    elif not any(each.level == "error" for each in found):
        names = listed([each.name for each in labels])
        yield ok(f"{names} not found in public/{_not_searched(unread, public)}")


def _not_searched(unread: list[Path], public: Path) -> str:
    kinds = sorted({path.suffix or path.name for path in unread})
    return f" ({listed(kinds)} files searched as bytes only)" if kinds else ""


# --- which columns are labels -------------------------------------------------------------------


def _labels_of(tables: list[Table]) -> tuple[list[_Labels], list[tuple[str, "Column"]]]:
    """The private columns to be hidden, and those that say which rows are which.

    Where a column is called a label (or its file, if it has no name of its own), only such are taken.
    """
    splits: list[tuple[str, Column]] = []
    labels: list[tuple[str, Column]] = []
    marked: list[tuple[str, Column]] = []
    for table in tables:
        own = table.named and len(table.columns) > 1
        for key, values in table.columns.items():
            name = f"{table.name}, column {key}" if len(table.columns) > 1 else table.name
            called = key if own else name.partition("/")[2]
            if len(values) < SHORTEST:
                continue
            if _SPLIT.fullmatch(called) and 1 < len(set(values.tolist())) <= 5:
                splits.append((name, values))
            elif not _is_id(key if own else "", called, values) and bits(values) >= BITS:
                (marked if _LABEL.search(called) else labels).append((name, values))
    return [_Labels(n, v, _parts(v, splits)) for n, v in marked or labels], splits


def _is_id(key: str, called: str, values: "Column") -> bool:
    """Whether a column names rows: by its own name, or because its values are all different."""
    if key and _ID.fullmatch(key):
        return True
    whole = values.dtype.kind != "f" or bool((values == values.round()).all())
    distinct = len(set(values.tolist())) == len(values)
    return distinct and (steps(values) or (whole and not _LABEL.search(called)))


def _parts(values: "Column", splits: list[tuple[str, "Column"]]) -> "Mapping[str, Column]":
    found = {"": values}
    for _, split in splits:
        if len(split) == len(values):
            for kind in sorted(set(split.tolist())):
                part = values[split == kind]
                if "train" not in str(kind) and len(part) >= SHORTEST and bits(part) >= BITS:
                    found[f" (those of one split, {kind})"] = part
    return found


# --- the labels themselves, somewhere in public -------------------------------------------------


def _copies(public: Path, private: Path, label: str = "public") -> Iterator[Finding]:
    """Private files whose bytes are in a public file, whole or as a part of it."""
    secrets = [(path, path.read_bytes()) for path in files_in(private) if _small(path)]
    secrets = [(path, data) for path, data in secrets if len(data) >= SHORTEST]
    for path in filter(_small, files_in(public)):
        data = path.read_bytes()
        for secret, content in secrets:
            if content in data:
                how = "is" if len(content) == len(data) else "is inside of"
                yield error(
                    f"private/{secret.relative_to(private)} {how} {label}/{path.relative_to(public)}",
                    "leave it out of what experiments see",
                )


def _small(path: Path) -> bool:
    return path.stat().st_size <= LARGEST


def _in_tables(labels: _Labels, tables: list[Table]) -> Iterator[Finding]:
    """At most one finding a table: the columns after the first say the same."""
    for table in tables:
        for key, values in table.columns.items():
            how = _given_away(labels, values)
            if how:
                where = f"{table.name}, column {key}" if len(table.columns) > 1 else table.name
                yield error(
                    f"{labels.name} can be read from {where}: {how}",
                    "leave it out of what experiments see",
                )
                break


def _given_away(labels: _Labels, values: "Column") -> str:
    for which, part in labels.parts.items():
        if part.dtype.kind == values.dtype.kind and _contains(values, part):
            return f"it has the labels{which}, in their order"
    return _tells(values, labels.values) if len(values) == len(labels.values) else ""


def _contains(values: "Column", part: "Column") -> bool:
    """Whether `part` stands in `values` as it is, without gaps."""
    import numpy as np

    if len(values) < len(part):
        return False
    _, codes = np.unique(np.concatenate([values, part]), return_inverse=True)
    whole = codes[: len(values)].astype(np.int32).tobytes()
    wanted, place = codes[len(values) :].astype(np.int32).tobytes(), -1
    while (place := whole.find(wanted, place + 1)) >= 0:
        if place % 4 == 0:
            return True
    return False


def _tells(values: "Column", labels: "Column") -> str:
    """How a column of the pool determines the labels: other names for the classes, or their order."""
    import numpy as np

    kinds = len(np.unique(labels))
    if kinds <= len(labels) / 2:
        pairs = len(set(zip(values.tolist(), labels.tolist(), strict=True)))
        if pairs == kinds == len(np.unique(values)):
            return "each of its values stands for one label"
    elif {values.dtype.kind, labels.dtype.kind} == {"f"} and len(np.unique(values)) == len(values):
        order, wanted = np.argsort(values), np.argsort(labels, kind="stable")
        if np.array_equal(order, wanted) or np.array_equal(order, wanted[::-1]):
            return "its values have the order of the labels"
    return ""


def _in_bytes(labels: _Labels, unread: list[Path], public: Path) -> Iterator[Finding]:
    """Labels as plain numbers inside of files of an unknown format."""
    import numpy as np

    if labels.values.dtype.kind != "f":
        return
    for path in filter(_small, unread):
        data = path.read_bytes()
        for kind in ("u1", "<i2", "<i4", "<i8", "<f4", "<f8"):
            with np.errstate(all="ignore"):
                stored = labels.values.astype(kind)
            if (stored == labels.values).all() and stored.tobytes() in data:
                yield error(
                    f"{labels.name} is inside of public/{path.relative_to(public)}, as {kind} numbers",
                    "leave it out of what experiments see",
                )
                break


# --- labels that the order tells ----------------------------------------------------------------


def _in_order(labels: _Labels) -> Iterator[Finding]:
    how = pattern(labels.values)
    if how:
        yield error(
            f"the order of the pool tells the labels: {labels.name} {how}",
            "shuffle the pool in data.py, with a fixed seed, before it is written",
        )


def _split_in_order(name: str, values: "Column") -> Iterator[Finding]:
    how = pattern(values)
    if how:
        yield warning(
            f"a row's number tells whether it is validation or test: {name} {how}",
            "draw the test rows at random in data.py, with a fixed seed",
        )


# --- pool rows that are training rows -----------------------------------------------------------


def _duplicates(pools: list[Table], tables: list[Table], lengths: set[int]) -> Iterator[Finding]:
    for pool in pools:
        for table in tables:
            if table is pool or (table.rows in lengths and "train" not in table.name):
                continue
            mine, theirs = comparable(pool, table)
            if len(set(mine)) < len(mine) / 2:
                continue  # rows that are hardly ever unique anyway
            known = set(theirs)
            twice = sum(row in known for row in mine)
            if twice:
                make = error if twice >= MANY * len(mine) else warning
                yield make(
                    f"{twice} of the {len(mine)} rows of {pool.name} are in {table.name} too",
                    "drop duplicates in data.py before the split",
                )


def comparable(pool: Table, table: Table) -> tuple[list[object], list[object]]:
    """The rows of both, over the features they share."""
    if pool.named != table.named:
        return [], []
    if pool.matrix is not None and table.matrix is not None:
        width = pool.matrix.shape[1]
        if table.matrix.shape[1] != width or width == 1:
            return [], []
        return [row.tobytes() for row in pool.matrix], [row.tobytes() for row in table.matrix]
    keys = [
        key
        for key, values in pool.columns.items()
        if not (steps(values) or len(set(values.tolist())) == 1)
        and not (pool.named and _ID.fullmatch(key))
    ]
    shared = [key for key in keys if key in table.columns]
    if not shared or (not pool.named and shared != keys):
        return [], []
    both = [[t.columns[key].tolist() for key in shared] for t in (pool, table)]
    return list(zip(*both[0], strict=True)), list(zip(*both[1], strict=True))


def _same_files(public: Path) -> Iterator[Finding]:
    """Files that are in two folders, as images of a pool that are training images too would be."""
    places: dict[str, set[str]] = {}
    for path in filter(_small, files_in(public)):
        if path.stat().st_size:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            places.setdefault(digest, set()).add(path.relative_to(public).parts[0])
    twice = [tops for tops in places.values() if len(tops) > 1]
    if twice:
        tops = listed(sorted(f"public/{top}" for top in twice[0]))
        yield warning(
            f"{len(twice)} files are in {tops} alike", "drop duplicates in data.py before the split"
        )
