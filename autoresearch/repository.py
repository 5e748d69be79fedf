"""The user's own git repository: a commit on a new branch, with nothing else of it touched.

The commit is built in an index of its own, so that the user's index, working tree and HEAD stay as they
are. Git is run as a program here: standard input, exit codes and the environment matter.
"""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from autoresearch.errors import BadInput

# Where git itself starts us (a hook, `rebase --exec`) these are about another repository. The rest of
# its environment, the identity and the configuration, is the user's.
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR",
              "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX")  # fmt: skip
FILES = ("100644", "100755")
LINK = "120000"


class Content(NamedTuple):
    """A file of a commit; `mode` as git writes it."""

    mode: str
    data: bytes


class Change(NamedTuple):
    """What a commit does to one file: None is "not there". `path` is relative to the folder that the
    baseline's code is in."""

    path: str
    before: Content | None
    after: Content | None


@dataclass(frozen=True)
class Repository:
    """`folder` is any folder of it. Raises BadInput where there is no git repository, or no commit."""

    folder: Path

    @cached_property
    def root(self) -> Path:
        if not self.folder.is_dir():
            raise BadInput(f"--to {self.folder}: no such folder; give a git repository's")
        said = self._try("rev-parse", "--show-toplevel")
        if said.returncode:
            raise BadInput(
                f"--to {self.folder}: {_error(said)}; give a folder of a git repository with a working tree"
            )
        return Path(os.fsdecode(said.stdout.removesuffix(b"\n")))

    @cached_property
    def head(self) -> str:
        said = self._try("rev-parse", "--quiet", "--verify", "HEAD^{commit}")
        if said.returncode:
            raise BadInput(f"{self.root} has no commit yet: commit its code first")
        return said.stdout.decode().strip()

    @cached_property
    def entries(self) -> dict[str, tuple[str, str]]:
        """Mode and object of each file at HEAD, by its path from the root."""
        listed = self.git("ls-tree", "-r", "-z", "--full-tree", self.head).split(b"\0")
        found = {}
        for line in filter(None, listed):
            facts, _, path = line.partition(b"\t")
            mode, _, name = facts.decode().split()
            found[os.fsdecode(path)] = (mode, name)
        return found

    def content(self, path: str) -> Content | None:
        """A file at HEAD; None where there is none."""
        if path not in self.entries:
            return None
        mode, name = self.entries[path]
        return Content(mode, self.git("cat-file", "blob", name) if mode in FILES else b"")

    def ever_held(self, path: str, data: bytes) -> bool:
        """Whether a commit up to HEAD has the file with that content."""
        listed = self.git(
            "rev-list", "--objects", "--no-object-names", self.head, "--", f":(top,literal){path}"
        )
        names = {self.git("hash-object", "--stdin", data=each).strip() for each in forms(data)}
        return not names.isdisjoint(listed.split())

    def check_identity(self) -> None:
        """Raises BadInput where git does not know whose commit it would be."""
        for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
            if self._try("-c", "user.useConfigOnly=true", "var", who).returncode:
                raise BadInput(
                    f"git does not know whose commit it is: set user.name and user.email (git -C {self.root} config user.name ...)"
                )

    def check_new(self, branch: str) -> None:
        """Raises BadInput for what is no name of a branch, or is one already."""
        if self._try("check-ref-format", "--branch", branch).returncode:
            raise BadInput(f"--branch {branch}: git takes no such name; give another one")
        taken = self.git("for-each-ref", "--format=%(refname)").decode().splitlines()
        ref = f"refs/heads/{branch}"
        near = [
            each for each in taken if f"{each}/".startswith(f"{ref}/") or ref.startswith(f"{each}/")
        ]
        if near:
            raise BadInput(
                f"branch {near[0].removeprefix('refs/heads/')} is there already in {self.root}: "
                "give another --branch, or remove it (git branch -D)"
            )

    def touched(self, paths: list[str]) -> tuple[list[str], list[str]]:
        """Which of these files are not in the index as they are at HEAD, and which not in the working
        tree as they are in the index."""
        literal = [f":(top,literal){path}" for path in paths]
        listed = self.git(
            "--no-optional-locks", "status", "--porcelain=v1", "-z", "--no-renames",
            "--untracked-files=all", "--", *literal,
        ).split(b"\0")  # fmt: skip
        found = [(line[:2].decode(), os.fsdecode(line[3:])) for line in listed if line]
        staged = [path for state, path in found if state[0] not in " ?!"]
        return staged, [path for state, path in found if state[1] != " "]

    def commit(self, files: Mapping[str, Content | None], message: str, branch: str) -> str:
        """Commit HEAD with these files (None: without) as a new branch; the commit's hash."""
        with tempfile.TemporaryDirectory(prefix="autoresearch-") as aside:
            index = Path(aside) / "index"
            self.git("read-tree", self.head, index=index)
            lines = [self._line(path, content) for path, content in files.items()]
            self.git("update-index", "-z", "--index-info", data=b"".join(lines), index=index)
            tree = self.git("write-tree", index=index).decode().strip()
        made = self.git(
            "-c", "user.useConfigOnly=true", "-c", "i18n.commitEncoding=utf-8",
            "commit-tree", tree, "-p", self.head, data=message.encode(),
        ).decode().strip()  # fmt: skip
        self.git(
            "update-ref", "--create-reflog", "-m", "autoresearch apply",
            f"refs/heads/{branch}", made, "0" * len(made),
        )  # fmt: skip
        return made

    def _line(self, path: str, content: Content | None) -> bytes:
        if content is None:
            return f"0 {'0' * len(self.head)}\t".encode() + os.fsencode(path) + b"\0"
        # A new file is converted as `git add` would, what is there already keeps the form it has.
        convert = () if path in self.entries else (f"--path={self.root / path}",)
        name = (
            self.git("hash-object", "-w", "--stdin", *convert, data=content.data).decode().strip()
        )
        return f"{content.mode} {name}\t".encode() + os.fsencode(path) + b"\0"

    def git(self, *arguments: str, data: bytes = b"", index: Path | None = None) -> bytes:
        """What git prints; `index` stands in for the repository's. Raises BadInput with git's words."""
        said = self._try(*arguments, data=data, index=index)
        if said.returncode:
            command = next(each for each in arguments if each[0] != "-" and "=" not in each)
            raise BadInput(
                f"git {command} in {self.folder}: {_error(said)}; mend that and try again"
            )
        return said.stdout

    def _try(
        self, *arguments: str, data: bytes = b"", index: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        own = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
        own |= {"LC_ALL": "C"} | ({"GIT_INDEX_FILE": str(index)} if index else {})
        try:
            return subprocess.run(
                ["git", "-C", str(self.folder), "-c", "core.safecrlf=false", *arguments],
                input=data, env=own, capture_output=True, check=False,
            )  # fmt: skip
        except FileNotFoundError:
            raise BadInput("git is not installed: install it and try again") from None


def changes_between(code: Path, before: str, after: str) -> list[Change]:
    """What `after` changes in `before`, two commits of a run's repository."""
    run = Repository(code)
    listed = run.git(
        "--git-dir=.", "diff-tree", "-r", "-z", "--no-renames", "--no-commit-id", before, after
    )
    fields = listed.split(b"\0")[:-1]
    changes = []
    for facts, path in zip(fields[::2], fields[1::2], strict=True):
        old_mode, new_mode, old, new, _ = facts.decode().removeprefix(":").split()
        pair = [
            None if set(mode) == {"0"} else Content(mode, run.git("--git-dir=.", "cat-file", "blob", name) if mode in (*FILES, LINK) else b"")
            for mode, name in ((old_mode, old), (new_mode, new))
        ]  # fmt: skip
        changes.append(Change(os.fsdecode(path), pair[0], pair[1]))
    return changes


def merge(ours: bytes, before: bytes, after: bytes) -> bytes | None:
    """What `after` changes in `before`, done to `ours`; None where the two cannot be put together. Line
    ends are those of `ours`."""
    before, after = ended_as(ours, before), ended_as(ours, after)
    if ours in (before, after):
        return after
    with tempfile.TemporaryDirectory(prefix="autoresearch-") as aside:
        names = [Path(aside) / name for name in ("ours", "before", "after")]
        for name, data in zip(names, (ours, before, after), strict=True):
            name.write_bytes(data)
        done = subprocess.run(
            ["git", "merge-file", "-p", "-q", *map(str, names)],
            cwd=aside, capture_output=True, check=False,
        )  # fmt: skip
    return done.stdout if done.returncode == 0 else None


def forms(data: bytes) -> set[bytes]:
    """A text with either kind of line ends, since git may store another one than it checks out."""
    if b"\0" in data:
        return {data}
    lines = data.replace(b"\r\n", b"\n")
    return {data, lines, lines.replace(b"\n", b"\r\n")}


def ended_as(like: bytes, data: bytes) -> bytes:
    """`data` with the line ends of `like`, where these are all of one kind and both are texts."""
    if b"\0" in like or b"\0" in data or b"\n" not in like:
        return data
    lines, windows = like.count(b"\n"), like.count(b"\r\n")
    if windows not in (0, lines):
        return data
    plain = data.replace(b"\r\n", b"\n")
    return plain.replace(b"\n", b"\r\n") if windows else plain


def _error(said: subprocess.CompletedProcess[bytes]) -> str:
    text = " ".join(said.stderr.decode(errors="replace").split())
    return text.removeprefix("fatal: ").removeprefix("error: ")
