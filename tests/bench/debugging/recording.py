"""How each broken program fails: run in the real sandbox with the real witness, and kept in one file."""

import json
import lzma
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, get_args

from pydantic import Field

from autoresearch.assembly import open_lab, start
from autoresearch.config import SandboxSettings, Settings
from autoresearch.harness import Lab, measure
from autoresearch.practice.crashes import FILE
from autoresearch.records import Execution, Floor, Measurement, Record, Score
from autoresearch.sandbox import Environment
from autoresearch.store import Run
from tests.bench.debugging.cases import (  # fmt: skip
    EPOCHS,
    TASKS,
    Case,
    Honest,
    Kind,
    Mistake,
    Program,
    candidates,
    case_of,
    honest_ideas,
    keeps_idea,
    patched,
)
from tests.bench.debugging.operators import OPERATORS
from tests.engine import TASKS as FOLDERS

RECORDED = Path(__file__).parent / "recorded.json.xz"
TIMEOUT = "90s"  # an honest program takes a tenth of it on an idle core
TOLERANCE = 0.05  # of accuracy, by which a repaired program may be below the honest one
TRIES = 2  # for a case of an operator: many a mistake does not show


class Recorded(Record):
    """A broken program's execution, and what its witness wrote."""

    mistake: Mistake
    execution: Execution
    score: Score | None
    witnessed: Any = None


class Recording(Record):
    """All of them; by task the environment and the noise floor; by idea the honest program's accuracy."""

    environments: Mapping[str, Environment] = Field(default_factory=dict)
    floors: Mapping[str, Floor] = Field(default_factory=dict)
    honest: Mapping[str, float] = Field(default_factory=dict)
    cases: tuple[Recorded, ...] = ()


@cache
def recorded() -> Recording:
    return Recording.model_validate_json(lzma.decompress(RECORDED.read_bytes()))


def save(recording: Recording) -> None:
    aside = RECORDED.with_suffix(".aside")
    aside.write_bytes(lzma.compress(recording.model_dump_json().encode(), preset=9))
    aside.replace(RECORDED)


# --- where programs run -------------------------------------------------------------------------


def shortened_task(task: str, folder: Path) -> Path:
    """A copy of a shipped task whose baseline trains for a shorter time, with one seed."""
    copy = shutil.copytree(FOLDERS / task, folder / task, ignore=shutil.ignore_patterns("full"))
    program, file = copy / "baseline" / "train.py", copy / "task.toml"
    before, after = EPOCHS[task]
    program.write_text(program.read_text().replace(f"EPOCHS = {before}\n", f"EPOCHS = {after}\n"))
    lines = [
        f'timeout = "{TIMEOUT}"' if line.startswith("timeout") else line.replace("seeds = 5", "seeds = 1")
        for line in file.read_text().splitlines()
    ]  # fmt: skip
    file.write_text("\n".join(lines) + "\n")
    return copy


@contextmanager
def lab_of(
    task: str, settings: Settings | None = None, folder: Path | None = None
) -> Iterator[Lab]:
    """A real run of a shortened task, with the local sandbox; one in `folder` goes on where it was."""
    with tempfile.TemporaryDirectory() as temporary:
        settings = settings or Settings(sandbox=SandboxSettings(kind="local"), parallel=1)
        runs = folder or Path(temporary) / "runs"
        found = [path.parent for path in runs.glob(f"*-{task}-*/run.toml")]
        if found:
            run = Run(found[0])
        else:
            copy = shortened_task(task, Path(temporary))
            run = start(settings.model_copy(update={"task": str(copy), "runs": runs}))
        with run.locked():
            lab = open_lab(run)
            try:
                yield lab
            finally:
                lab.close()


def write_program(program: Program, folder: Path) -> None:
    for path, text in program.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def run_program(lab: Lab, name: str, program: Program) -> tuple[Measurement, Any]:
    """Measure a program on the first seed, and what its witness wrote."""
    desk = lab.desk.at(f"programs/{name}")
    folder = lab.workspace.trees / name.replace("/", "-")
    write_program(program, folder)
    measured = measure(lab, desk, "0", folder, 0)
    left = desk.folder / "0-out" / FILE
    witnessed = json.loads(left.read_text()) if left.is_file() else None
    shutil.rmtree(folder)
    shutil.rmtree(desk.folder)
    return measured, witnessed


