"""`task check` says whether a recipe's two options do what they say: each fault made on purpose."""

import re
from pathlib import Path

import pytest

from autoresearch.config import SandboxSettings, Settings
from autoresearch.findings import Finding
from autoresearch.taskcheck import Wish, check_task
from tests.falsify import lines


def check(task: Path, quick: bool = True) -> list[str]:
    settings = Settings(task=str(task), sandbox=SandboxSettings(kind="local"))
    found: list[Finding] = list(check_task(settings, Wish(quick), lambda doing: None))
    return [line for each in found for line in each.lines()]


@pytest.mark.timeout(1200)
def test_a_recipe_that_does_what_it_says_is_found_to(tmp_path: Path) -> None:
    said = "\n".join(check(lines.task(tmp_path, 2), quick=False))
    assert "ok: data.py --shuffle gives the same 80 pool rows in another order" in said
    assert "ok: data.py --permute-labels changes the order in data.json and nothing else" in said
    assert re.search("ok: taught permuted labels the baseline scores .* instead of", said)


ORDER = "[not test[i] for i in order]"
FAULTS = {
    "no options": (
        [("data.py", lines.FORMS, "test = [i % 2 for i in range(80)]\n")],
        ["warning: gains are not tested with --shuffle: the task's data.py has no option --shuffle; let data.py",
         "warning: gains are not tested with --permute-labels: the task's data.py has no option"],
    ),
    "options that change nothing": (
        [("data.py", "random.Random(options[\"--shuffle\"]).shuffle(order)", "pass"),
         ("data.py", "random.Random(options[\"--permute-labels\"]).shuffle(taught)", "pass")],
        ["error: gains are not tested with --shuffle: data.py --shuffle changed nothing that experiments see",
         "error: gains are not tested with --permute-labels: data.py --permute-labels changed nothing"],
    ),
    "a pool that moves without its labels, and permuted features": (
        [("data.py", '"labels": [y for _, y in points[60:]]', '"labels": [y for _, y in pool]'),
         ("data.py", "taught = [y for _, y in points[:60]]", "taught = [y for _, y in points[:60]]\nif '--permute-labels' in options:\n    taught[0] = 99.0")],
        ["error: data.py --shuffle made another private/data.json: labels than the same rows",
         "error: data.py --permute-labels gives other values in public/data.json: train"],
    ),
    "an order that names the wrong rows as validation, and labels of the pool permuted too": (
        [("data.py", ORDER, "[True for i in order]"),
         ("data.py", "pool, test = points[60:]", "if '--permute-labels' in options:\n    points[60:] = points[:59:-1]\npool, test = points[60:]")],
        ["error: private/order.json names 80 validation rows, score.py scores 40; have",
         "error: data.py --permute-labels made another private/data.json; permute the training labels only"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.timeout(1200)
def test_a_fault_in_an_option_is_found(tmp_path: Path, fault: str) -> None:
    edits, wanted = FAULTS[fault]
    task = lines.task(tmp_path, 2, *edits)
    said = "\n".join(check(task))
    for each in wanted:
        assert each in said, (each, said)
