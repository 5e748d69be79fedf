"""Folders made for other systems, adapted as they are: a task folder of ours is made from a copy.

    task.toml        written here: command, limits, and the metric that the program reports itself
    baseline/        the program, and `in-a-copy`, which starts it in a writable copy of its folder
    data.py          where a prepare.py makes the data
    requirements.txt the folder's own, or what its pyproject.toml or imports say

The user's folder is only read. What is measured is self-reported, and marked so everywhere.
"""

import ast
import os
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from autoresearch.budgets import Budget
from autoresearch.config import Settings, find_task, load_task
from autoresearch.errors import BadInput, TaskError
from autoresearch.final_info import choose_metric
from autoresearch.formats import INFO, Found, recognise, text_of
from autoresearch.ledger import Ledger
from autoresearch.metering import MeteredSandbox
from autoresearch.sandbox import Environment, Job, Sandbox
from autoresearch.sandbox.results import Refused, read_json
from autoresearch.store import Run

BOOKS = "ledger.jsonl"
LARGEST = 256 * 2**20  # bytes of a folder that is copied for each run
START = "in-a-copy"  # not *.py, so that no pattern for editable code matches it
_NOT_CODE = {
    ".git", ".hg", ".svn", "__pycache__", ".venv", "venv", ".env", "node_modules", "wandb", "mlruns",
    ".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints", ".DS_Store",
}  # fmt: skip
# By the name they are imported under. Others are not guessed: a name that nobody vouched for is not installed.
_PACKAGES = {
    "PIL": "pillow", "cv2": "opencv-python-headless", "sklearn": "scikit-learn", "yaml": "pyyaml",
} | {
    name: name for name in ["datasets", "einops", "gymnasium", "jax", "joblib", "lightgbm", "matplotlib", "networkx", "numpy", "optuna", "pandas", "pyarrow", "requests", "safetensors", "scipy", "seaborn", "statsmodels", "sympy", "tiktoken", "tokenizers", "torch", "torchvision", "tqdm", "transformers", "xgboost"]
}  # fmt: skip


@dataclass(frozen=True)
class Opened:
    """A task folder to start a run from. `source` is what the user named; `found` is None where that is
    a task of ours already."""

    folder: Path
    source: Path
    found: Found | None = None
    remarks: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """What run.toml keeps of where the scores are from, and of what the folder was."""
        reported = load_task(self.folder).reported
        return {
            **({"scores": "self-reported"} if reported else {}),
            **({"recognised": f"{self.found.kind}, self-reported"} if self.found else {}),
        }

    def tell(self, run: Run) -> None:
        """Note in a new run what the folder was taken for, and take over what that has cost."""
        if self.found is None:
            return
        run.note(f"{self.source} is recognised as {self.found.kind}: its scores are self-reported")
        for remark in self.remarks:
            run.note(remark)
        if (self.folder.parent / BOOKS).is_file():
            shutil.copyfile(self.folder.parent / BOOKS, run.folder / BOOKS)


@contextmanager
def open_task(settings: Settings, shipped: Path) -> Iterator[Opened]:
    """The task that the settings name; of a folder of another kind an adapted copy, gone at the end.

    Raises TaskError where it is neither, BadInput where --metric is given for a task of ours.
    """
    named = Path(settings.task)
    ours = [folder / "task.toml" for folder in (named, shipped / settings.task)]
    if any(path.is_file() for path in ours) or not named.is_dir():
        folder = find_task(settings.task, shipped)
        if settings.metric is not None or settings.direction is not None:
            raise BadInput(
                f"--metric and --direction are for folders without a task.toml: {folder} says both in "
                "its [metric]; leave them out, or edit that"
            )
        yield Opened(folder, folder)
        return
    with tempfile.TemporaryDirectory(prefix="autoresearch-task-") as place:
        Path(place).chmod(0o755)  # experiments run as another user
        try:
            opened = adapt(named.resolve(), Path(place), settings)
        except PermissionError as error:
            raise TaskError(f"{error.filename}: {error.strerror}; make it readable") from None
        yield opened


def adapt(source: Path, place: Path, settings: Settings) -> Opened:
    """Make a task folder in `place` from `source`."""
    found = recognise(source, settings.metric, settings.direction)
    folder = place / source.name
    baseline = folder / "baseline"
    _copy(source, baseline, found.left_out, settings.runs.resolve())
    package = Path(__file__).parent
    shutil.copyfile(package / "in_a_copy.py", baseline / START)
    if found.prepared or found.beside:
        shutil.copyfile(package / "recipe.py", folder / "data.py")
    remarks = [
        *found.remarks,
        *_bring_data(source, folder, found),
        *_require(source, folder),
        *_about_seeds(baseline),
    ]
    table = found.metric or {"name": "?", "direction": "maximize", "json": INFO, "key": "*"}
    _write(folder, source, found, table)
    return Opened(folder, source, found, tuple(remarks))


def measured(
    opened: Opened, sandbox: Sandbox, environment: Environment, budget: Sequence[str]
) -> Opened:
    """Run a program once whose metric nothing in its folder names, within the budget, and settle on one.

    Raises TaskError where it does not run, or leaves no number.
    """
    found = opened.found
    if found is None or found.metric is not None:
        return opened
    task, out = load_task(opened.folder), opened.folder.parent / "out"
    data = opened.folder / "beside"
    if not data.is_dir():
        data = opened.folder.parent / "data"
        data.mkdir()
    inputs = {"work": opened.folder / "baseline", "data": data}
    metered = MeteredSandbox(sandbox, Ledger(opened.folder.parent / BOOKS, Budget.parse(budget)))
    ran = metered.run(Job(environment, task.command, inputs, out, task.limits, {"SEED": "0"}))
    why = "was run once to see what it reports, since no run_0/final_info.json says so"
    if not ran.succeeded:
        last = (ran.stderr.strip() or "no output").splitlines()[-1]
        raise TaskError(f"{opened.source} {why}: {ran.reason}: {last[:300]}")
    try:
        table, remarks = choose_metric(read_json(out / INFO), INFO, None, None)
    except Refused as error:
        raise TaskError(f"{opened.source} {why}, and left no readable one: {error}") from None
    _write(opened.folder, opened.source, found, table)
    told = (f"{opened.source.name} {why}", *remarks, *opened.remarks)
    return Opened(opened.folder, opened.source, found, told)


