"""`apply`: an idea's patch becomes a commit on a new branch, in real git repositories; all else stays."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SLOPE = ROOT / "tests" / "tasks" / "slope"
CODE = (SLOPE / "baseline" / "train.py").read_bytes()
GOOD, BAD = "learning-rate-to-0-15", "learning-rate-to-0-017"
NAME = "0-learning-rate-to-0-15"


def autoresearch(
    *arguments: str, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "EMAIL"))}
    alone = {"HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "autoresearch", *arguments],
        cwd=cwd, env=inherited | alone | environment,
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


def git(folder: Path, *arguments: str, data: bytes = b"") -> str:
    """What git prints, run without a configuration of the machine's."""
    alone = {"HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
    person = ["-c", "user.name=Someone", "-c", "user.email=someone@example.org"]
    done = subprocess.run(
        ["git", *person, *arguments], cwd=folder, env=alone, input=data, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs folder with one finished run of the offline model, with two claims that stand."""
    folder = tmp_path_factory.mktemp("ran")
    options = ["--task", str(SLOPE), "--model", "offline", "--sandbox", "none", "--rounds", "1"]
    done = autoresearch("run", *options, "--ideas", "4", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "runs"


@pytest.fixture
def runs(ran: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(ran, tmp_path / "runs", symlinks=True))


def the_run(runs: Path) -> Path:
    (run,) = runs.glob("*-slope-*")
    return run


def repository(folder: Path, **files: bytes) -> Path:
    """A git repository with one commit of these files ("src__train_py": src/train.py)."""
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "Ada Mine")
    git(folder, "config", "user.email", "ada@example.org")
    for name, data in files.items():
        save(folder, name, data)
    save_all(folder)
    return folder


def save(folder: Path, name: str, data: bytes) -> Path:
    path = folder / re.sub("_(?=[a-z]+$)", ".", name.replace("__", "/"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def save_all(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "-qm", "work")


def apply(
    runs: Path, folder: Path, *more: str, idea: str = GOOD, **environment: str
) -> subprocess.CompletedProcess[str]:
    return autoresearch(
        "apply", "slope", idea, "--runs", str(runs), "--to", str(folder), *more,
        cwd=runs.parent, **environment,
    )  # fmt: skip


def refused(done: subprocess.CompletedProcess[str], said: str, folder: Path) -> None:
    """One line that says why, exit code 2, and a repository without a new branch or object."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert re.search(said, done.stderr), done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert git(folder, "branch", "--list", "autoresearch/*") == ""
    assert git(folder, "fsck", "--unreachable", "--no-reflogs") == ""


def state(folder: Path) -> dict[str, Any]:
    files = [path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts]
    return {
        "HEAD": git(folder, "rev-parse", "HEAD", "--symbolic-full-name", "HEAD"),
        "index": (folder / ".git" / "index").read_bytes(),
        "files": {str(path): path.read_bytes() for path in files},
    }


def commit_in_run(runs: Path, change: Any) -> None:
    """The idea's commit becomes another one: `change` works on a checkout of it."""
    run, tree = the_run(runs), runs.parent / "tree"
    practice = run / "round-00" / NAME / "practice.json"
    trial = json.loads(practice.read_text())
    git(run / "code.git", "worktree", "add", "-q", "--detach", str(tree), trial["commit"])
    change(tree)
    save_all(tree)
    trial["commit"] = git(tree, "rev-parse", "HEAD").strip()
    practice.write_text(json.dumps(trial))


def test_the_commit_is_on_a_new_branch_and_head_index_and_working_tree_stay(
    runs: Path, tmp_path: Path
) -> None:
    mine = repository(tmp_path / "mine", src__deep__train_py=CODE, README_md=b"mine\n")
    save(mine, "README_md", b"not committed\n")
    save(mine, "staged_txt", b"staged\n")
    git(mine, "add", "staged.txt")
    save(mine, "untracked_txt", b"untracked\n")
    before = state(mine)
    done = apply(runs, mine)
    assert done.returncode == 0, done.stderr
    assert "src/deep/train.py" in done.stdout and f"switch autoresearch/{GOOD}" in done.stdout
    assert state(mine) == before
    changed = git(mine, "diff", "--stat", "HEAD", f"autoresearch/{GOOD}")
    assert "src/deep/train.py | 2 +-" in changed and "1 file changed" in changed
    assert git(mine, "rev-parse", f"autoresearch/{GOOD}~1") == git(mine, "rev-parse", "HEAD")
    assert "LEARNING_RATE = 0.15" in git(mine, "show", f"autoresearch/{GOOD}:src/deep/train.py")
    assert git(mine, "log", "-1", "--format=%an <%ae> %cn", f"autoresearch/{GOOD}") == "Ada Mine <ada@example.org> Ada Mine\n"  # fmt: skip


def test_the_message_states_the_claim_with_its_numbers_and_how_to_reproduce_it(
    runs: Path, tmp_path: Path
) -> None:
    mine = repository(tmp_path / "mine", train_py=CODE)
    assert apply(runs, mine, "--branch", "won").returncode == 0
    text = git(mine, "log", "-1", "--format=%B", "won")
    run = the_run(runs)
    claims = json.loads((run / "claims.json").read_text())["claims"]
    claim = next(each for each in claims if each["slug"] == GOOD)
    first, _, rest = text.partition("\n\n")
    assert first == "Raise LEARNING_RATE from 0.05 to 0.15" and len(first) <= 72
    said = " ".join(rest.split())
    low, high = claim["test_interval"]
    assert f"{claim['test_effect']:+.4g} [{low:+.4g}, {high:+.4g}] on the sealed test split" in said
    assert f"{claim['verdict']['effect']:+.4g} [" in said and "2 seeds" in said
    assert f"p = {claim['verdict']['p']:.2g} against a level of" in said
    assert f"(validation), {claim['test_baseline']:.4f} (sealed test)" in said
    assert "fresh seeds" in said and "Not tested for: leakage through duplicates" in said
    assert "Task: slope" in text and "Model: offline (no language model)" in text
    assert f"Commit: {claim['commit']}" in text
    assert f"\nReproduce: autoresearch reproduce {run.name} {GOOD}\n" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_what_is_no_claim_needs_a_word_and_the_message_begins_with_what_it_is(
    runs: Path, tmp_path: Path
) -> None:
    mine = repository(tmp_path / "mine", train_py=CODE)
    refused(apply(runs, mine, idea=BAD), "not a claim .declined: .*--unconfirmed", mine)
    assert apply(runs, mine, "--unconfirmed", idea="0.2").returncode == 0
    text = git(mine, "log", "-1", "--format=%b", f"autoresearch/{BAD}")
    assert text.startswith("Not a claim (declined: ") and "Survived: nothing has tried" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"refuted": ["ablation"], "test_effect": None}, "refuted (ablation)"),
        ({"self_reported": True, "test_effect": None}, "self-reported and unconfirmed (its figures"),
    ],
)  # fmt: skip
def test_what_was_refuted_or_reported_itself_says_so_in_the_first_paragraph(
    runs: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    mine, path = repository(tmp_path / "mine", train_py=CODE), the_run(runs) / "claims.json"
    claims = json.loads(path.read_text())
    claims["claims"][0] |= change | {"evidence": []}
    path.write_text(json.dumps(claims))
    refused(apply(runs, mine), re.escape(said), mine)
    assert apply(runs, mine, "--unconfirmed").returncode == 0
    paragraph = git(mine, "log", "-1", "--format=%b", f"autoresearch/{GOOD}").split("\n\n")[0]
    assert paragraph.lower().startswith(said)


def test_an_improvement_of_a_run_that_has_not_finished_is_unconfirmed(
    runs: Path, tmp_path: Path
) -> None:
    mine = repository(tmp_path / "mine", train_py=CODE)
    (the_run(runs) / "claims.json").unlink()
    refused(apply(runs, mine), "unconfirmed .improved on validation; its run has not", mine)


def test_a_file_that_has_moved_on_is_merged_and_found_by_its_history(
    runs: Path, tmp_path: Path
) -> None:
    mine = repository(tmp_path / "mine", src__train_py=CODE)
    moved = CODE.replace(b'"""Gradient', b'"""My gradient') + b"print('more')\n"
    save(mine, "src__train_py", moved)
    save_all(mine)
    done = apply(runs, mine)
    assert done.returncode == 0, done.stderr
    merged = git(mine, "show", f"autoresearch/{GOOD}:src/train.py")
    assert merged.encode() == moved.replace(b"LEARNING_RATE = 0.05", b"LEARNING_RATE = 0.15")


def test_a_conflict_is_one_line_and_changes_nothing(runs: Path, tmp_path: Path) -> None:
    moved = CODE.replace(b"LEARNING_RATE = 0.05", b"LEARNING_RATE = 0.04")
    mine = repository(tmp_path / "mine", train_py=moved)
    before = state(mine)
    refused(apply(runs, mine), "no folder .* ./ .the root. has other files of that name", mine)
    done = apply(runs, mine, "--directory", ".")
    refused(done, "conflict: train.py has changed where the idea changes it; nothing was", mine)
    assert state(mine) == before


def test_a_patch_that_is_there_already_makes_no_commit(runs: Path, tmp_path: Path) -> None:
    mine = repository(tmp_path / "mine", train_py=CODE)
    save(mine, "train_py", CODE.replace(b"LEARNING_RATE = 0.05", b"LEARNING_RATE = 0.15"))
    save_all(mine)
    refused(apply(runs, mine), "has this patch already", mine)


def test_several_folders_that_fit_are_named_and_one_can_be_said(runs: Path, tmp_path: Path) -> None:
    mine = repository(tmp_path / "mine", a__train_py=CODE, b__c__train_py=CODE)
    refused(apply(runs, mine), "train.py is in a/, b/c/ .*say which with --directory", mine)
    for wrong in ("../mine/a", "nowhere", "/etc"):
        refused(apply(runs, mine, "--directory", wrong), "--directory .*: no folder", mine)
    assert apply(runs, mine / "a", "--directory", "b/c/").returncode == 0
    changed = git(mine, "diff", "--name-only", "HEAD", f"autoresearch/{GOOD}")
    assert changed == "b/c/train.py\n"


def test_the_baseline_of_a_task_in_the_repository_is_not_taken_for_the_code(
    runs: Path, tmp_path: Path
) -> None:
    task = {"task__baseline__train_py": CODE, "task__task_toml": b"[task]\n"}
    mine = repository(tmp_path / "mine", src__train_py=CODE + b"\nprint()\n", **task)
    refused(apply(runs, mine, "--branch", "taken/"), "--branch taken/", mine)
    save(mine, "src__train_py", CODE)
    save_all(mine)
    assert apply(runs, mine).returncode == 0
    assert git(mine, "diff", "--name-only", "HEAD", f"autoresearch/{GOOD}") == "src/train.py\n"
    alone = repository(tmp_path / "alone", **task)
    assert "task/baseline/train.py" in apply(runs, alone).stdout


def test_windows_line_ends_stay_and_binary_files_are_whole(runs: Path, tmp_path: Path) -> None:
    binary = bytes(range(256)) * 4
    commit_in_run(runs, lambda tree: (tree / "table.bin").write_bytes(binary))
    windows = CODE.replace(b"\n", b"\r\n")
    mine = repository(tmp_path / "mine", train_py=windows)
    done = apply(runs, mine)
    assert done.returncode == 0, done.stderr
    shown = ["show", f"autoresearch/{GOOD}:train.py"]
    got = subprocess.run(["git", *shown], cwd=mine, capture_output=True).stdout
    assert got == windows.replace(b"LEARNING_RATE = 0.05", b"LEARNING_RATE = 0.15")
    shown = ["show", f"autoresearch/{GOOD}:table.bin"]
    assert subprocess.run(["git", *shown], cwd=mine, capture_output=True).stdout == binary
    other = repository(tmp_path / "other", train_py=CODE, table_bin=binary[::-1])
    refused(apply(runs, other), "conflict: table.bin is there already and is another one", other)


def test_new_files_are_converted_as_git_add_would(runs: Path, tmp_path: Path) -> None:
    commit_in_run(runs, lambda tree: (tree / "more.py").write_bytes(b"a = 1\r\n"))
    mine = repository(tmp_path / "mine", src__train_py=CODE)
    (mine / ".gitattributes").write_text("* text=auto\n")
    save_all(mine)
    assert apply(runs, mine).returncode == 0
    shown = ["git", "show", f"autoresearch/{GOOD}:src/more.py"]
    assert subprocess.run(shown, cwd=mine, capture_output=True).stdout == b"a = 1\n"
    git(mine, "switch", "-q", f"autoresearch/{GOOD}")
    assert git(mine, "status", "--porcelain") == ""


def test_deleted_files_go_but_not_what_was_changed_since(runs: Path, tmp_path: Path) -> None:
    run = the_run(runs)
    tree = runs.parent / "base"
    git(run / "code.git", "worktree", "add", "-q", "--detach", str(tree), "baseline")
    (tree / "old.py").write_text("old = 1\n")
    save_all(tree)
    floor = json.loads((run / "floor.json").read_text())
    floor["commit"] = git(tree, "rev-parse", "HEAD").strip()
    (run / "floor.json").write_text(json.dumps(floor))
    mine = repository(tmp_path / "mine", train_py=CODE, old_py=b"old = 1\n")
    assert apply(runs, mine).returncode == 0
    assert git(mine, "ls-tree", "--name-only", f"autoresearch/{GOOD}") == "train.py\n"
    git(mine, "branch", "-qD", f"autoresearch/{GOOD}")
    save(mine, "old_py", b"old = 2\n")
    save_all(mine)
    assert "old.py has changed and the idea deletes it" in apply(runs, mine).stderr


def test_a_branch_that_exists_or_is_in_the_way_is_refused(runs: Path, tmp_path: Path) -> None:
    mine = repository(tmp_path / "mine", train_py=CODE)
    for taken in ("kept", "autoresearch"):
        git(mine, "branch", taken)
    refused(apply(runs, mine, "--branch", "kept"), "branch kept is there already", mine)
    refused(apply(runs, mine), "branch autoresearch is there already", mine)
    refused(apply(runs, mine, "--branch=-x"), "--branch -x: git takes no such name", mine)


def test_without_an_identity_it_says_so_and_the_environment_may_give_one(
    runs: Path, tmp_path: Path
) -> None:
    mine = repository(tmp_path / "mine", train_py=CODE)
    git(mine, "config", "--unset", "user.name")
    git(mine, "config", "--unset", "user.email")
    refused(apply(runs, mine), "git does not know whose commit it is: set user.name", mine)
    person = {
        f"GIT_{role}_{key}": "bot@example.org"
        for role in ("AUTHOR", "COMMITTER")
        for key in ("NAME", "EMAIL")
    }
    assert apply(runs, mine, **person).returncode == 0


def test_a_touched_file_that_is_staged_is_refused_and_one_that_is_only_edited_is_told(
    runs: Path, tmp_path: Path
) -> None:
    mine = repository(tmp_path / "mine", train_py=CODE)
    save(mine, "train_py", CODE + b"\n# more\n")
    done = apply(runs, mine, "--branch", "one")
    assert done.returncode == 0 and "note: train.py differs in the working tree" in done.stdout
    git(mine, "add", "train.py")
    done = apply(runs, mine)
    assert done.returncode == 2 and "train.py changed in the index" in done.stderr


def test_what_is_no_repository_or_has_no_commit_is_refused(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    assert "give a folder of a git repository" in apply(runs, tmp_path / "plain").stderr
    assert "no such folder" in apply(runs, tmp_path / "nowhere").stderr
    git(tmp_path / "plain", "init", "-q")
    assert "has no commit yet" in apply(runs, tmp_path / "plain").stderr


def test_links_of_the_patch_or_of_the_repository_lead_nowhere(runs: Path, tmp_path: Path) -> None:
    mine = repository(tmp_path / "mine", src__train_py=CODE)
    commit_in_run(runs, lambda tree: (tree / "way").symlink_to("/etc/passwd"))
    refused(apply(runs, mine), "makes way a link: not applied", mine)
    shutil.rmtree(runs.parent / "tree")

    def inside(tree: Path) -> None:
        (tree / "way").unlink()
        (tree / "way").mkdir()
        (tree / "way" / "in.py").write_text("x = 1\n")

    commit_in_run_again(runs, inside)
    (mine / "src" / "way").symlink_to("..")
    save_all(mine)
    refused(apply(runs, mine), "src/way/in.py is below src/way, which is no folder", mine)


def commit_in_run_again(runs: Path, change: Any) -> None:
    git(the_run(runs) / "code.git", "worktree", "prune")
    commit_in_run(runs, change)


@pytest.mark.parametrize("name", ["..", ".git", ".GIT"])
def test_paths_of_the_patch_that_leave_the_folder_are_refused(
    runs: Path, tmp_path: Path, name: str
) -> None:
    mine, run = repository(tmp_path / "mine", src__train_py=CODE), the_run(runs)
    code = run / "code.git"
    blob = git(code, "hash-object", "-w", "--stdin", data=b"[alias]\n").strip()
    inner = tree_of(code, "config", blob, b"100644")
    outer = tree_of(code, name, inner, b"40000")
    commit = git(code, "commit-tree", outer, "-m", "x").strip()
    practice = run / "round-00" / NAME / "practice.json"
    practice.write_text(json.dumps(json.loads(practice.read_text()) | {"commit": commit}))
    done = apply(runs, mine, "--directory", "src")
    refused(done, re.escape(f"{name}/config, which leaves its folder"), mine)


def tree_of(code: Path, name: str, entry: str, mode: bytes) -> str:
    """A tree that `git add` would never make."""
    data = mode + b" " + name.encode() + b"\0" + bytes.fromhex(entry)
    return git(code, "hash-object", "-w", "--literally", "-t", "tree", "--stdin", data=data).strip()


@pytest.mark.parametrize(
    ("title", "first"),
    [
        ("Signed-off-by: Mallory <m@example.org>", "Signed-off-by Mallory (m(at)example.org)"),
        ("# not a comment", "not a comment"),
        ("fixup! the last one", "Idea: fixup! the last one"),
        ("Faster\n\nCo-authored-by: M <m@e.org>", "Faster Co-authored-by M (m(at)e.org)"),
        ("Wider \x1b[31mred\u202e [skip ci]", "Wider (31mred (skip ci)"),
        ("Fixes #12, GH-3 and https://e.org/1 @me", "Fixes 12, GH 3 and https:e.org/1 (at)me"),
        ("###", GOOD),
        ("word " * 30, "word " * 13 + "word..."),
        ("x" * 90, "x" * 69 + "..."),
    ],
)  # fmt: skip
def test_an_ideas_words_forge_no_trailer_comment_mention_or_order(
    runs: Path, tmp_path: Path, title: str, first: str
) -> None:
    mine, run = repository(tmp_path / "mine", train_py=CODE), the_run(runs)
    practice = run / "round-00" / NAME / "practice.json"
    trial = json.loads(practice.read_text())
    trial["idea"]["title"] = title
    practice.write_text(json.dumps(trial))
    claims = json.loads((run / "claims.json").read_text())
    forged = "x\n\nSigned-off-by: Mallory <m@example.org>\nCo-authored-by: M <m@e.org>\n# c\x1b[2J"
    claims["claims"][0]["survived"] += [forged]
    claims["claims"][0]["untested"] += [forged]
    claims["claims"][0]["evidence"] += [{"falsifier": "compute", "outcome": "noted", "reason": forged}]  # fmt: skip
    (run / "claims.json").write_text(json.dumps(claims))
    done = apply(runs, mine)
    assert done.returncode == 0, done.stderr
    text = git(mine, "log", "-1", "--format=%B", f"autoresearch/{GOOD}")
    assert text.split("\n")[0] == first and text.split("\n")[1] == "" and len(first) <= 72
    trailers = git(mine, "interpret-trailers", "--parse", data=text.encode())
    ours = {"Task", "Model", "Run", "Idea", "Commit", "Reproduce"}
    assert {line.split(":")[0] for line in trailers.splitlines()} <= ours
    assert not re.search(r"(signed-off|co-authored)-by\s*:|^\s*#", text, re.IGNORECASE | re.MULTILINE)  # fmt: skip
    assert all(c.isprintable() or c == "\n" for c in text)
    assert not re.search(r"[#@]|\[skip|://", text)
