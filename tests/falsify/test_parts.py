"""The parts of falsifiers that run nothing: hunks, orders, tests, and the reader of predictions."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from autoresearch.falsify.ablation import central, hunks_of, without
from autoresearch.falsify.degenerate import READER
from autoresearch.falsify.evidence import (
    ALPHA,
    Untestable,
    escalate,
    fresh_looks,
    on_fresh_seeds,
    on_test,
    p_above_zero,
)
from autoresearch.falsify.grounds import Order
from tests.examples import IDEA

BEFORE = {"train.py": "import a\n\n\ndef fit(x):\n    return x\n\n\nrate = 1\nwidth = 8\nshow()\n"}


def changed(*pairs: tuple[str, str]) -> dict[str, str]:
    text = BEFORE["train.py"]
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return {"train.py": text}


def test_a_change_of_comments_is_no_change() -> None:
    after = changed(
        ("rate = 1", "rate = 1  # of learning"), ("    return x", '    """Fit."""\n    return x')
    )
    assert hunks_of(BEFORE, after) == []


def test_the_change_that_the_idea_names_is_the_central_one_however_long_the_others_are() -> None:
    after = changed(
        ("width = 8", "width = 64"), ("    return x", "    print(x)\n    print(x)\n    return x")
    )
    hunks = hunks_of(BEFORE, after)
    idea = IDEA.model_copy(
        update={"title": "A larger width", "plan": "Set width to 64.", "summary": "Width."}
    )
    assert len(hunks) == 2
    left = without(central(hunks, BEFORE, after, idea), BEFORE, after)
    assert "width = 8\n" in left and left.count("print(x)") == 2


def test_a_new_file_is_one_change() -> None:
    after = BEFORE | {"more.py": "def more():\n    return 1\n"}
    (hunk,) = hunks_of(BEFORE, after)
    assert without(hunk, BEFORE, after) == ""


def test_scores_of_a_shuffled_pool_are_put_back_in_order() -> None:
    order = Order((2, 0, 3, 1), (True, True, False, True))
    assert order.back((0.2, 0.0, 0.1)) == [0.0, 0.1, 0.2]
    assert order.chosen() == [0, 1, 2]
    assert order.back((1.0,)) is None


@pytest.mark.parametrize(
    "told",
    [
        "[1, 0]",
        '{"rows": [0, 0], "validation": [1, 1]}',
        '{"rows": [1, 0], "validation": [1]}',
        "no",
    ],
)
def test_an_order_that_does_not_name_each_row_once_is_not_used(tmp_path: Path, told: str) -> None:
    (tmp_path / "order.json").write_text(told)
    with pytest.raises(Untestable, match=r"order\.json"):
        Order.read(tmp_path / "order.json")


def test_more_is_run_only_where_the_first_look_is_suspicious() -> None:
    ran: list[int] = []

    def value(number: int) -> float:
        ran.append(number)
        return 1.0

    assert escalate(value, 2, 6, lambda mean: mean > 2) == [1.0, 1.0] and ran == [0, 1]
    assert len(escalate(value, 2, 6, lambda mean: mean > 0)) == 6


def test_a_constant_gain_counts_by_its_sign() -> None:
    assert (p_above_zero([0.1, 0.1]), p_above_zero([-0.1, -0.1]), p_above_zero([0.0])) == (0, 1, 1)
    assert p_above_zero([0.1, 0.2, 0.15]) < 0.05 < p_above_zero([0.1, -0.2, 0.15])


@pytest.mark.parametrize(
    ("step", "claims", "runs", "refutes"),
    [(0.001, 1, 3, False), (0.3, 1, 5, False), (0.3, 20, 10, False), (2.0, 1, 10, True)],
)
def test_a_gain_is_looked_at_until_it_shows_and_the_more_claims_there_are_the_clearer_it_must_be(
    step: float, claims: int, runs: int, refutes: bool
) -> None:
    found = on_fresh_seeds(lambda number: 1 + step * (-1) ** number, 5, claims)
    assert (len(found.values), found.refutes) == (runs, refutes)


def test_the_last_look_is_at_twice_as_many_seeds_as_the_search_used() -> None:
    assert [fresh_looks(seeds) for seeds in (2, 3, 5, 10)] == [
        (3, 4, 6), (3, 4, 6), (3, 5, 10), (3, 10, 20),
    ]  # fmt: skip


def test_a_gain_on_test_is_held_to_a_level_that_all_opened_claims_share() -> None:
    clear, fair = [1.0, 1.01, 0.99, 1.0], [1.0, 1.6, 0.4, 1.0]  # p of the second one: 0.013
    assert [each.holds for each in on_test([(fair, None)])] == [True]
    nothing = [1.0, -1.0, 0.5, -0.4]
    found = on_test([(fair, None), (nothing, None), (nothing, None), (nothing, None)])
    assert [each.holds for each in found] == [False] * 4
    found = on_test([(nothing, None), (fair, None), (clear, None)])
    assert [each.holds for each in found] == [False, True, True]
    assert [each.level for each in found] == pytest.approx([ALPHA, ALPHA / 2, ALPHA / 3])


def test_a_gain_on_test_that_one_example_makes_with_every_seed_is_chance() -> None:
    rows = np.zeros((4, 40))
    rows[:, 7] = 1.0
    gains = [0.025 + tiny for tiny in (0.0, 1e-4, -1e-4, 0.0)]
    rows[:, 8] = [40 * (gain - 0.025) for gain in gains]
    assert [each.holds for each in on_test([(gains, None), (gains, rows)])] == [True, False]
    assert [each.p for each in on_test([([0.1, 0.1], None), ([0.0, 0.0], None)])] == [0.0, 1.0]
    assert on_test([]) == []


def looks(folder: Path, *names: str) -> dict[str, dict[str, int]]:
    out = folder / "out"
    out.mkdir()
    given = {"PREDICTIONS": str(folder), "OUT": str(out), "NAMES": json.dumps(names)}
    subprocess.run([sys.executable, READER / "describe.py"], env=os.environ | given, check=True)
    return json.loads((out / "found.json").read_text())


def test_predictions_are_described_as_text_or_plain_arrays(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("row,label\n0,1\n1,nan\n2,1\n")
    (tmp_path / "b.json").write_text('{"predictions": [1.5, 2.5, NaN, 2.5]}')
    (tmp_path / "words.csv").write_text("row,label\n0,cat\n1,dog\n")
    np.save(tmp_path / "c.npy", np.array([[1, 2], [1, 2], [np.inf, 0]]))
    np.save(tmp_path / "d.npy", np.array([3, 3, 3]))
    found = looks(tmp_path, "a.csv", "b.json", "c.npy", "d.npy", "words.csv", "absent.csv")
    assert found == {
        "a.csv": {"rows": 3, "different": 2, "not_finite": 1},
        "b.json": {"rows": 4, "different": 3, "not_finite": 1},
        "c.npy": {"rows": 3, "different": 2, "not_finite": 1},
        "d.npy": {"rows": 3, "different": 1, "not_finite": 0},
        "words.csv": {"rows": 2, "different": 2, "not_finite": 0},
    }


def test_objects_links_and_garbage_are_not_looked_into(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}, {}, {}], dtype=object), allow_pickle=True)
    (tmp_path / "garbage.npy").write_bytes(b"\x93NUMPY\x01\x00\xff\xff" + b"{" * 99)
    (tmp_path / "garbage.json").write_text("[" * 100_000)
    (tmp_path / "link.csv").symlink_to("/etc/passwd")
    assert looks(tmp_path, "objects.npy", "garbage.npy", "garbage.json", "link.csv") == {}
