"""Apply, run, score: the part that no model may write.

The experiment runs in one sandbox and leaves predictions; the task's scorer runs in another one with
the private labels and never imports the experiment's code. Every run is a step on disk of its own.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeVar

from pydantic import ValidationError

from autoresearch import sandbox
from autoresearch.config import Settings
from autoresearch.errors import BaselineFailed, PromptRefused, PromptTooLong, UnusableAnswer
from autoresearch.floors import floor_of as floor_of
from autoresearch.llm import Model, Request, ask
from autoresearch.metrics import LARGEST_SCORE
from autoresearch.papers import Library
from autoresearch.prompts import Prompts
from autoresearch.records import Execution, Floor, Lesson, Limits, Measurement, Record, Score, Task
from autoresearch.reported import reported_score
from autoresearch.sandbox import Environment, Follow, Job, Sandbox
from autoresearch.sandbox.results import Refused, read_json
from autoresearch.shortening import shortened
from autoresearch.store import Desk, first_problem
from autoresearch.workspace import Workspace

R = TypeVar("R", bound=Record)
S = TypeVar("S")
SCORER_LIMITS = Limits(
    timeout=120, memory=2 * 2**30, disk=64 * 2**20, file=64 * 2**20, processes=64
)
DATA_LIMITS = Limits(timeout=1800, memory=8 * 2**30, disk=8 * 2**30, file=8 * 2**30)
WITNESS = Path(sandbox.__file__).parent / "witness"  # describes what a failing experiment was doing
SCORE_BYTES = 64 * 2**20
NOTHING: Mapping[str, str] = MappingProxyType({})
RECIPE, SCORER = ("python", "data.py"), ("python", "score.py")


@dataclass(frozen=True)
class Lab:
    """What every part of a run works with: the settings, the three seams, and where things are."""

    settings: Settings
    task: Task
    model: Model
    library: Library
    sandbox: Sandbox
    environment: Environment
    workspace: Workspace
    prompts: Prompts
    desk: Desk
    note: Callable[[str], None]
    data: Path | None = None  # where `public` and `private` are; None: where the run made them
    carried: tuple[Lesson, ...] = ()  # of earlier runs
    environment_hash: str | None = None  # of what experiments run in; None where nobody said

    @property
    def data_folder(self) -> Path:
        return self.data or self.desk.folder / "data"

    @property
    def topic(self) -> str:
        return self.settings.topic or self.task.topic

    @cached_property
    def floor(self) -> Floor:
        """The noise floor: the baseline on every seed, measured once."""
        return self.desk.step("floor", Floor, lambda: _measure_floor(self))

    def close(self) -> None:
        """Leave nothing behind but the run."""
        self.workspace.clear()
        self.sandbox.close()

    def measure_floor(self) -> Floor:  # said as the work it is where it comes first
        return self.floor

    def ask(
        self, desk: Desk, step: str, prompt: str, record: type[R], /, *, final: bool = False, **variables: object,
    ) -> R:  # fmt: skip
        """A typed answer from the model to one of the prompts, asked by step `step` of `desk`.

        With `final` the run goes on without an answer, where the model gives no usable one. A prompt that is too long is shortened, rule by rule, and what was left out noted. Raises PromptTooLong where nothing is left to leave out.
        """
        where, left_out, tried = desk.where(step), "", dict(variables)
        shorter = shortened(variables)
        while True:
            try:
                text = self.prompts.render(prompt, tried)
                return ask(self.model, Request(prompt, tried, text, record, where), final)
            except PromptTooLong:
                left_out, tried = next(shorter, ("", {}))
                if not left_out:
                    raise
                self.note(f"{where}: the prompt is too long for the model; asked with {left_out}")

    def opinion(
        self, desk: Desk, step: str, prompt: str, record: type[R], /, **variables: object
    ) -> R | None:
        """Like `ask`; None where the model gives no usable answer, which a resumed run keeps."""
        try:
            return self.ask(desk, step, prompt, record, final=True, **variables)
        except (UnusableAnswer, PromptRefused):
            return None


class _ScoreFile(Record):
    """What a scorer writes to $OUT/score.json: a value, or why there is none."""

    value: float | None = None
    examples: tuple[float, ...] = ()
    refused: str | None = None


def prepare_data(lab: Lab) -> Path:
    """Run the task's data recipe once; the folder with `public` and `private` (which a task without
    a scorer does not need, nor a recipe).

    Raises BaselineFailed when the recipe does not run or leaves something else.
    """
    folder = lab.desk.folder / "data"
    if lab.task.reported and not (lab.task.folder / "data.py").is_file():
        (folder / "public").mkdir(parents=True, exist_ok=True)
        return folder
    made = lab.desk.step("data", Execution, lambda: run_recipe(lab, folder))
    if not made.succeeded:
        raise BaselineFailed(
            f"data.py: {made.reason}: {last_line(made.stderr)}; mend the task, start again"
        )
    wanted = ("public",) if lab.task.reported else ("public", "private")
    missing = [name for name in wanted if not (folder / name).is_dir()]
    if missing:
        raise BaselineFailed(
            f"data.py left no folder {' and no '.join(missing)} in $OUT; mend the task"
        )
    return folder


def run_recipe(lab: Lab, folder: Path, *flags: str) -> Execution:
    """Run the task's data recipe; what it leaves is then in `folder`."""
    inputs = {"work": lab.task.folder}
    if lab.settings.data is not None:
        inputs["source"] = lab.settings.data
    return run_whole(
        lab,
        Job(lab.environment, (*RECIPE, *flags), inputs, folder, DATA_LIMITS, purpose="recipe"),
    )