def repaired(honest: Honest, program: Program, value: float | None, least: float) -> bool:
    """The hidden check: the program runs, keeps the idea, and is not below the honest one (`least`, its
    accuracy) by more than the tolerance."""
    return value is not None and value >= least - TOLERANCE and keeps_idea(honest, program)


# --- recording ----------------------------------------------------------------------------------


def record(tasks: Iterable[str] = TASKS, each: int = 1, again: bool = False) -> Iterator[str]:
    """Find cases that fail, and keep how: of each operator `each` in three of the tasks, and in the fourth
    as many in code that the patch did not touch; of forgotten edits all. What is kept already counts. With
    `again` those that are kept are run anew instead."""
    recording = recorded() if RECORDED.exists() else Recording()
    for task in tasks:
        with lab_of(task) as lab:
            recording = _honest(lab, task, recording)
            for wanted in _again(task, recording) if again else _looked_for(task, recording, each):
                for case in wanted:
                    measured, witnessed = run_program(lab, case.name, case.broken)
                    fails = measured.value is None
                    yield f"{case.name}: {measured.execution.reason if fails else 'runs'}"
                    if fails:
                        recording = _kept(recording, case, measured, witnessed)
                        save(recording)
                        break


def _looked_for(task: str, recording: Recording, each: int) -> Iterator[Iterator[Case]]:
    """Cases that are not kept yet, of the operators with the fewest first: of each group the first that
    fails is wanted."""
    known = {kept.mistake for kept in recording.cases}
    count = Counter(mistake.operator for mistake in known)
    order = sorted(enumerate(OPERATORS.values()), key=lambda pair: count[pair[1].name])
    for number, operator in order:
        for kind in get_args(Kind):
            found = list(candidates(operator, kind, task))
            new = [mistake for mistake in found if mistake not in known]
            if operator.category == "incomplete":
                yield from (_cases([mistake]) for mistake in new)
                continue
            turn = (number + TASKS.index(task)) % len(TASKS)
            for _ in range(each - len(found) + len(new) if (turn > 0) == (kind == "patch") else 0):
                yield _cases(new[: 3 * TRIES])
                new = new[TRIES:]


def _cases(mistakes: Iterable[Mistake]) -> Iterator[Case]:
    """At most so many cases as may be tried, without mistakes that no code before the patch can have."""
    found = 0
    for mistake in mistakes:
        with suppress(ValueError):
            case = case_of(mistake)
            found += 1
            yield case
        if found == TRIES:
            return


def _again(task: str, recording: Recording) -> Iterator[Iterator[Case]]:
    for each in recording.cases:
        if each.mistake.honest.startswith(f"{task}/"):
            yield iter([case_of(each.mistake)])


def _honest(lab: Lab, task: str, recording: Recording) -> Recording:
    """The environment, the floor, and that every idea's patch works."""
    floor, values = lab.floor, dict(recording.honest)
    for honest in honest_ideas():
        if honest.task == task and honest.name not in values:
            value = run_program(lab, f"{honest.name}/honest", patched(honest))[0].value
            assert value is not None, f"the patch of {honest.name} does not work"
            values[honest.name] = value
    environment = lab.environment.model_copy(update={"reference": "", "lock": ""})
    return recording.model_copy(
        update={
            "environments": {**recording.environments, task: environment},
            "floors": {**recording.floors, task: floor},
            "honest": values,
        }
    )


def _kept(recording: Recording, case: Case, measured: Measurement, witnessed: Any) -> Recording:
    new = Recorded(
        mistake=case.mistake, execution=measured.execution, score=measured.score, witnessed=witnessed
    )  # fmt: skip
    others = [each for each in recording.cases if each.mistake != case.mistake]
    everything = sorted([*others, new], key=lambda each: each.mistake.name)
    return recording.model_copy(update={"cases": tuple(everything)})
