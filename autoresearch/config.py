"""Settings from `autoresearch.toml`, the command line and `--set`, and tasks from `task.toml`.

Later sources win: defaults, the file in the working directory, options, `--set key=value`.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field, ValidationError

from autoresearch.errors import BadInput, TaskError
from autoresearch.metrics import MetricTable
from autoresearch.records import Direction, Limits, Task
from autoresearch.roles import ModelSettings as ModelSettings
from autoresearch.roles import Section
from autoresearch.toml_files import explain, parse_toml, read_toml

FILE = "autoresearch.toml"
CODE_SHOWN = 80_000  # characters: some 25,000 tokens


class PaperSettings(Section):
    """Where papers come from. `arxiv` is left out of runs with `--model offline`."""

    folder: Path | None = None
    arxiv: bool = True
    arxiv_url: str = "https://export.arxiv.org/api/query"
    retrieve: int = Field(default=50, ge=1, le=300)
    keep: int = Field(default=8, ge=1, le=10)  # the score from which a paper is kept


class NoveltySettings(Section):
    """Independence of ideas. The threshold belongs to the encoder; None takes the encoder's own."""

    encoder: Literal["ngrams", "minilm"] = "ngrams"
    threshold: float | None = Field(default=None, gt=0, le=1)


class FalsifySettings(Section):
    """What tries to refute a gain. `compute`: the multiple of the baseline's seconds from which a gain
    is reported per compute; `control` runs the search a second time, blind, to be beaten."""

    compute: float = Field(default=3.0, gt=1)
    control: bool = False
    fidelity: bool = True  # ask the model whether a patch does what its idea says


class Carry(Section):
    """What a run takes over from earlier ones: `ideas` that did not improve, or were refuted, so that they are not
    tried again; `lessons`, the analyses and reviews, and what improved but is no parent; so many of the best `claims`
    as parents."""

    lessons: bool = True
    ideas: bool = True
    claims: int = Field(default=5, ge=0, le=100)


class SandboxSettings(Section):
    kind: Literal["docker", "local", "auto", "none"] = "docker"
    image: str = "python:3.11-slim"  # what docker environments are built from
    runtime: str | None = None  # "runsc" for gVisor
    python: str | None = None  # the interpreter that local environments are made with
    cache: Path | None = None  # where environments are kept; None: the user's cache folder
    i_trust_generated_code: bool = False


class Settings(Section):
    """Everything a run is configured by; frozen into its `run.toml`."""

    topic: str = ""
    task: str = "digits"
    metric: str | None = None  # of a folder without a task.toml: what its program reports
    direction: Direction | None = None
    data: Path | None = None  # a data set of the user's, which the task's recipe sees as $SOURCE
    rounds: int = Field(default=2, ge=1, le=1000)
    ideas: int = Field(default=20, ge=1, le=500)
    attempts: int = Field(default=5, ge=1, le=20)
    parallel: int = Field(default=2, ge=1, le=256)
    seed: int = 0  # of the offline model
    alpha: float = Field(default=0.05, gt=0, lt=1)
    budget: tuple[str, ...] = ()  # "5usd", "3Mtok", "10gpuh", "2h": one of each at most
    runs: Path = Path("runs")
    # End an idea's first run once what it reports is clearly behind the baseline.
    early_stop: bool = True
    # What a repair is asked from: what bears on the failure ("structure"), or (the published arms) the whole
    # code with the plain traceback, structured by the model first ("unextracted") or not ("raw").
    debug: Literal["structure", "unextracted", "raw"] = "structure"
    # Read a patch before it is run, and run it shortly first where the task offers that.
    checks: bool = True
    # Whose repairs are told of when something fails.
    memory: Literal["runs", "run", "none"] = "runs"
    # Characters of code in one question, above which a map stands for what is left out; None: CODE_SHOWN, or
    # less where the model's context is small.
    code_shown: int | None = Field(default=None, ge=4_000)
    prompts: Path | None = None  # a folder whose files replace the product's own
    model: ModelSettings = ModelSettings()
    papers: PaperSettings = PaperSettings()
    novelty: NoveltySettings = NoveltySettings()
    falsify: FalsifySettings = FalsifySettings()
    sandbox: SandboxSettings = SandboxSettings()


