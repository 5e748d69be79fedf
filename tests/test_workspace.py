"""Worktrees, attempts as commits with refs, reproducible hashes, on real git."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autoresearch.errors import RunFailed
from autoresearch.workspace import Workspace, matches

CREATED = "2026-01-02T03:04:05Z"


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    folder = tmp_path / "baseline"
    (folder / "lib").mkdir(parents=True)
    (folder / "train.py").write_text("a = 1\n\n")
    (folder / "lib" / "model.py").write_text("b = 2\n")
    (folder / ".gitignore").write_text("*.py\n")
    return folder


def open_in(folder: Path) -> Workspace:
    folder.mkdir(exist_ok=True)
    return Workspace(folder / "code.git", folder / "trees", CREATED)


def attempt(workspace: Workspace, start: str, name: str, text: str) -> str:
    with workspace.worktree(name, start) as tree:
        (tree / "train.py").write_text(text)
        return workspace.commit(tree, f"refs/attempts/{name}/0", f"{name}/0")


def test_the_same_content_gives_the_same_commits_in_every_run(
    tmp_path: Path, baseline: Path
) -> None:
    hashes = []
    for place in ("one", "two"):
        workspace = open_in(tmp_path / place)
        start = workspace.import_baseline(baseline)
        hashes.append((start, attempt(workspace, start, "round-00/0-x", "a = 2\n")))
    assert hashes[0] == hashes[1]


def test_the_baseline_is_imported_once_and_whole_also_what_git_would_ignore(
    tmp_path: Path, baseline: Path
) -> None:
    workspace = open_in(tmp_path)
    start = workspace.import_baseline(baseline)
    (baseline / "train.py").write_text("changed\n")
    assert open_in(tmp_path).import_baseline(baseline) == start
    assert workspace.sources(start, ("*.py", "lib/*.py")) == {
        "train.py": "a = 1\n\n",
        "lib/model.py": "b = 2\n",
    }


def test_every_attempt_is_a_commit_with_a_ref_whose_parent_is_the_code_it_edited(
    tmp_path: Path, baseline: Path
) -> None:
    workspace = open_in(tmp_path)
    start = workspace.import_baseline(baseline)
    commit = attempt(workspace, start, "round-00/0-x", "a = 2\n")
    git = ["git", f"--git-dir={tmp_path / 'code.git'}"]
    parent = subprocess.check_output(
        [*git, "rev-parse", "refs/attempts/round-00/0-x/0^"], text=True
    )
    assert parent.strip() == start
    assert "-a = 1" in workspace.diff(start, commit) and "+a = 2" in workspace.diff(start, commit)


def test_a_worktree_left_by_a_killed_run_is_replaced(tmp_path: Path, baseline: Path) -> None:
    workspace = open_in(tmp_path)
    start = workspace.import_baseline(baseline)
    program = (
        "import os, sys; from pathlib import Path; from autoresearch.workspace import Workspace\n"
        "at = Path(sys.argv[1]); workspace = Workspace(at / 'code.git', at / 'trees', sys.argv[2])\n"
        "with workspace.worktree('round-00/0-x', sys.argv[3]) as tree:\n"
        "    (tree / 'train.py').write_text('half an edit'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path), CREATED, start], check=False)
    assert (tmp_path / "trees" / "round-00-0-x" / "train.py").read_text() == "half an edit"
    with open_in(tmp_path).worktree("round-00/0-x", start) as again:
        assert (again / "train.py").read_text() == "a = 1\n\n"


def test_a_worktree_that_a_kill_left_locked_and_half_made_is_made_again(
    tmp_path: Path, baseline: Path
) -> None:
    workspace = open_in(tmp_path)
    start = workspace.import_baseline(baseline)
    with workspace.worktree("one", start):
        known = workspace.folder / "worktrees" / "one"
        (known / "locked").write_text("initializing\n")  # as git has it until the tree is there
        left = shutil.copytree(known, tmp_path / "known")
        (known / "locked").unlink()
    shutil.copytree(left, known)
    again = open_in(tmp_path)
    with again.worktree("one", start) as tree:
        assert (tree / "train.py").read_text() == "a = 1\n\n"


def test_an_export_holds_the_files_and_nothing_of_git(tmp_path: Path, baseline: Path) -> None:
    workspace = open_in(tmp_path)
    commit = workspace.import_baseline(baseline)
    names = {
        str(p.relative_to(workspace.export(commit))) for p in workspace.export(commit).rglob("*")
    }
    assert names == {"train.py", "lib", "lib/model.py", ".gitignore"}
    workspace.discard(commit)
    assert not (tmp_path / "trees" / f"export-{commit[:12]}").exists()


def test_many_threads_work_in_one_repository_at_once(tmp_path: Path, baseline: Path) -> None:
    workspace = open_in(tmp_path)
    start = workspace.import_baseline(baseline)

    def one(number: int) -> str:
        return attempt(workspace, start, f"round-00/{number}-x", f"a = {number + 10}\n")

    with ThreadPoolExecutor(8) as pool:
        commits = list(pool.map(one, range(16)))
    assert len(set(commits)) == 16
    assert workspace.sources(commits[3], ("train.py",)) == {"train.py": "a = 13\n"}


def test_a_users_git_configuration_changes_nothing(
    tmp_path: Path, baseline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = open_in(tmp_path / "one").import_baseline(baseline)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(
        "[commit]\ngpgsign = true\n[core]\nautocrlf = true\n[user]\nname = someone\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert open_in(tmp_path / "two").import_baseline(baseline) == start


def test_git_variables_of_a_hook_that_started_us_lead_nowhere(
    tmp_path: Path, baseline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    subprocess.run(["git", "init", "-q", str(own)], check=True)
    before = (own / ".git" / "config").read_text()
    monkeypatch.setenv("GIT_DIR", str(own / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(own))
    open_in(tmp_path / "run").import_baseline(baseline)
    assert (own / ".git" / "config").read_text() == before


def test_a_lock_that_a_killed_git_left_stops_nobody(tmp_path: Path, baseline: Path) -> None:
    workspace = open_in(tmp_path)
    start = workspace.import_baseline(baseline)
    lock = tmp_path / "code.git" / "refs" / "attempts" / "round-00" / "0-x" / "0.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    assert attempt(open_in(tmp_path), start, "round-00/0-x", "a = 2\n")


def test_line_endings_attributes_and_links_of_a_baseline_change_nothing_else(
    tmp_path: Path, baseline: Path
) -> None:
    (baseline / "crlf.py").write_bytes(b"a = 1\r\nb = 2\r\n")
    (baseline / ".gitattributes").write_text("*.py export-ignore text eol=lf\n")
    (baseline / "link.py").symlink_to("train.py")
    workspace = open_in(tmp_path)
    folder = workspace.export(workspace.import_baseline(baseline))
    assert (folder / "crlf.py").read_bytes() == b"a = 1\r\nb = 2\r\n"
    assert (folder / "train.py").is_file() and not (folder / "link.py").exists()


@pytest.mark.parametrize(
    ("path", "patterns", "expected"),
    [
        ("train.py", ("*.py",), True),
        ("lib/model.py", ("*.py",), False),
        ("lib/model.py", ("lib/*.py",), True),
        ("a/b/c.py", ("**/*.py",), True),
        ("train.py", ("**/*.py",), True),
        ("train.txt", ("*.py", "*.md"), False),
    ],
)
def test_editable_patterns_match_as_in_a_shell(
    path: str, patterns: tuple[str, ...], expected: bool
) -> None:
    assert matches(path, patterns) is expected


def test_what_conflicts_or_adds_nothing_is_not_merged_and_leaves_the_tree_as_it_was(
    tmp_path: Path, baseline: Path
) -> None:
    workspace = open_in(tmp_path)
    start = workspace.import_baseline(baseline)
    one = attempt(workspace, start, "one", "print(1)\n")
    two = attempt(workspace, start, "two", "print(2)\n")
    same = attempt(workspace, start, "same", "print(1)\n")
    with workspace.worktree("other", start) as tree:
        (tree / "other.py").write_text("x = 1\n")
        other = workspace.commit(tree, "refs/attempts/other", "other")
    with workspace.worktree("merged", one) as tree:
        before = sorted((path.name, path.read_bytes()) for path in tree.glob("*.py"))
        assert not workspace.merge(tree, two) and not workspace.merge(tree, same)
        assert not workspace.merge(tree, start)
        assert sorted((path.name, path.read_bytes()) for path in tree.glob("*.py")) == before
        assert workspace.merge(tree, other) and (tree / "other.py").read_text() == "x = 1\n"
        assert before[0] in [(path.name, path.read_bytes()) for path in tree.glob("*.py")]
    with workspace.worktree("locked", one) as tree:
        (workspace.folder / "worktrees" / "locked" / "index.lock").touch()
        with pytest.raises(RunFailed, match="git reset"):
            workspace.merge(tree, other)
