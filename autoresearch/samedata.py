"""The data of a run that goes on being used: made again where they are gone, and seen to be the same."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

from autoresearch.errors import BadInput
from autoresearch.harness import Lab, last_line, run_recipe, score_predictions
from autoresearch.records import Execution
from autoresearch.store import read


def same_data(lab: Lab) -> tuple[str, ...]:
    """Make the run's data again where they are gone, and see that they are what they were: the scorer
    says the same of the baseline's recorded predictions. What could not be checked is said.

    Raises BadInput where they are others.
    """
    folder = lab.data_folder
    wanted = ("public",) if lab.task.reported else ("public", "private")
    if all((folder / name).is_dir() for name in wanted):
        return _check_scores(lab, folder)
    again = folder.with_name("data-again")
    _make_again(lab, again)
    unchecked = _check_scores(lab, again)
    shutil.rmtree(folder, ignore_errors=True)
    again.rename(folder)
    return ("the data were made again", *unchecked)


def _make_again(lab: Lab, again: Path) -> None:
    source = lab.settings.data
    if source is not None and not source.is_dir():
        raise BadInput(
            f"the data are gone, and so is {source}, which they are made from: restore it"
        )
    if not (lab.task.folder / "data.py").is_file():
        (again / "public").mkdir(parents=True, exist_ok=True)
        return
    made = run_recipe(lab, again)
    if not made.succeeded:
        raise BadInput(
            f"the data are gone and data.py does not make them again: {made.reason}: "
            f"{last_line(made.stderr)}; restore data/ from a copy of the run"
        )
    before = read(lab.desk.folder / "data.json", Execution).files
    if made.files != before:
        changed = sorted(set(made.files) ^ set(before))[0]
        raise BadInput(f"data.py makes other data than the run had ({changed}): restore data/")


def _check_scores(lab: Lab, data: Path) -> tuple[str, ...]:
    first = lab.floor.measurements[0]
    name, desk = f"seed-{first.seed}", lab.desk.at("baseline")
    if lab.task.reported:
        return ()
    if not (desk.folder / f"{name}-out").is_dir() or first.score is None:
        return ("the data were not checked: the baseline's predictions are gone",)
    now, was = score_predictions(replace(lab, data=data), desk, name, "validation"), first.score
    same = now.value is not None and math.isclose(now.value, float(was.value or 0.0), rel_tol=1e-9)
    if not same or len(now.examples) != len(was.examples):
        raise BadInput(
            f"the data or the scorer of {lab.desk.folder} are not what they were: the baseline's "
            f"predictions score {now.value} ({now.reason or 'then'} {was.value}): restore data/ and task/"
        )
    return ()
