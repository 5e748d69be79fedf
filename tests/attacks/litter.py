"""Experiments that leave what they can: `python -m tests.attacks.litter BACKEND FOLDER MARK COUNT`."""

import os
import sys
from pathlib import Path

from autoresearch.config import SandboxSettings
from autoresearch.harness import Lab, in_parallel, measure, prepare_data
from autoresearch.sandbox import Environment, Sandbox
from autoresearch.sandbox.local import Local
from tests.attacks.scoring import SLOPE, small_lab
from tests.engine import BASE_IMAGE, docker_or_skip
from tests.sandbox.conftest import bare_environment

# A daemon (one in five does), a closed folder, and the files it is asked for.
LITTER = """
import json, os
if DAEMON and os.fork() == 0:
    os.setsid()
    os.execvp("sleep", ["sleep", "MARK"])
folder = os.environ["TMPDIR"] + "/closed"
os.mkdir(folder)
open(folder + "/file", "w").close()
os.chmod(folder, 0)
with open(os.environ["DATA"] + "/data.json") as file:
    count = len(json.load(file)["pool"])
with open(os.environ["OUT"] + "/predictions.json", "w") as file:
    json.dump([0.0] * count, file)
"""


def open_lab(backend: str, folder: Path) -> tuple[Lab, str]:
    """A lab in `folder`, new or again, and the commit of its baseline."""
    folder.chmod(0o755)
    for name in ("run", "cache"):
        (folder / name).mkdir(exist_ok=True)
    sandbox, environment = _open(backend, folder / "cache")
    lab = small_lab(sandbox, environment, folder / "run")
    prepare_data(lab)
    return lab, lab.workspace.import_baseline(SLOPE / "baseline")


def _open(backend: str, folder: Path) -> tuple[Sandbox, Environment]:
    if backend == "docker":
        engine = docker_or_skip(SandboxSettings(image=BASE_IMAGE, cache=folder))
        (folder / "empty").mkdir(exist_ok=True)
        return engine, engine.environment(folder / "empty")
    return Local(SandboxSettings(cache=folder), backend == "bubblewrap"), bare_environment(folder)


def experiment(lab: Lab, base: str, number: int, mark: str) -> None:
    """One patch: its worktree, its commit, its run and its score."""
    daemon = number % 5 == 0  # waiting for it to end by itself takes a moment
    with lab.workspace.worktree(f"n{number}", base) as tree:
        text = LITTER.replace("MARK", mark).replace("DAEMON", str(daemon)) + f"# {number}\n"
        (tree / "train.py").write_text(text)
        commit = lab.workspace.commit(tree, f"refs/ideas/n{number}/0", f"number {number}")
    measured = measure(lab, lab.desk, f"n{number}", lab.workspace.export(commit), 0)
    lab.workspace.discard(commit)
    assert measured.value is not None and measured.execution.left_behind == daemon, measured


def main(backend: str, folder: Path, mark: str, count: int) -> None:
    lab, base = open_lab(backend, folder)
    print("begun", os.getpid(), flush=True)
    in_parallel(lab, lambda number: experiment(lab, base, number, mark), range(count))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
