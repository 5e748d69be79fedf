"""Takes what earlier runs learnt into a new one, which needs their directories never again.

Lessons are told and ideas are not tried again. A claim that stands is a parent where its gain can be
compared: the same task, environment and data. Nothing of it counts as tried by the new run.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoresearch.carried import TRIAL, Parcel, carried_in, parcel_in
from autoresearch.config import Carry, Settings
from autoresearch.records import (
    Carried,
    CarriedLesson,
    Claim,
    Claims,
    Evidence,
    Idea,
    Lesson,
    Outcome,
    Trial,
)
from autoresearch.report import rows_of
from autoresearch.reproduced import last_of
from autoresearch.store import Run, digest, not_of_the_task, read
from autoresearch.workspace import Workspace

RESERVED = ("baseline", "combined")  # slugs that no idea has
UNCOMPARABLE = "not comparable with this run"
SECRET = {  # what a later search must not learn from: the same seeds and rows will test its claims
    "fresh seeds": "the gain was not there with seeds that the search had not used",
}


@dataclass(frozen=True)
class Ground:
    """What a gain was measured on; where all of it is the same, gains can be compared."""

    task: str
    environment: str
    data: str

    @staticmethod
    def of(task: Path, sandbox: Mapping[str, Any], settings: Settings) -> "Ground":
        """`sandbox` is what run.toml keeps of it."""
        packages = sorted(sandbox["packages"])
        return Ground(
            task=_digest_of(task, settings.runs),
            environment=digest(json.dumps([sandbox["environment"], packages])),
            data=str(settings.data or ""),
        )

    def differs(self, other: "Ground") -> str:
        """What is not the same, in words; "" where nothing is."""
        said = {"task": "the task's files", "environment": "the environment", "data": "--data"}
        changed = [words for name, words in said.items() if vars(self)[name] != vars(other)[name]]
        return " and ".join(changed)


def _digest_of(task: Path, runs: Path) -> str:
    """Of the files as a run copies them: their paths, contents and whether they can be executed."""
    left_out, lines = not_of_the_task(runs), []
    for place, folders, files in os.walk(task, followlinks=True):
        gone = left_out(place, [*folders, *files])
        folders[:] = [name for name in folders if name not in gone]
        for path in (Path(place) / name for name in files if name not in gone):
            runs_it = bool(path.stat().st_mode & 0o111)
            lines.append(f"{path.relative_to(task)}\0{runs_it}\0{digest(path.read_bytes())}")
    return digest("\n".join(sorted(lines)))


@dataclass(frozen=True)
class Luggage:
    """A parcel, and in which repositories its trials' commits are; none where only its diffs are there."""

    parcel: Parcel
    repositories: Mapping[str, Path] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()  # what a person should know of it

    def unpack(self, folder: Path) -> None:
        """Write it into a run's directory that is being made. Raises BadInput where code is missing."""
        folder, parcel = folder.resolve(), self.parcel  # git works in folders of its own
        if parcel.trials:
            workspace = Workspace(folder / "code.git", folder / "trees", "2000-01-01T00:00:00Z")
            commits = {name: self._commit(workspace, folder, name) for name in parcel.trials}
            workspace.clear()
            parcel = parcel.with_commits(commits)
        parcel.write_to(folder)

    def _commit(self, workspace: Workspace, folder: Path, name: str) -> str:
        trial, repository = self.parcel.trials[name], self.repositories.get(name)
        if repository is None:
            return workspace.remake(folder / "task" / "baseline", trial.diff, f"refs/{name}")
        return workspace.fetch(repository, str(trial.commit), f"refs/{name}")


def packed(folder: Path) -> Luggage | None:
    """What a recorded run (or the folder of a cassette) took over; None where that is nothing."""
    parcel, repository = parcel_in(folder), folder / "code.git"
    if parcel is None:
        return None
    return Luggage(parcel, dict.fromkeys(parcel.trials, repository) if repository.is_dir() else {})


