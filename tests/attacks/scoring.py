"""An experiment through the whole harness: run, collected, scored, and compared with its true score."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from autoresearch.config import Settings, load_task
from autoresearch.harness import Lab, measure
from autoresearch.offline import Offline
from autoresearch.papers import open_library
from autoresearch.prompts import Prompts
from autoresearch.records import Execution
from autoresearch.sandbox import Environment, Sandbox
from autoresearch.store import Desk
from autoresearch.workspace import Workspace
from tests.attacks.attack import Attack

SLOPE = Path(__file__).parents[1] / "tasks" / "slope"
EARNED = -40.0  # every attack's predictions are worth less than this; the baseline's about -0.1


def small_lab(sandbox: Sandbox, environment: Environment, folder: Path) -> Lab:
    """The harness, the repository and a sandbox, without a model being asked."""
    note: Callable[[str], None] = lambda text: None  # noqa: E731
    settings = Settings.model_validate({"task": str(SLOPE), "runs": str(folder), "parallel": 8})
    return Lab(
        settings=settings,
        task=load_task(SLOPE),
        model=Offline(0),
        library=open_library(settings, folder / ".papers", note),
        sandbox=sandbox,
        environment=environment,
        workspace=Workspace(folder / "code.git", folder / "trees", "2026-01-02T03:04:05Z"),
        prompts=Prompts(None),
        desk=Desk(folder),
        note=note,
    )


def scored(lab: Lab, attack: Attack, facts: dict[str, Any]) -> tuple[Execution, Path, list[str]]:
    """(how the experiment ended, what it left, whether its score is better than it earned)"""
    data, name = lab.desk.folder / "data", facts["mark"]
    tree = lab.desk.folder / f"{name}-tree"
    tree.mkdir()
    told = {**facts, "private": str(data / "private"), "task": str(SLOPE)}
    (tree / "train.py").write_text(attack.source(told))
    for path, text in attack.files.items():
        (tree / path).write_text(text)
    before = _fingerprint(SLOPE, data)
    measured = measure(lab, lab.desk, name, tree, 0)
    said = []
    if measured.value is not None and measured.value > EARNED:
        said.append(f"it was scored {measured.value}")
    if _fingerprint(SLOPE, data) != before:
        said.append("the task or its data was changed")
    return measured.execution, lab.desk.folder / f"{name}-out", said


def _fingerprint(*folders: Path) -> dict[Path, bytes]:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in files if "__pycache__" not in path.parts}