def _measure_floor(lab: Lab) -> Floor:
    prepare_data(lab)
    commit = lab.workspace.import_baseline(lab.task.folder / "baseline")
    tree = lab.workspace.export(commit)
    desk = lab.desk.at("baseline")

    def one(seed: int) -> Measurement:
        measured = measure(lab, desk, f"seed-{seed}", tree, seed)
        if measured.value is None:
            raise BaselineFailed(
                f"the baseline gave no score with seed {seed}: {explain(measured)}"
            )
        return measured

    measurements = tuple(in_parallel(lab, one, range(lab.task.seeds)))
    values = [m.value for m in measurements if m.value is not None]
    if lab.task.reported and len(values) > 1 and len(set(values)) == 1:
        lab.note(
            "the baseline gave the same score with every seed: a gain without scatter is not tested, "
            "and cannot come out as improved; take randomness from $SEED"
        )
    return floor_of(commit, measurements, values, lab.settings)


def measure(
    lab: Lab, desk: Desk, name: str, tree: Path, seed: int, follow: Follow | None = None
) -> Measurement:
    """Run the code in `tree` with one seed, then score what it left: two steps on disk."""
    left = desk.folder / f"{name}-out"
    job = replace(_experiment(lab, left, tree, seed, lab.task.limits), follow=follow)
    execution = desk.step(f"{name}-run", Execution, partial(run_whole, lab, job))
    if not execution.succeeded:
        return Measurement(seed=seed, execution=execution, score=None)

    def judge() -> Score:
        if lab.task.reported:
            return reported_score(lab.task, lab.task.reported, execution, left)
        return score_predictions(lab, desk, name, "validation")

    score = desk.step(f"{name}-score", Score, judge)
    return Measurement(seed=seed, execution=execution, score=score)


def smoke(lab: Lab, desk: Desk, name: str, tree: Path) -> Execution | None:
    """Run the code with $SMOKE set, where the task offers that: short, never scored, a step of its own."""
    if lab.task.smoke is None:
        return None
    limits = lab.task.limits.model_copy(update={"timeout": lab.task.smoke})
    left = desk.folder / f"{name}-smoke-out"
    job = _experiment(lab, left, tree, 0, limits, {"SMOKE": "1"})
    return desk.step(f"{name}-smoke", Execution, partial(run_whole, lab, job))


def _experiment(
    lab: Lab, left: Path, tree: Path, seed: int, limits: Limits, more: Mapping[str, str] = NOTHING
) -> Job:
    inputs = {"work": tree, "data": lab.data_folder / "public", "witness": WITNESS}
    last_words = max(limits.timeout * 0.98, limits.timeout - 2)
    variables = {"SEED": str(seed), "WITNESS_SECONDS": f"{last_words:g}", **more}
    return Job(lab.environment, lab.task.command, inputs, left, limits, variables)


def score_predictions(
    lab: Lab, desk: Desk, name: str, split: Literal["validation", "test"]
) -> Score:
    """What the trusted scorer says of the predictions that measurement `name` left."""
    out = desk.folder / f"{name}-{split}"
    inputs = {
        "work": lab.task.folder,
        "predictions": desk.folder / f"{name}-out",
        "private": lab.data_folder / "private",
    }
    variables = {"SPLIT": split}
    ran = run_whole(
        lab, Job(lab.environment, SCORER, inputs, out, SCORER_LIMITS, variables, "scorer")
    )
    try:
        if not ran.succeeded:
            return _unscored(
                lab, split, f"the scorer failed ({ran.reason}): {last_line(ran.stderr)}"
            )
        found = _ScoreFile.model_validate(read_json(out / "score.json", SCORE_BYTES))
    except (Refused, ValidationError, ValueError, OSError) as error:
        problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
        return _unscored(
            lab, split, f"the scorer left no readable score.json: {last_line(problem)}"
        )
    finally:
        shutil.rmtree(out, ignore_errors=True)
    if max(map(abs, (found.value or 0.0, *found.examples))) > LARGEST_SCORE:
        return _unscored(lab, split, f"a score beyond {LARGEST_SCORE:g} is no score")
    if found.value is None:
        return _unscored(lab, split, f"predictions refused: {found.refused or 'no reason given'}")
    return Score(metric=lab.task.metric, split=split, value=found.value, examples=found.examples)


def _unscored(lab: Lab, split: Literal["validation", "test"], reason: str) -> Score:
    return Score(metric=lab.task.metric, split=split, value=None, reason=reason[:1000])


def run_whole(lab: Lab, job: Job) -> Execution:
    """Run a job whose files end up in `job.outputs`, whole or not at all."""
    folder = job.outputs
    aside = folder.with_name(f".{folder.name}")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    execution = lab.sandbox.run(replace(job, outputs=aside))
    aside.mkdir(parents=True, exist_ok=True)
    aside.rename(folder)
    return execution


def in_parallel(lab: Lab, work: Callable[[int], S], numbers: Iterable[int]) -> list[S]:
    """`work` on each number with `settings.parallel` threads; results in order.

    The first failure stops what has not begun and is raised when what runs has come to a step.
    """
    with ThreadPoolExecutor(lab.settings.parallel) as pool:
        futures = [pool.submit(work, number) for number in numbers]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            failed = next(
                (future for future in futures if future in done and future.exception()), None
            )
            if failed is not None:
                failed.result()
            return [future.result() for future in futures]
        finally:
            if not all(future.done() for future in futures):
                lab.desk.stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)


def explain(measured: Measurement) -> str:
    """Why a measurement has no score, in one line."""
    if measured.score is not None and measured.value is None:
        return measured.score.reason
    return f"{measured.execution.reason}: {last_line(measured.execution.stderr)}"


def last_line(text: str) -> str:
    """The last line that says something, bounded."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "(no output)"
