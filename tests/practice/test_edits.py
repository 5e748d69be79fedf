"""Edits are applied exactly, all of them, or not at all."""

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch.practice.edits import MAX_BYTES, apply, exact_sources, write
from autoresearch.practice.matching import Refused, universal
from autoresearch.records import Edit, Patch
from autoresearch.workspace import Workspace

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


def change(**edit: str) -> Edit:
    return Edit.model_validate(edit)


def done(*edits: Edit, sources: dict[str, str] = SOURCES) -> dict[str, str | None]:
    return apply(Patch(plan="", edits=edits), sources, {*EXISTING, *sources}, ("**/*.py",))


def test_files_are_rewritten_renamed_and_deleted() -> None:
    assert done(
        change(path="train.py", action="rename", target="lib/fit.py"),
        change(path="lib/fit.py", search="b = 2\n", replace="b = 3\n"),
        change(path="model.py", action="delete"),
        change(path="train.py", action="edit", replace="import lib.fit\n"),
    ) == {
        "train.py": "import lib.fit\n",
        "lib/fit.py": "a = 1\nb = 3\na = 1 + b\n",
        "model.py": None,
    }
    assert done(change(path="model.py", action="rewrite", replace="y\n")) == {"model.py": "y\n"}


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"path": "none.py", "action": "delete"}, "there is no file none.py"),
        ({"path": "none.py", "action": "rewrite", "replace": "x"}, "there is no file"),
        ({"path": "README.md", "action": "delete"}, "may not be edited"),
        ({"path": "train.py", "action": "rename", "target": "model.py"}, "model.py exists: delete it"),
        ({"path": "train.py", "action": "rename", "target": "notes.txt"}, "notes.txt may not be edited"),
        ({"path": "train.py", "action": "rename", "target": "../x.py"}, "not a path inside"),
        ({"path": "train.py", "action": "rename", "target": "model.py/x.py"}, "is a file"),
        ({"path": "train.py", "action": "rename", "target": "train.py"}, "exists"),
        ({"path": "train.py", "action": "rewrite", "replace": SOURCES["train.py"]}, "change nothing"),
        ({"path": "new.py", "replace": "\ud800"}, "characters that UTF-8 does not have"),
        ({"path": "./train.py", "search": "b = 2\n", "replace": ""}, "not a path inside"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_with_a_file_is_refused(edit: dict[str, str], said: str) -> None:
    with pytest.raises(Refused, match=said):
        done(change(**edit))


def test_every_edit_that_does_not_fit_is_told_at_once() -> None:
    wrong = [
        change(path=path, search="nowhere\n", replace="x") for path in ("train.py", "model.py")
    ]
    follows = change(path="train.py", search="also nowhere\n", replace="x")
    with pytest.raises(Refused) as refused:
        done(*wrong, follows)
    told = str(refused.value)
    assert "train.py: no place" in told and "model.py: no place" in told and "also" not in told


def test_whole_lines_are_meant_where_a_line_ends_like_another() -> None:
    sources = {"train.py": "bb = 2\nb = 2\n    c = 3\n    d = 4\n"}
    assert done(change(path="train.py", search="b = 2\n", replace="b = 3\n"), sources=sources) == {
        "train.py": "bb = 2\nb = 3\n    c = 3\n    d = 4\n"
    }
    with pytest.raises(
        Refused, match=r"middle of a line(.|\n)*only spaces differ(.|\n)*3 \|     c = 3"
    ):
        done(change(path="train.py", search="c = 3\n    d = 4\n", replace="c\n"), sources=sources)
    with pytest.raises(Refused, match="stands in 2 places"):
        done(
            change(path="train.py", search="x\nx\n", replace=""), sources={"train.py": "x\nx\nx\n"}
        )


@pytest.mark.parametrize(
    ("exact", "search", "replace", "expected"),
    [
        ("a\r\nb\r\nc\n", "b\n", "x\ny\n", "a\r\nx\r\ny\r\nc\n"),
        ("a\nb\r\nc\r\n", "a\nb\nc\n", "a\nx\nc\n", "a\nx\r\nc\r\n"),
        ("\ufeffa\nb\n", "a\n", "x\n", "\ufeffx\nb\n"),
        ("a\nb", "b\n", "x\n", "a\nx"),
        ("a\nb", "b\n", "b\nc\n", "a\nb\nc"),
        ("a\r\nb", "b\n", "b\nc\n", "a\r\nb\r\nc"),
        ("a\nb", "a\n", "", "b"),
        ("\ta\x0c\nb\u2028\n", "b\u2028\n", "\tb\n", "\ta\x0c\n\tb\n"),
        ("a\rb\r", "b\n", "x\ny\n", "a\rx\ry\r"),
    ],
)
def test_ends_of_lines_marks_and_tabs_stay_as_the_file_has_them(
    exact: str, search: str, replace: str, expected: str
) -> None:
    edit = change(path="train.py", search=search, replace=replace)
    assert done(edit, sources={"train.py": exact}) == {"train.py": expected}


def test_a_rewritten_file_keeps_its_mark_and_its_ends_of_lines() -> None:
    edit = change(path="train.py", action="rewrite", replace="x\ny\n")
    assert done(edit, sources={"train.py": "\ufeffa\r\nb\r\n"}) == {"train.py": "\ufeffx\r\ny\r\n"}


ends = st.sampled_from(["\n", "\r\n", "\n", "\r"])
texts = st.lists(st.tuples(st.text("ab \tc", max_size=3), ends), max_size=8)
lines = st.lists(st.text("ab \tc", max_size=3), max_size=4).map(
    lambda p: "".join(f"{x}\n" for x in p)
)


@settings(max_examples=600, deadline=None)
@given(texts, st.booleans(), st.data())
def test_what_is_outside_of_the_edited_lines_keeps_every_byte(
    parts: list[tuple[str, str]], ended: bool, data: st.DataObject
) -> None:
    """The lines that stand there once, replaced by others; everything before and after them is the same."""
    exact = "".join(text + end for text, end in parts)
    exact = exact if ended else exact.rstrip("\r\n")
    known = universal(exact).split("\n")
    first = data.draw(st.integers(0, len(known) - 1))
    last = data.draw(st.integers(first + 1, len(known)))
    search, replace = "".join(f"{line}\n" for line in known[first:last]), data.draw(lines)
    try:
        new = done(change(path="t.py", search=search, replace=replace), sources={"t.py": exact})[
            "t.py"
        ]
    except Refused:
        return
    assert new is not None
    before = "\n".join([*known[:first], ""])
    after = "\n".join(known[last:])
    expected = universal(before + replace + after)
    assert universal(new).rstrip("\n") == expected.rstrip("\n")
    kept_before = _exact_prefix(exact, len(before))
    assert new.startswith(kept_before)
    assert new.endswith(exact[len(exact) - _suffix(exact, len(after)) :])


def _exact_prefix(exact: str, count: int) -> str:
    """So much of the exact text as is `count` characters of the universal one."""
    return next(exact[:n] for n in range(len(exact) + 1) if len(universal(exact[:n])) >= count and universal(exact[:n] + "x").endswith("x") and exact[n - 1 : n + 1] != "\r\n")  # fmt: skip


def _suffix(exact: str, count: int) -> int:
    return next(
        n for n in range(len(exact) + 1) if len(universal(exact[len(exact) - n :])) >= count
    )


wild = st.builds(
    Edit,
    path=st.sampled_from(["train.py", "model.py", "new.py", "README.md", "../x.py", "a/b.py"]),
    search=st.sampled_from(["", "a = 1\n", "b = 2\n", "x = 0\n", "nowhere\n"]),
    replace=st.sampled_from(["", "b = 3\n", "x = 0\n", "z\n"]),
    action=st.sampled_from(["edit", "edit", "rewrite", "rename", "delete"]),
    target=st.sampled_from(["other.py", "model.py", "a/b.py", "x.txt"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(wild, min_size=1, max_size=5))
def test_a_patch_is_applied_as_a_whole_or_not_at_all(edits: list[Edit]) -> None:
    """Applied edit by edit, each has to fit; with one that does not, nothing is changed."""
    sources = dict(SOURCES)
    fits = True
    for edit in edits:
        try:
            one = done(edit, sources=sources)
            sources = {p: t for p, t in {**sources, **one}.items() if t is not None}
        except Refused as refused:
            fits &= "change nothing" in str(refused)
    try:
        changes = done(*edits)
    except Refused:
        assert not fits or sources == SOURCES
        return
    assert fits
    assert {p: t for p, t in {**SOURCES, **changes}.items() if t is not None} == sources


def test_binary_and_huge_files_and_links_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"a\r\n\xef\xbb\xbf")
    (tmp_path / "binary.py").write_bytes(b"a\0b")
    (tmp_path / "latin.py").write_bytes(b"\xe9")
    (tmp_path / "huge.py").write_bytes(b"x" * (MAX_BYTES + 1))
    (tmp_path / "link.py").symlink_to("a.py")
    (tmp_path / "folder").symlink_to("..")
    sources = exact_sources(tmp_path, ("**/*.py",))
    assert sources == {"a.py": "a\r\n\ufeff"}
    existing = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
    for name, said in (("binary.py", "no text"), ("latin.py", "no text"), ("huge.py", "larger"),
                       ("link.py", "no text"), ("folder/new.py", "folder is a file")):  # fmt: skip
        for action in ("edit", "rewrite", "rename", "delete"):
            edit = change(path=name, action=action, search="x" * (action == "edit"), target="b.py")
            with pytest.raises(Refused, match=said):
                apply(Patch(plan="", edits=(edit,)), sources, existing, ("**/*.py",))


def test_a_worktrees_commit_has_the_new_files_and_not_the_old_ones(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline"
    (baseline / "lib").mkdir(parents=True)
    for name in ("train.py", "lib/model.py", "gone.py"):
        (baseline / name).write_bytes(f"{name} = 1\r\n".encode())
    (baseline / ".gitignore").write_text("*.py\n")
    workspace = Workspace(tmp_path / "code.git", tmp_path / "trees", "2026-01-02T03:04:05Z")
    start = workspace.import_baseline(baseline)
    edits = (change(path="lib/model.py", action="rename", target="net/model.py"),
             change(path="gone.py", action="delete"), change(path="new.py", replace="n\n"))  # fmt: skip
    with workspace.worktree("x", start) as tree:
        existing = [str(path.relative_to(tree)) for path in tree.rglob("*")]
        write(tree, apply(Patch(plan="", edits=edits), exact_sources(tree, ("**/*.py",)), existing, ("**/*.py",)))  # fmt: skip
        assert not (tree / "lib").exists()
        commit = workspace.commit(tree, "refs/attempts/x/0", "x/0")
    out = workspace.export(commit)
    assert {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()} == {
        ".gitignore", "net/model.py", "new.py", "train.py",
    }  # fmt: skip
    assert (out / "net" / "model.py").read_bytes() == b"lib/model.py = 1\r\n"
    git = ["git", f"--git-dir={tmp_path / 'code.git'}", "diff", "--stat", "-M", start, commit]
    assert "{lib => net}/model.py | 0" in subprocess.check_output(git, text=True)
