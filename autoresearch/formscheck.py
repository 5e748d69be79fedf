"""Whether a task's recipe makes the two other forms of its data that gains are tested on, and rightly."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from autoresearch.falsify.evidence import Untestable
from autoresearch.falsify.grounds import SHUFFLED, Form, Grounds, Order, permuted
from autoresearch.findings import Finding, error, listed, ok, warning
from autoresearch.harness import Lab
from autoresearch.nonsense import same_bytes
from autoresearch.records import Measurement
from autoresearch.tables import Table, read_tables, steps

if TYPE_CHECKING:
    from autoresearch.tables import Column

TODO = "let data.py have it, as that of `autoresearch task new` does"


def check_forms(
    lab: Lab, first: Measurement, quick: bool, say: Callable[[str], None]
) -> Iterator[Finding]:
    """`first` is the baseline's run with seed 0; with `quick` it is not run on the other forms."""
    say("running data.py with --shuffle and --permute-labels")
    grounds = Grounds(lab)
    for form, check in ((SHUFFLED, _shuffled), (permuted(0), _permuted)):
        try:
            folder = grounds.lab_for(form).data_folder
            found = list(check(lab, folder, first))
        except Untestable as why:
            told = f"gains are not tested with {form.flag}"
            yield (warning if "no option" in str(why) else error)(f"{told}: {why}", TODO)
            continue
        yield from found
        if not quick and all(each.level == "ok" for each in found):
            yield from _baseline(grounds, form, first)


def _shuffled(lab: Lab, folder: Path, first: Measurement) -> Iterator[Finding]:
    order = Order.read(folder / "private" / "order.json")
    if list(order.rows) == list(range(len(order.rows))):
        yield error("data.py --shuffle left the pool in its order", "take it from the seed given")
        return
    count = len(first.score.examples) if first.score else 0
    if count and sum(order.validation) != count:
        yield error(
            f"private/order.json names {sum(order.validation)} validation rows, score.py scores {count}",
            'have "validation" say of each row, in its new place, whether SPLIT=validation scores it',
        )
        return
    unlike = []
    for part in ("public", "private"):
        pairs = _pairs(lab.data_folder / part, folder / part, part)
        unlike += [old.name for old, new in pairs if not _moved(old, new, order)]
    if unlike:
        yield error(
            f"data.py --shuffle made another {listed(sorted(set(unlike)))} than the same rows in the order "
            "that private/order.json tells",
            "move pool, labels and splits alike, and leave training data as they are",
        )
    else:
        yield ok(f"data.py --shuffle gives the same {len(order.rows)} pool rows in another order")


def _permuted(lab: Lab, folder: Path, first: Measurement) -> Iterator[Finding]:
    private = same_bytes(lab.data_folder / "private", folder / "private")
    if private:
        yield error(
            f"data.py --permute-labels made another private/{listed(private)}",
            "permute the training labels only",
        )
        return
    changed = same_bytes(lab.data_folder / "public", folder / "public")
    pairs = _pairs(lab.data_folder / "public", folder / "public", "public")
    wrong = [
        f"{old.name}, column {key}"
        for old, new in pairs
        for key, values in old.columns.items()
        if key not in new.columns or sorted(values.tolist()) != sorted(new.columns[key].tolist())
    ]
    if wrong:
        yield error(
            f"data.py --permute-labels gives other values in {listed(wrong)}",
            "permute the labels among the training rows, and change nothing else",
        )
    else:
        yield ok(
            f"data.py --permute-labels changes the order in {listed(changed)} and nothing else"
        )


def _pairs(before: Path, after: Path, label: str) -> list[tuple[Table, Table]]:
    """The tables of both folders, by name; what is in no known format is passed over."""
    old, new = (read_tables(folder, label)[0] for folder in (before, after))
    by_name = {each.name: each for each in new}
    return [(each, by_name[each.name]) for each in old if each.name in by_name]


def _moved(old: Table, new: Table, order: Order) -> bool:
    """Whether each row is where the order says; of a table of another length, where it was. Columns that
    count the rows stay as they are."""
    rows = list(order.rows) if old.rows == len(order.rows) else list(range(old.rows))
    if new.rows != old.rows:
        return False
    if old.matrix is not None and new.matrix is not None:
        return _same(old.matrix[rows], new.matrix)
    return all(
        key in new.columns and (_same(values[rows], new.columns[key]) or steps(values))
        for key, values in old.columns.items()
    )


def _same(one: "Column", other: "Column") -> bool:
    return one.shape == other.shape and one.tobytes() == other.tobytes()


def _baseline(grounds: Grounds, form: Form, first: Measurement) -> Iterator[Finding]:
    """What the baseline makes of it: the same of another order, and less of wrong labels."""
    try:
        again = grounds.baseline(form, 0)
    except Untestable as why:
        yield error(str(why), "mend the baseline: it has to run on that too")
        return
    task, before = grounds.lab.task, float(first.value or 0.0)
    now = float(again.value or 0.0)
    if form is SHUFFLED:
        if abs(before - now) > 1e-9 * max(1.0, abs(before)):
            yield warning(
                f"the baseline scores {now:.4g} instead of {before:.4g} on the pool in another order",
                "predict each row by itself: gains that depend on the order are refuted",
            )
        return
    if task.gain(now, before) >= 0:
        yield error(
            f"taught permuted labels the baseline scores {now:.4g}, no worse than {before:.4g}",
            "see whether it learns from the training labels at all",
        )
    else:
        yield ok(f"taught permuted labels the baseline scores {now:.4g} instead of {before:.4g}")
