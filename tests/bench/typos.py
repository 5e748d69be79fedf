"""What a mistake costs, with the checks before a run and without: `python -m tests.bench.typos [TASK [WAY...]]`.

One real attempt each in the local sandbox: seconds from patch to failure, and CPU seconds of experiments.
"""

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from autoresearch.assembly import open_lab, start
from autoresearch.config import Settings
from autoresearch.practice.attempts import try_patch
from autoresearch.practice.coder import read_sources
from autoresearch.records import Edit, Patch

TASKS = Path(__file__).parents[2] / "sandboxes"
LOOP = "    for _ in range(EPOCHS):"
SHORT = '    for _ in range(1 if "SMOKE" in os.environ else EPOCHS):'
WRITING = "        writer.writerows(enumerate(predictions.tolist()))"
WAYS = ("nothing", "checks", "checks and a short run")
MISTAKES = {
    "a misspelt import": ("import csv\n", "import csv\nimport nunpy\n"),
    "a misspelt name in the last function": (WRITING, WRITING.replace("predictions.", "prediction.")),
    "an unknown argument of an own function": ("read_data(Path(", "read_data(path=Path("),
    "a mistake that only a run shows, at its end": (WRITING, WRITING.replace("tolist()", "to_list()")),
    "no mistake": ("import csv\n", "import csv  # as it was\n"),
}  # fmt: skip


def main() -> None:
    """Prints a line for each mistake and way."""
    name = sys.argv[1] if len(sys.argv) > 1 else "digits"
    for way in sys.argv[2:] or WAYS:
        with tempfile.TemporaryDirectory() as folder:
            task = shutil.copytree(TASKS / name, Path(folder) / name)
            toml = (task / "task.toml").read_text().replace("seeds = 5", "seeds = 1")
            program = task / "baseline" / "train.py"
            if "short" in way:
                if LOOP not in program.read_text():
                    continue  # nothing to shorten
                toml = toml.replace("memory =", 'smoke = "60s"\nmemory =')
                program.write_text(program.read_text().replace(LOOP, SHORT))
            (task / "task.toml").write_text(toml)
            _measure(task, Path(folder), way)


def _measure(task: Path, folder: Path, way: str) -> None:
    settings = {"task": str(task), "runs": folder / "runs", "checks": way != "nothing"}
    lab = open_lab(start(Settings.model_validate(settings | {"sandbox": {"kind": "local"}})))
    lab.measure_floor()
    for number, (mistake, (old, new)) in enumerate(MISTAKES.items()):
        with lab.workspace.worktree(f"x{number}", lab.floor.commit) as tree:
            original = read_sources(tree, lab.task.editable)
            assert original["train.py"].count(old) == 1, old
            patch = Patch(plan="", edits=(Edit(path="train.py", search=old, replace=new),))
            before, began = _cpu(lab.desk.folder), time.monotonic()
            tried = try_patch(lab, lab.desk.at(f"x{number}"), tree, original, patch, 0)
            seconds, cpu = time.monotonic() - began, _cpu(lab.desk.folder) - before
        stage = tried.failure.stage if tried.failure else "none"
        print(
            f"{task.name:9} {mistake:45} with {way:23} {seconds:6.2f} s {cpu:6.2f} CPU s  failed: {stage}"
        )
    lab.close()


def _cpu(run: Path) -> float:
    """CPU seconds that the ledger has of experiments."""
    lines = map(json.loads, (run / "ledger.jsonl").read_text().splitlines())
    runs = (line for line in lines if line["kind"] == "charged" and "experiment" in line["what"])
    return float(sum(line["amounts"].get("cpu_seconds", 0.0) for line in runs))


if __name__ == "__main__":
    main()