def _write(folder: Path, source: Path, found: Found, metric: dict[str, Any]) -> None:
    import tomli_w

    limits = {
        "timeout": found.timeout,
        "memory": "8g",
        "disk": "2g",
        "cpus": 1,
        "gpus": _gpus(folder),
    }
    known = {"ideas": list(found.ideas)} if found.ideas else {}
    table = {
        "task": {"topic": found.topic, "goal": found.goal, **known},
        "experiment": {
            "command": ["python", "-I", START, *found.command],
            "editable": list(found.editable),
            **limits,
        },
        "metric": metric,
        "evaluation": {"seeds": 5},
    }
    head = (
        f"# Made from {source.name}, recognised as {found.kind}. Its scores are self-reported.\n\n"
    )
    (folder / "task.toml").write_text(head + tomli_w.dumps(table, multiline_strings=True))


def _gpus(folder: Path) -> int:
    """One where the code names CUDA and this machine has it."""
    named = any("cuda" in text_of(path) for path in (folder / "baseline").rglob("*.py"))
    return int(named and shutil.which("nvidia-smi") is not None)


# --- copying ------------------------------------------------------------------------------------


def _copy(source: Path, target: Path, left_out: tuple[str, ...], runs: Path) -> None:
    """Copy the regular files of a folder that belong to its program. Raises TaskError for links that
    lead out of it, and for more than LARGEST bytes."""
    total = 0
    for place, folders, names in os.walk(source):
        here = Path(place)
        drop = left_out if here == source else ()
        folders[:] = sorted(
            n for n in folders if _belongs(n, drop) and (here / n).resolve() != runs
        )
        for name in sorted(n for n in [*names, *folders] if _belongs(n, drop)):
            path = here / name
            if path.is_symlink() and (path.is_dir() or not path.resolve().is_relative_to(source)):
                raise TaskError(f"{path} is a link that is not followed: put a copy in its place")
            if not path.is_file():
                continue  # folders come by themselves; a socket or FIFO is no part of a program
            total += path.stat().st_size
            if total > LARGEST:
                raise TaskError(
                    f"{source} holds more than {LARGEST // 2**20} MiB, which each run would copy: keep "
                    "data outside of it"
                )
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            copy.chmod(0o755 if os.access(path, os.X_OK) and path.stat().st_mode & 0o111 else 0o644)


def _bring_data(source: Path, folder: Path, found: Found) -> Iterator[str]:
    """Of ../../data, where AI-Scientist keeps data for its templates, what the program names."""
    if found.beside is None:
        return
    code = text_of(source / found.editable[0])
    named = [path for path in sorted(found.beside.resolve().glob("*")) if path.name in code]
    for path in named:
        if path.is_dir() and not path.is_symlink():
            _copy(path, folder / "beside" / path.name, (), path)
    names = ", ".join(path.name for path in named) or "nothing that the program names"
    yield f"it reads ../../data: {names} was found there"


def _belongs(name: str, left_out: tuple[str, ...]) -> bool:
    return name not in _NOT_CODE and not any(fnmatch(name, pattern) for pattern in left_out)


# --- what the program needs, and what seeds do --------------------------------------------------


def _require(source: Path, folder: Path) -> Iterator[str]:
    """Write the task's requirements.txt; what to tell of it."""
    own, project = source / "requirements.txt", source / "pyproject.toml"
    if own.is_file():
        shutil.copyfile(own, folder / "requirements.txt")
        return
    listed = _dependencies(project) if project.is_file() else None
    if listed is None:
        listed, unknown = _imported(folder / "baseline")
        if listed:
            yield f"no requirements.txt: {', '.join(listed)} from the imports, in their newest versions"
        if unknown:
            yield f"it imports {', '.join(unknown)}: name what holds them in a requirements.txt"
    if listed:
        (folder / "requirements.txt").write_text("".join(f"{each}\n" for each in listed))


def _dependencies(project: Path) -> list[str] | None:
    """None where the project says nothing of them."""
    try:
        listed = (
            tomllib.loads(project.read_text(encoding="utf-8"))
            .get("project", {})
            .get("dependencies")
        )
        return listed and [" ".join(str(each).split()) for each in listed]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise TaskError(f"{project}: cannot be read: {error}") from None


def _imported(baseline: Path) -> tuple[list[str], list[str]]:
    """The packages of what the programs import, and the imports that no known package has."""
    names: set[str] = set()
    for path in baseline.rglob("*.py"):
        try:
            nodes = list(ast.walk(ast.parse(text_of(path))))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in nodes:
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    own = {path.stem for path in baseline.rglob("*")}
    names -= own | set(sys.stdlib_module_names)
    return sorted({_PACKAGES[n] for n in names & set(_PACKAGES)}), sorted(names - set(_PACKAGES))


def _about_seeds(baseline: Path) -> Iterator[str]:
    texts = [text_of(path) for path in baseline.rglob("*.py")]
    if not any(re.search(r"(environ|getenv)\W[^\n]*\bSEED\b", text) for text in texts):
        yield (
            "no file reads $SEED, so the seeds are only repetitions: where they all give the same "
            "score, no gain can be told from noise"
        )
