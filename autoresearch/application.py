"""`apply`: an idea's patch as a commit on a new branch of the user's own repository."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autoresearch.errors import BadInput
from autoresearch.findings import listed
from autoresearch.records import Trial
from autoresearch.report import Row, floor_of_run, printable
from autoresearch.repository import (
    FILES,
    Change,
    Content,
    Repository,
    changes_between,
    forms,
    merge,
)
from autoresearch.statement import doubt, message
from autoresearch.store import Run, read


@dataclass(frozen=True)
class Wish:
    """Where the commit is wanted. `directory` is where the baseline's code is, from the repository's
    root; None: it is looked for."""

    to: Path
    directory: str | None = None
    branch: str | None = None
    unconfirmed: bool = False  # also what is no confirmed claim


def apply(run: Run, row: Row, wish: Wish) -> Iterator[str]:
    """Commit the idea's patch on a new branch; what was done, line by line. The user's HEAD, index and
    working tree stay as they are.

    Raises BadInput, and then nothing was changed, where it is not to be applied or does not fit."""
    verdict = row.lesson.verdict if row.lesson else None
    trial = _trial(run, row, wish.unconfirmed)
    changes = _changes(run, trial)
    repository, branch = Repository(wish.to), wish.branch or f"autoresearch/{row.idea.slug}"
    root, head = repository.root, repository.head
    repository.check_new(branch)
    repository.check_identity()
    folder = _given(repository, wish.directory) if wish.directory is not None else find_folder(repository, _known(run, changes))  # fmt: skip
    staged, unsaved = repository.touched([_at(folder, change.path) for change in changes])
    if staged:
        raise BadInput(
            f"{_names(staged)} changed in the index of {root} and not committed: commit or unstage it first"
        )
    files = _merged(repository, folder, changes)
    made = repository.commit(files, message(run, trial, verdict), branch)
    yield f"branch {branch} at {made[:10]}, on {head[:10]}: {_names(sorted(files))}"
    if unsaved:
        yield f"note: {_names(unsaved)} differs in the working tree, which the commit does not know of"
    yield f"get it with: git -C {root} switch {branch}"


def _trial(run: Run, row: Row, unconfirmed: bool) -> Trial:
    path = row.folder / "practice.json"
    trial = read(path, Trial) if path.is_file() else None
    if trial is None or trial.commit is None:
        raise BadInput(f"{row.idea.slug} never ran: it has no patch to apply")
    doubts = doubt(run, trial, row.lesson.verdict if row.lesson else None)
    if doubts and not unconfirmed:
        raise BadInput(
            f"{row.idea.slug} is {printable(doubts)}; --unconfirmed applies it all the same, and says so in the commit"
        )
    return trial


def _changes(run: Run, trial: Trial) -> list[Change]:
    """Raises BadInput for a patch that has nothing to apply, or would leave its folder."""
    code, floor = run.folder / "code.git", floor_of_run(run)
    if floor is None or not code.is_dir():
        raise BadInput(f"{run.folder} has no code.git with the idea's commit: copy it whole")
    changes = changes_between(code, floor.commit, str(trial.commit))
    if not changes:
        raise BadInput(f"{trial.idea.slug} changes nothing in the baseline")
    for change in changes:
        path = PurePosixPath(change.path)
        odd = {".", "..", ".git"} & {part.lower() for part in change.path.split("/")}
        if odd or path.is_absolute() or change.path != str(path):
            raise BadInput(
                f"the patch names {_names([change.path])}, which leaves its folder: not applied"
            )
        modes = {each.mode for each in (change.before, change.after) if each}
        if not modes <= set(FILES):
            raise BadInput(f"the patch makes {_names([change.path])} a link: not applied")
    return changes


def _known(run: Run, changes: Sequence[Change]) -> dict[str, bytes]:
    """What the baseline's code is recognised by: the files that the patch touches, or all of them where
    it only adds some."""
    known = {change.path: change.before.data for change in changes if change.before}
    baseline = run.task_folder / "baseline"
    return known or {
        path.relative_to(baseline).as_posix(): path.read_bytes()
        for path in sorted(baseline.rglob("*"))
        if path.is_file()
    }


def find_folder(repository: Repository, known: Mapping[str, bytes]) -> str:
    """The one folder, from the root, whose files are these: now, or else in an earlier commit. A
    task's own baseline counts only where there is no other.

    Raises BadInput naming the folders where none or several fit."""
    entries = repository.entries
    first = next(iter(known))
    ends = [path.removesuffix(first) for path in entries if f"/{path}".endswith(f"/{first}")]
    named = [end.rstrip("/") for end in ends if all(f"{end}{path}" in entries for path in known)]

    def equal(path: str, data: bytes) -> bool:
        found = repository.content(path)
        return found is not None and found.mode in FILES and found.data in forms(data)

    for group in ([each for each in named if not _is_tasks(repository, each)], named):
        for same in (equal, repository.ever_held):
            fits = _fits(group, known, same)
            if len(fits) > 1:
                raise BadInput(
                    f"the baseline's {_names(list(known))} is in {_folders(fits)} of {repository.root}: say which with --directory"
                )
            if fits:
                return fits[0]
    near = f"; {_folders(named)} has other files of that name" if named else ""
    raise BadInput(
        f"no folder of {repository.root} has {_names(list(known))} as the baseline has it{near}: say which with --directory"
    )


def _fits(
    folders: Sequence[str], known: Mapping[str, bytes], same: Callable[[str, bytes], bool]
) -> list[str]:
    return [
        folder
        for folder in folders
        if all(same(_at(folder, path), data) for path, data in known.items())
    ]


def _is_tasks(repository: Repository, folder: str) -> bool:
    path = PurePosixPath(folder)
    return path.name == "baseline" and str(path.parent / "task.toml") in repository.entries


def _given(repository: Repository, directory: str) -> str:
    path = PurePosixPath(directory)
    folder = "" if str(path) == "." else str(path)
    inside = not path.is_absolute() and ".." not in path.parts
    if not inside or (folder and not any(p.startswith(f"{folder}/") for p in repository.entries)):
        raise BadInput(
            f"--directory {directory}: no folder with committed files in {repository.root}; give it from the repository's root"
        )
    return folder


def _merged(
    repository: Repository, folder: str, changes: Sequence[Change]
) -> dict[str, Content | None]:
    """The files that the commit is to hold in another form. Raises BadInput naming all conflicts."""
    files: dict[str, Content | None] = {}
    problems = []
    for change in changes:
        path = _at(folder, change.path)
        ours = repository.content(path)
        merged, problem = _settled(ours, change)
        problem = _blocked(repository, path) or problem
        if merged != ours:
            files[path] = merged
        if problem:
            problems.append(f"{printable(path)} {problem}")
    if problems:
        raise BadInput(f"conflict: {listed(problems)}; nothing was changed, apply it by hand")
    if not files:
        raise BadInput(f"{repository.root} has this patch already: nothing to commit")
    return files


def _blocked(repository: Repository, path: str) -> str:
    """What of the repository stands where the path leads through or to; "" where nothing does."""
    mode, _ = repository.entries.get(path, (FILES[0], ""))
    above = [str(each) for each in PurePosixPath(path).parents if str(each) in repository.entries]
    below = any(each.startswith(f"{path}/") for each in repository.entries)
    if above:
        return f"is below {printable(above[0])}, which is no folder in the repository"
    return "is no plain file in the repository" if below or mode not in FILES else ""


def _settled(ours: Content | None, change: Change) -> tuple[Content | None, str]:
    """The repository's file with the change, or why there is none."""
    before, after = change.before, change.after
    if after is None:
        unchanged = ours is None or before is None or ours.data in forms(before.data)
        return (None, "") if unchanged else (ours, "has changed and the idea deletes it")
    if before is None:
        fits = ours is None or ours.data in forms(after.data)
        return (ours or after, "") if fits else (ours, "is there already and is another one")
    if ours is None:
        return None, "is not in the repository"
    data = merge(ours.data, before.data, after.data)
    if data is None:
        return ours, "has changed where the idea changes it"
    return Content(after.mode if after.mode != before.mode else ours.mode, data), ""


def _at(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder else path


def _folders(names: Sequence[str]) -> str:
    return _names([f"{name}/" if name else "./ (the root)" for name in names])


def _names(paths: Sequence[str]) -> str:
    return printable(listed(list(paths)))
