"""Edits are applied exactly, all of them, or not at all."""

import time

import pytest

from autoresearch.practice.edits import Refused, apply
from autoresearch.records import Edit, Patch

SOURCES = {"train.py": "a = 1\nb = 2\na = 1 + b\n", "model.py": "x = 0\n"}
EXISTING = {"train.py", "model.py", "README.md"}


def patch(*edits: tuple[str, str, str]) -> Patch:
    return Patch(plan="", edits=tuple(Edit(path=p, search=s, replace=r) for p, s, r in edits))


def applied(*edits: tuple[str, str, str], editable: tuple[str, ...] = ("*.py",)) -> dict[str, str]:
    return apply(patch(*edits), SOURCES, EXISTING, editable)


def test_edits_over_several_files_are_applied_in_order() -> None:
    changed = applied(
        ("train.py", "b = 2", "b = 3"),
        ("train.py", "b = 3\n", "b = 4\n"),
        ("model.py", "x = 0", "x = 1"),
    )
    assert changed == {"train.py": "a = 1\nb = 4\na = 1 + b\n", "model.py": "x = 1\n"}


def test_an_empty_search_part_makes_a_new_file() -> None:
    assert applied(("features.py", "", "y = 1\n")) == {"features.py": "y = 1\n"}


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("train.py", "c = 2", "c = 3"), "no place reads exactly"),
        (("train.py", "a = 1", "a = 2"), "stands in 2 places"),
        (("train.py", "", "a = 2"), "exists"),
        (("missing.py", "a", "b"), "there is no file"),
        (("README.md", "a", "b"), "may not be edited"),
        (("notes.txt", "", "b"), "may not be edited"),
        (("../train.py", "", "b"), "not a path inside"),
        (("/etc/cron.py", "", "b"), "not a path inside"),
        ((".git/hooks/x.py", "", "b"), "not a path inside"),
        (("sub/deep.py", "", "b"), "may not be edited"),
        (("train.py", "b = 2", "b = 2"), "change nothing"),
        (("a" * 300 + ".py", "", "b"), "too long"),
        (("a\0b.py", "", "b"), "not printable"),
        (("train.py/x.py", "", "b"), "is a file"),
        (("big.py", "", "x" * 500_000), "larger than"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_reason(edit: tuple[str, str, str], said: str) -> None:
    with pytest.raises(Refused, match=said):
        applied(edit)


def test_one_bad_edit_refuses_the_whole_patch() -> None:
    with pytest.raises(Refused):
        applied(("train.py", "b = 2", "b = 3"), ("model.py", "nowhere", "x"))


def test_the_nearest_text_is_shown_with_line_numbers() -> None:
    with pytest.raises(Refused, match=r"2 \| b = 2"):
        applied(("train.py", "b  =  2", "b = 3"))


def test_the_nearest_text_is_found_quickly_in_a_long_file_of_similar_lines() -> None:
    lines = [f"value_{n} = compute(value_{n - 1}, {n})" for n in range(5_000)]
    wanted = [line.replace("compute", "computed") for line in lines[3_000:3_120]]
    began = time.monotonic()
    with pytest.raises(Refused, match="no place reads exactly"):
        apply(
            patch(("train.py", "\n".join(wanted), "x")),
            {"train.py": "\n".join(lines)},
            {"train.py"},
            ("*.py",),
        )
    assert time.monotonic() - began < 5


def test_a_star_does_not_reach_into_folders_but_two_do() -> None:
    assert applied(("sub/deep.py", "", "b"), editable=("**/*.py",)) == {"sub/deep.py": "b"}
