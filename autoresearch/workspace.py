"""The experiment's git repository: a worktree for each idea, a ref for each attempt.

    refs/heads/baseline              the task's baseline
    refs/attempts/round-00/0-x/1     attempt 1 of that idea; its parent is the code it edited
    refs/carried/000-x               an idea of an earlier run that ideas of this one may start from

Commits are reproducible: same content, same parent, same run, same hash.
"""

import errno
import io
import os
import shutil
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from autoresearch.errors import BadInput, RunFailed
from autoresearch.store import cannot_write

BASELINE = "refs/heads/baseline"
CARRIED = "refs/carried/*"
QUIET = (  # whole on disk when it returns, and nothing left to do in the background
    "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "fetch.unpackLimit=1",
)  # fmt: skip


class Workspace:
    """`folder` is the bare repository, `trees` where worktrees are checked out."""

    def __init__(self, folder: Path, trees: Path, created: str):
        from git import Repo

        self.folder, self.trees, self.created = folder, trees, created
        self.clear()  # what a killed run left
        # What git knows of these trees: it keeps one that was locked while a kill cut its making short.
        shutil.rmtree(folder / "worktrees", ignore_errors=True)
        trees.mkdir(parents=True)
        self._lock = threading.Lock()  # git's own locks fail at once instead of waiting
        # Set where git itself starts us (a hook, `rebase --exec`), and about another repository.
        for name in [name for name in os.environ if name.startswith("GIT_")]:
            del os.environ[name]
        if not folder.is_dir():
            aside = folder.with_name(f".{folder.name}")
            shutil.rmtree(aside, ignore_errors=True)
            Repo.init(aside, bare=True)
            (aside / "info").mkdir(exist_ok=True)
            (aside / "info" / "attributes").write_text("* -export-ignore -text -filter\n")
            aside.rename(folder)
        for lock in folder.rglob("*.lock"):  # of a git that was killed with its run
            lock.unlink()
        self._repo = Repo(folder)
        person = {"NAME": "autoresearch", "EMAIL": "autoresearch@localhost", "DATE": created}
        self._environment = {
            # A user's own configuration (signing, hooks, line endings) must not change commits.
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            **{
                f"GIT_{role}_{key}": value
                for role in ("AUTHOR", "COMMITTER")
                for key, value in person.items()
            },
        }

    def import_baseline(self, folder: Path) -> str:
        """Commit a copy of `folder` as the baseline, once; the commit's hash."""
        if self._find(BASELINE) is None:
            with self.worktree("baseline", None) as tree:
                _copy(folder, tree)
                self.commit(tree, BASELINE, "baseline")
        self._join_histories()
        return str(self._git("rev-parse", BASELINE))

    def _join_histories(self) -> None:
        """Let what was carried over descend from this baseline, which has the same files as theirs, so that
        git can merge the two. Commits keep their hashes."""
        roots = self._git(
            "--no-replace-objects", "rev-list", "--max-parents=0", f"--glob={CARRIED}", "--not", BASELINE,
        )  # fmt: skip
        for root in str(roots).split():
            self._git("replace", "--force", "--graft", root, BASELINE)

    def fetch(self, source: Path, commit: str, ref: str) -> str:
        """Take a commit and its history from the repository `source`, which stays as it is; the commit.
        Raises BadInput where it is not there."""
        status, _, said = self._git(
            *QUIET, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", str(source), f"+{commit}:{ref}",
            with_extended_output=True, with_exceptions=False,
        )  # fmt: skip
        if status:
            why = " ".join(str(said).split())[:300]
            raise BadInput(
                f"{source}: commit {commit[:10]} cannot be taken over ({why}); restore it from a copy of "
                "the run, or start without its claims"
            )
        return commit

    def remake(self, baseline: Path, diff: str, ref: str) -> str:
        """Commit a copy of the folder `baseline` with `diff` applied. Raises BadInput where it does not apply."""
        with self.worktree(ref, None) as tree:
            _copy(baseline, tree)
            self.commit(tree, ref, "baseline")
            patch = self.trees / "remade.diff"
            patch.write_text(f"{diff}\n", encoding="utf-8", newline="")
            status, *_ = self._git(
                "apply", "--whitespace=nowarn", str(patch), at=tree,
                with_extended_output=True, with_exceptions=False,
            )  # fmt: skip
            if status:
                raise BadInput(
                    f"the diff of {ref.removeprefix('refs/')} does not apply to the task's baseline: the "
                    "recording is damaged; get it again, or the run's folder"
                )
            return self.commit(tree, ref, ref)

    @contextmanager
    def worktree(self, name: str, commit: str | None) -> Iterator[Path]:
        """A fresh worktree at `commit` (None: empty, without history), gone at the end."""
        tree = self.trees / name.replace("/", "-")
        with self._lock:
            self._git("worktree", "add", "--detach", str(tree), commit or self._empty())
        try:
            yield tree
        finally:
            with self._lock:
                self._git("worktree", "remove", "--force", str(tree))

    def commit(self, tree: Path, ref: str, message: str) -> str:
        """Commit all of `tree` under `ref`; the commit's hash. Nothing changed is a commit too."""
        with self._lock:
            self._git("add", "--all", "--force", at=tree)
            self._git("commit", "--quiet", "--allow-empty", "--no-verify", "-m", message, at=tree)
            head = self.folder / "worktrees" / tree.name / "HEAD"  # detached: it holds the hash
            commit = head.read_text().strip()
            self._git("update-ref", ref, commit)
        return commit

    def merge(self, tree: Path, commit: str) -> bool:
        """Merge `commit` into what is checked out in `tree`. False where the two conflict, or it adds
        nothing; `tree` is then as it was."""
        with self._lock:
            before = self._git("rev-parse", "HEAD", at=tree)
            status, *_ = self._git(
                "merge", "--quiet", "--no-ff", "--no-verify", "-m", "merge", commit,
                at=tree, with_extended_output=True, with_exceptions=False,
            )  # fmt: skip
            if status:  # a conflict; what else may be wrong is told by what comes next
                self._git("reset", "--quiet", "--hard", before, at=tree)
                return False
            return bool(self._git("diff", "--name-only", before, "HEAD", at=tree))

    def export(self, commit: str) -> Path:
        """The commit's files without git's own, in a folder that sandboxes may read; kept."""
        folder = self.trees / f"export-{commit[:12]}"
        if not folder.is_dir():
            archive = self._git("archive", "--format=tar", commit, stdout_as_string=False)
            aside = self.trees / f".export-{commit[:12]}-{threading.get_ident()}"
            with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                # Of our own making, but without links: what they lead to is not the experiment's.
                tar.extractall(aside, [each for each in tar if each.isreg() or each.isdir()])
            aside.chmod(0o755)
            aside.rename(folder)
        return folder

    def discard(self, commit: str) -> None:
        """Remove the commit's export again."""
        shutil.rmtree(self.trees / f"export-{commit[:12]}", ignore_errors=True)

    def sources(self, commit: str, patterns: tuple[str, ...]) -> dict[str, str]:
        """The text of the files at `commit` whose path matches one of the patterns."""
        names = str(self._git("ls-tree", "-r", "-z", "--name-only", commit)).split("\0")
        chosen = [name for name in names if name and matches(name, patterns)]
        return {
            name: str(self._git("show", f"{commit}:{name}", strip_newline_in_stdout=False))
            for name in chosen
        }

    def diff(self, old: str, new: str) -> str:
        """A unified diff between two commits."""
        return str(self._git("diff", "--no-color", "--no-ext-diff", old, new))

    def _find(self, ref: str) -> str | None:
        found = str(self._git("for-each-ref", "--format=%(objectname)", ref))
        return found or None

    def _empty(self) -> str:
        """A commit of nothing, so that the baseline's worktree can start from it."""
        tree = str(self._git("hash-object", "-w", "-t", "tree", "/dev/null"))
        return str(self._git("commit-tree", tree, "-m", "empty"))

    def _git(self, *arguments: str, at: Path | None = None, **options: Any) -> Any:
        from git import Git, GitCommandError

        git = Git(at) if at else self._repo.git
        try:
            said = git.execute(["git", *arguments], env=self._environment, **options)
            # What is not UTF-8 must not come back as something that cannot be written down.
            return said.encode("utf-8", "replace").decode() if isinstance(said, str) else said
        except GitCommandError as error:
            if shutil.disk_usage(self.folder).free < 2**16:  # git says it in many ways
                full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                raise cannot_write(self.folder, full) from None
            said = " ".join(str(error.stderr).split())
            raise RunFailed(
                f"git {arguments[0]} in {self.folder}: {said}; resume to try again"
            ) from None

    def clear(self) -> None:
        """Remove all worktrees and exports: they can be made again from the repository."""
        shutil.rmtree(self.trees, ignore_errors=True)


def _copy(folder: Path, tree: Path) -> None:
    shutil.copytree(folder, tree, dirs_exist_ok=True, symlinks=True)
    for path in (tree, *tree.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)


def matches(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether a relative path is one of the task's editable files. `*` does not cross folders
    unless the pattern has a `**`."""
    return any(
        (fnmatch(path, pattern) and ("**" in pattern or path.count("/") == pattern.count("/")))
        or (pattern.startswith("**/") and fnmatch(path, pattern[3:]))
        for pattern in patterns
    )
