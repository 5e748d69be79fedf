"""What a run took over from earlier ones, as it lies in its directory and in cassettes.

carried.json                             the lessons, oldest first
carried/000-wider-layer/practice.json    the trial of one that ideas may start from; its commit is at
                                         refs/carried/000-wider-layer in code.git
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import ValidationError, model_validator

from autoresearch.errors import RecordError
from autoresearch.records import Carried, CarriedLesson, Record, Trial
from autoresearch.store import first_problem, read, write

FILE, TRIAL = "carried.json", "practice.json"
_NAME = re.compile(r"carried/\d{3,6}-[a-z0-9-]{1,60}")


class Parcel(Record):
    """All that a run took over but the commits, which can be made again from the trials' diffs."""

    carried: Carried
    trials: dict[str, Trial]

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        """A cassette may be anybody's: no name in it leads to another place of the run."""
        lessons = {each.lesson.name: each.lesson for each in self.carried.lessons}
        strange = [name for name in lessons if not _NAME.fullmatch(name)]
        with_code = {name for name, lesson in lessons.items() if lesson.commit}
        parents = {trial.parent for trial in self.trials.values()} - {None}
        named = all(trial.name == name for name, trial in self.trials.items())
        if strange or not named or with_code != set(self.trials) or not parents <= with_code:
            raise ValueError("what was carried over does not belong together")
        return self

    def with_commits(self, commits: Mapping[str, str]) -> Self:
        """The same with another commit for each trial, by their names."""

        def changed(each: CarriedLesson) -> CarriedLesson:
            update = {"commit": commits.get(each.lesson.name)}
            return each.model_copy(update={"lesson": each.lesson.model_copy(update=update)})

        lessons = tuple(map(changed, self.carried.lessons))
        trials = {
            name: trial.model_copy(update={"commit": commits[name]})
            for name, trial in self.trials.items()
        }
        carried = self.carried.model_copy(update={"lessons": lessons})
        return self.model_copy(update={"carried": carried, "trials": trials})

    def write_to(self, folder: Path) -> None:
        """Write its files into a run's directory."""
        write(folder / FILE, self.carried.model_dump_json(indent=1))
        for name, trial in self.trials.items():
            write(folder / name / TRIAL, trial.model_dump_json(indent=1))

    def __str__(self) -> str:
        lessons, runs = len(self.carried.lessons), len(self.carried.runs)
        return (
            f"{lessons} lesson{'' if lessons == 1 else 's'} of {runs} earlier run"
            f"{'' if runs == 1 else 's'}, {len(self.trials)} with code to build on"
        )


def carried_in(folder: Path) -> Carried | None:
    """What the run in that folder took over; None where it began with nothing."""
    return read(folder / FILE, Carried) if (folder / FILE).is_file() else None


def parcel_in(folder: Path) -> Parcel | None:
    """The same with its trials. Raises RecordError where a file is damaged or missing."""
    carried = carried_in(folder)
    if carried is None:
        return None
    named = [each.lesson.name for each in carried.lessons if each.lesson.commit]
    trials = {name: read(folder / name / TRIAL, Trial) for name in named}
    try:
        return Parcel(carried=carried, trials=trials)
    except ValidationError as error:
        raise RecordError(
            f"{folder / FILE}: {first_problem(error)}; restore it from a copy of the run"
        ) from None