# --- from earlier runs --------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """A lesson as its run has it, but with what became of its claim. `source`: the run that tried it, and
    its name there."""

    run: Run
    source: str
    lesson: Lesson
    least: float | None = None  # of a claim that stands; it has a trial and a commit in `run`

    @property
    def key(self) -> tuple[str, str]:
        """The same for what is carried once."""
        return self.lesson.idea.slug, self.lesson.idea.summary


def pack(earlier: Sequence[Run], carry: Carry, ground: Callable[[], Ground]) -> Luggage | None:
    """What a run on that ground takes over from `earlier` ones; None without any."""
    if not earlier:
        return None
    here = ground()
    runs = sorted({run.folder: run for run in earlier}.values(), key=lambda run: run.created)
    found = [each for run in runs for each in (*_carried_before(run), *_tried(run))]
    changed = {run.folder: here.differs(_ground_of(run)) for run in runs}
    return _Packing(runs, found, carry, changed).luggage()


def _ground_of(run: Run) -> Ground:
    return Ground.of(run.task_folder, run.manifest["sandbox"], run.settings)


def _carried_before(run: Run) -> Iterator[Found]:
    """What the run itself took over."""
    before = carried_in(run.folder)
    for each in before.lessons if before else ():
        yield Found(run, each.source, each.lesson, each.least if each.lesson.commit else None)


def _tried(run: Run) -> Iterator[Found]:
    """What the run tried."""
    file = run.folder / "claims.json"
    claims = read(file, Claims).claims if file.is_file() else ()
    by_name = {claim.name: claim for claim in claims}
    for row in rows_of(run):
        if row.lesson is not None:
            yield _judged(run, row.lesson, by_name.get(row.lesson.name))


def _judged(run: Run, lesson: Lesson, claim: Claim | None) -> Found:
    source, verdict = f"{run.folder.name}/{lesson.name}", lesson.verdict
    if verdict.outcome is not Outcome.improved:
        return Found(run, source, lesson)
    if claim is None:
        said = f"not yet confirmed, its run had not come to its claims: {verdict.reason}"
        return Found(run, source, _with_verdict(lesson, reason=said))
    if claim.refuted:
        gain = "" if verdict.effect is None else f" by {verdict.effect:+.4g}"
        said = f"improved{gain}, and was refuted: {_why(claim)}"
        return Found(run, source, _with_verdict(lesson, outcome=Outcome.declined, reason=said))
    again = last_of(run.folder, lesson)
    if again is not None and again.holds is False:
        said = f"improved, and did not reproduce: {SECRET['fresh seeds']}"
        return Found(run, source, _with_verdict(lesson, outcome=Outcome.declined, reason=said))
    interval = claim.test_interval or verdict.interval
    return Found(run, source, lesson, interval[0] if interval else float(verdict.effect or 0.0))


def _why(claim: Claim) -> str:
    """By what it was refuted. Of the sealed test split no figure is told."""
    by: Evidence | None = next((e for e in claim.evidence if e.outcome == "refuted"), None)
    if by is None:
        return f"not {claim.refuted[0]}"
    return f"{by.falsifier}: {SECRET.get(by.falsifier, by.reason)}"


def _with_verdict(lesson: Lesson, **changes: object) -> Lesson:
    return lesson.model_copy(update={"verdict": lesson.verdict.model_copy(update=changes)})


class _Packing:
    """One choice of what to take over. Ideas get slugs of their own before that, so that what is left out
    leaves no slug behind that another idea has."""

    def __init__(
        self, runs: list[Run], found: list[Found], carry: Carry, changed: Mapping[Path, str]
    ) -> None:
        self.runs, self.carry, self.changed = runs, carry, changed
        names = {run.folder.name for run in runs}
        chosen: dict[tuple[str, str], Found] = {}  # the latest of each
        by_source: dict[str, tuple[str, str]] = {}
        for each in found:
            tried_here = each.source == f"{each.run.folder.name}/{each.lesson.name}"
            if tried_here or each.source.partition("/")[0] not in names:
                chosen.pop(each.key, None)
                chosen[each.key] = each
                by_source[each.source] = each.key
        self.chosen = chosen
        # Where a run speaks of an idea by its slug, or of a trial by its name: which one that is.
        self.meant: dict[tuple[Path, str], tuple[str, str]] = {}
        for each in found:
            key = by_source.get(each.source, each.key)
            self.meant[each.run.folder, each.lesson.idea.slug] = key
            self.meant[each.run.folder, each.lesson.name] = key
        self.slugs = self._slugs()

    def _slugs(self) -> dict[tuple[str, str], str]:
        taken, slugs = set(RESERVED), {}
        for key in self.chosen:
            slug, number = key[0], 2
            while slug in taken:
                slug, number = f"{key[0][:55].rstrip('-')}-{number}", number + 1
            taken.add(slug)
            slugs[key] = slug
        return slugs

    def luggage(self) -> Luggage:
        parents = self._parents()
        kept = {
            key: each for key, each in self.chosen.items() if self._wanted(each, key in parents)
        }
        names = {key: f"carried/{number:03}-{self.slugs[key]}" for number, key in enumerate(kept)}
        lessons = tuple(
            self._lesson(names[key], each, key in parents) for key, each in kept.items()
        )
        at = {key: names[key] for key in parents}
        trials = {at[key]: self._trial(at, self.chosen[key]) for key in parents}
        parcel = Parcel(
            carried=Carried(runs=tuple(run.folder.name for run in self.runs), lessons=lessons),
            trials=trials,
        )
        repositories = {at[key]: self.chosen[key].run.folder / "code.git" for key in parents}
        return Luggage(parcel, repositories, tuple(self._remarks()))

    def _parents(self) -> list[tuple[str, str]]:
        """The best claims that stand and can be compared, oldest first."""
        standing = [
            (each.least, key)
            for key, each in self.chosen.items()
            if each.least is not None and not self.changed[each.run.folder]
        ]
        best = sorted(standing, key=lambda entry: -entry[0])[: self.carry.claims]
        among = {key for _, key in best}
        return [key for key in self.chosen if key in among]

    def _wanted(self, each: Found, parent: bool) -> bool:
        improved = each.lesson.verdict.outcome is Outcome.improved
        return parent or (self.carry.lessons if improved else self.carry.ideas)

    def _lesson(self, name: str, each: Found, parent: bool) -> CarriedLesson:
        lesson, why = each.lesson, self.changed[each.run.folder]
        reason = lesson.verdict.reason
        if why and not reason.startswith(UNCOMPARABLE):
            lesson = _with_verdict(lesson, reason=f"{UNCOMPARABLE}, {why} differ: {reason}")
        elif each.least is not None and not parent:
            lesson = _with_verdict(lesson, reason=f"confirmed, code not carried over: {reason}")
        update: dict[str, object] = {"name": name, "idea": self._idea(each)}
        update |= {} if parent else {"commit": None}
        update |= {} if self.carry.lessons else {"analysis": None, "review": None}
        told = lesson.model_copy(update=update)
        return CarriedLesson(source=each.source, lesson=told, least=each.least if parent else None)

    def _idea(self, each: Found) -> Idea:
        """With the slugs that it and its parent have now."""
        idea = each.lesson.idea
        meant = self.meant.get((each.run.folder, idea.parent or ""))
        parent = self.slugs[meant] if meant else idea.parent
        return idea.model_copy(update={"slug": self.slugs[each.key], "parent": parent})

    def _trial(self, at: Mapping[tuple[str, str], str], each: Found) -> Trial:
        trial = read(each.run.folder / each.lesson.name / TRIAL, Trial)
        meant = self.meant.get((each.run.folder, trial.parent or ""))
        parent = at.get(meant) if meant else None
        update = {"name": at[each.key], "idea": self._idea(each), "parent": parent}
        return trial.model_copy(update=update)

    def _remarks(self) -> Iterator[str]:
        for run in self.runs:
            if why := self.changed[run.folder]:
                yield f"no claim of {run.folder.name} is built on: {why} differ from this run's"