def load_settings(
    folder: Path,
    options: Mapping[str, Any],
    assignments: Iterable[str] = (),
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> Settings:
    """The settings for a command run in `folder`. `options` are dotted keys; None means not given.
    `defaults` (a replayed run's settings) stand in for the product's own.

    Raises BadInput naming the key, and the file and line where there is one.
    """
    file = folder / FILE
    text = read_toml(file, BadInput) if file.exists() else ""
    merged = _merge(defaults, parse_toml(text, file, BadInput))
    for key, value in options.items():
        if value is not None:
            _assign(merged, key, value)
    for assignment in assignments:
        key, value = _parse_assignment(assignment)
        _assign(merged, key, value)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise BadInput(explain(error, text, FILE)) from None


def _merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Two levels of settings, section by section; `upper` wins."""
    merged = {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in lower.items()
    }
    for key, value in upper.items():
        section = merged.get(key)
        merged[key] = (
            section | value if isinstance(section, dict) and isinstance(value, dict) else value
        )
    return merged


def _parse_assignment(assignment: str) -> tuple[str, Any]:
    key, separator, raw = assignment.partition("=")
    if not separator or not re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", key.strip()):
        raise BadInput(f"--set wants key=value (as in model.temperature=0.7), not {assignment!r}")
    try:
        return key.strip(), tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), raw


def _assign(settings: dict[str, Any], dotted: str, value: Any) -> None:
    *sections, last = dotted.split(".")
    for depth, section in enumerate(sections):
        below = settings.get(section, {})
        if isinstance(below, str) and depth == 1:
            below = {"name": below}  # a role's section may be just its model's name
        if not isinstance(below, dict):
            raise BadInput(f"{dotted}: {section} is not a section")
        settings[section] = dict(below)
        settings = settings[section]
    if sections == ["model"] and isinstance(value, str) and isinstance(settings.get(last), dict):
        value = settings[last] | {"name": value}
    settings[last] = value


# --- tasks --------------------------------------------------------------------------------------


class _TaskTable(Section):
    topic: str = ""
    goal: str = Field(min_length=1)
    ideas: tuple[str, ...] = Field(default=(), max_length=100)  # known already


class _ExperimentTable(Section):
    command: tuple[str, ...] = Field(min_length=1)
    editable: tuple[str, ...] = Field(min_length=1)
    timeout: str | float = "10m"
    smoke: str | float | None = None  # of a run with $SMOKE set, which is tried before the real one
    memory: str | int = "4g"
    disk: str | int = "1g"
    cpus: float = 1
    gpus: int = 0
    processes: int = 256

    def limits(self) -> Limits:
        """Raises ValueError for what is no duration, size or possible limit."""
        return Limits(
            timeout=parse_duration(self.timeout),
            memory=parse_size(self.memory),
            disk=parse_size(self.disk),
            file=parse_size(self.disk),
            cpus=self.cpus,
            gpus=self.gpus,
            processes=self.processes,
        )

    def smoke_seconds(self, limits: Limits) -> float | None:
        """Raises ValueError for what is no duration, or is not shorter than a run may be."""
        seconds = None if self.smoke is None else parse_duration(self.smoke)
        if seconds is not None and not 0 < seconds < limits.timeout:
            raise ValueError(f"smoke = {self.smoke!r} must be shorter than timeout, and above 0")
        return seconds


class _EvaluationTable(Section):
    seeds: int = Field(default=5, ge=1, le=100)


class _TaskFile(Section):
    task: _TaskTable
    experiment: _ExperimentTable
    metric: MetricTable
    evaluation: _EvaluationTable = _EvaluationTable()


TASK_FILES = ("task.toml", "data.py", "score.py", "baseline")
OWN_FILES = ("task.toml", "baseline")  # where the program reports its own score


def find_task(name: str, shipped: Path) -> Path:
    """The folder of a task given as a path or as the name of one in `shipped`."""
    for folder in (Path(name), shipped / name):
        if (folder / "task.toml").is_file():
            return folder.resolve()
    tasks = (path.parent.relative_to(shipped) for path in shipped.glob("**/task.toml"))
    known = ", ".join(sorted(map(str, tasks)))
    raise TaskError(f"unknown task {name!r}: give a folder with a task.toml, or one of: {known}")


def load_task(folder: Path) -> Task:
    """Read `folder/task.toml`. Raises TaskError naming the file, the key and the line."""
    _check_files(folder, OWN_FILES)
    if not any(path.is_file() for path in (folder / "baseline").rglob("*")):
        raise TaskError(f"{folder / 'baseline'} holds no file: put the code to improve there")
    for link in (path for path in folder.rglob("*") if path.is_symlink()):
        if not link.resolve().is_relative_to(folder.resolve()):
            raise TaskError(f"{link} leads out of the task's folder: put a copy in its place")
    file = folder / "task.toml"
    text = read_toml(file, TaskError)
    try:
        parsed = _TaskFile.model_validate(parse_toml(text, file, TaskError))
        reported = parsed.metric.reported()
        _check_files(folder, OWN_FILES if reported else TASK_FILES)
        experiment, limits = parsed.experiment, parsed.experiment.limits()
        smoke = experiment.smoke_seconds(limits)
    except ValidationError as error:
        raise TaskError(explain(error, text, str(file))) from None
    except ValueError as error:
        raise TaskError(f"{file}: experiment: {error}") from None
    return Task(
        name=_name_of(folder),
        folder=folder,
        topic=parsed.task.topic,
        goal=parsed.task.goal.strip(),
        command=experiment.command,
        editable=experiment.editable,
        limits=limits,
        smoke=smoke,
        metric=parsed.metric.name,
        direction=parsed.metric.direction,
        seeds=parsed.evaluation.seeds,
        reported=reported,
        ideas=parsed.task.ideas,
    )


def _check_files(folder: Path, names: tuple[str, ...]) -> None:
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise TaskError(f"{folder}: {', '.join(missing)} missing; see the README on tasks")


def _name_of(folder: Path) -> str:
    """The folder's name; of a variant, a task's folder in another task's, both names."""
    above = folder.parent
    return f"{above.name}-{folder.name}" if (above / "task.toml").is_file() else folder.name


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def parse_duration(value: str | float) -> float:
    """Seconds from 90, "90s", "10m", "2h" or "1d"."""
    if not (match := re.fullmatch(r"([0-9.]+)\s*([smhd]?)", str(value).strip().lower())):
        raise ValueError(f"{value!r} is not a duration such as 90s, 10m or 2h")
    return float(match[1]) * _SECONDS[match[2] or "s"]


def parse_size(value: str | int) -> int:
    """Bytes from 4096, "512m" or "4g" (powers of 1024)."""
    if not (match := re.fullmatch(r"([0-9.]+)\s*([kmgt]?)(i?b)?", str(value).strip().lower())):
        raise ValueError(f"{value!r} is not a size such as 512m or 4g")
    return int(float(match[1]) * _BYTES[match[2]])
