"""What falsifiers share: the data in other forms, and the baseline measured on them, each made once.

falsify/shuffled-data.json       the recipe with --shuffle
falsify/permuted-2/seed-2-run.json   the baseline on training labels permuted the second time
"""

import json
import random
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from autoresearch.falsify.evidence import NoScore, Untestable
from autoresearch.harness import Lab, explain, last_line, measure, run_recipe, score_predictions
from autoresearch.nonsense import cases, prediction_files, same_bytes, spoil
from autoresearch.records import Cost, Ended, Execution, Measurement, Score
from autoresearch.store import digest, read

FRESH = range(10_000, 1_000_000)  # where fresh seeds are drawn from: no run's own are as large
LIMITS = (Ended.timeout, Ended.memory, Ended.disk, Ended.output, Ended.lost)


@dataclass(frozen=True)
class Form:
    """The task's data as it is (no flag), or as its recipe makes it with one of its options."""

    name: str = ""
    flag: str = ""
    seed: int = 0


AS_IT_IS = Form()
SHUFFLED = Form("shuffled", "--shuffle", 1)


def permuted(number: int) -> Form:
    """The training labels permuted for the n-th time, counted from 0."""
    return Form(f"permuted-{number}", "--permute-labels", number + 1)


def cost_of(ran: list[Execution]) -> Cost:
    return Cost(
        experiments=len(ran),
        seconds=sum(each.seconds for each in ran),
        cpu_seconds=sum(each.cpu_seconds or each.seconds for each in ran),
    )


@dataclass
class Grounds:
    """The baseline's side of every test. Safe to use from several threads: one at a time is served."""

    lab: Lab
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.desk = self.lab.desk.at("falsify")

    def fresh_seeds(self, count: int) -> list[int]:
        """Seeds that nothing of the run has used. They follow from the baseline's files, which no
        experiment sees unchanged and no model is told the hash of; a replay draws the same."""
        folder = self.lab.task.folder / "baseline"
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        content = b"".join(path.read_bytes() for path in files)
        return random.Random(f"fresh {digest(content)}").sample(FRESH, count)

    def lab_for(self, form: Form) -> Lab:
        """The lab with the data in that form. Raises Untestable where the recipe cannot make it."""
        return replace(self.lab, data=self._make(form)) if form.flag else self.lab

    def tree(self) -> Path:
        """The baseline's code; exported by one thread at a time."""
        with self.lock:
            return self.lab.workspace.export(self.lab.floor.commit)

    def baseline(self, form: Form, seed: int) -> Measurement:
        """Raises Untestable where the baseline itself gives no score there."""
        floor = self.lab.floor
        known = {each.seed: each for each in floor.measurements}
        if not form.flag and seed in known:
            return known[seed]
        with self.lock:
            lab = self.lab_for(form)
            desk = self.desk.at(form.name) if form.name else self.desk
            measured = measure(lab, desk, f"seed-{seed}", self.tree(), seed)
        if measured.value is None:
            where = f"with {form.flag}" if form.flag else f"with seed {seed}"
            raise Untestable(f"the baseline gives no score {where}: {explain(measured)}")
        return measured

    def constant(self) -> float | None:
        """What the same prediction for every row scores: the baseline's most common one. None where the
        format of its predictions is not known, the scorer refuses it, or there is no scorer."""
        if self.lab.task.reported:
            return None

        def score() -> Score:
            scored = score_predictions(self.lab, self.desk, "constant", "validation")
            shutil.rmtree(self.desk.folder / "constant-out", ignore_errors=True)
            return scored

        with self.lock:
            path = self.desk.folder / "constant-score.json"
            return None if not path.exists() and not self._spoil() else self._step(score).value

    def _step(self, score: Callable[[], Score]) -> Score:
        return self.desk.step("constant-score", Score, score)

    def _spoil(self) -> bool:
        left = self.lab.desk.folder / "baseline" / "seed-0-out"
        scorer = (self.lab.task.folder / "score.py").read_text(errors="replace")
        case = next(each for each in cases() if each.name == "one prediction for all rows")
        target = self.desk.folder / "constant-out"
        target.parent.mkdir(exist_ok=True)
        return spoil(left, target, prediction_files(left, scorer), case)

    def order(self) -> "Order":
        """Raises Untestable where the recipe does not tell."""
        folder = self.lab_for(SHUFFLED).data_folder
        return Order.read(folder / "private" / "order.json")

    def _make(self, form: Form) -> Path:
        """The folder of the data in that form, made once; checked to be what was asked for."""
        task, folder = self.lab.task, self.desk.folder / f"{form.name}-data"
        recipe = task.folder / "data.py"
        if task.reported:
            raise Untestable("the task has no scorer apart from its program")
        if form.flag not in recipe.read_text(errors="replace"):
            raise Untestable(f"the task's data.py has no option {form.flag}")
        with self.lock:
            step = f"{form.name}-data"
            if not folder.is_dir():
                (self.desk.folder / f"{step}.json").unlink(missing_ok=True)
            made = self.desk.step(
                step, Execution, lambda: run_recipe(self.lab, folder, form.flag, str(form.seed))
            )
            if not made.succeeded:
                raise Untestable(f"data.py {form.flag}: {made.reason}: {last_line(made.stderr)}")
            public = self.lab.data_folder / "public"
            if not same_bytes(public, folder / "public"):
                raise Untestable(f"data.py {form.flag} changed nothing that experiments see")
        return folder

    def cost(self) -> Cost:
        """Of all the baseline's runs here, those of an earlier session too."""
        paths = sorted(self.desk.folder.rglob("*-run.json"))
        ran = [read(path, Execution) for path in paths if "control" not in path.parts]
        return cost_of(ran)

    def close(self) -> None:
        """Free the disk: the data in other forms can be made again."""
        for folder in self.desk.folder.glob("permuted-*-data"):
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Order:
    """The shuffled pool: of each row, in its new place, where it was and whether it is validation."""

    rows: tuple[int, ...]
    validation: tuple[bool, ...]

    @staticmethod
    def read(path: Path) -> "Order":
        """Raises Untestable where the file does not say both of every row."""
        try:
            told: Any = json.loads(path.read_text())
            rows, validation = told["rows"], told["validation"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Untestable(f"data.py --shuffle left no private/order.json: {error}") from None
        if sorted(rows) != list(range(len(rows))) or len(validation) != len(rows):
            raise Untestable("private/order.json does not name each row of the pool once")
        return Order(tuple(rows), tuple(map(bool, validation)))

    def back(self, examples: tuple[float, ...]) -> list[float] | None:
        """Validation scores of the shuffled pool, in the order of the pool as it was; None where their
        number is another."""
        places = [row for row, chosen in zip(self.rows, self.validation, strict=True) if chosen]
        if len(places) != len(examples):
            return None
        return [score for _, score in sorted(zip(places, examples, strict=True))]

    def chosen(self) -> list[int]:
        """The rows of the pool as it was that are validation, in its order."""
        return sorted(r for r, chosen in zip(self.rows, self.validation, strict=True) if chosen)


def value_of(measured: Measurement, where: str) -> float:
    """The score. Raises Untestable where a limit ended the program, NoScore where it failed itself."""
    if measured.value is None:
        said = f"no score {where}: {explain(measured)}"
        raise Untestable(said) if measured.execution.ended in LIMITS else NoScore(said)
    return measured.value
