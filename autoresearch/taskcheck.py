"""Checks a task before a run is paid for: its recipe, baseline and scorer, and what noise they leave.

Everything runs in the sandbox that was chosen, by the harness that runs use, in a run directory that
is gone at the end. A fault of the task is a Finding; what is not the task's is an exception.
"""

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from autoresearch.assembly import open_lab, start
from autoresearch.briefing import describe_data
from autoresearch.config import Settings
from autoresearch.errors import BaselineFailed
from autoresearch.findings import Finding, error, listed, ok, tail_of, warning
from autoresearch.formscheck import check_forms
from autoresearch.harness import (
    Lab,
    explain,
    in_parallel,
    measure,
    prepare_data,
    run_recipe,
    smoke,
)
from autoresearch.leaks import find_leaks
from autoresearch.noisecheck import check_noise
from autoresearch.nonsense import same_bytes
from autoresearch.records import Execution, Measurement
from autoresearch.sandbox import Watch, show_nothing
from autoresearch.sandbox.protocol import size
from autoresearch.scorercheck import check_scorer, read_scorer
from autoresearch.smokecheck import check_smoke
from autoresearch.store import read
from autoresearch.tables import files_in
from autoresearch.workspace import matches

HUGE = 2 * 2**30  # bytes of public data from which it is worth a word
NEAR = 0.8  # of a limit
LARGEST_SOURCE = 2**21  # bytes of a file that is read as source code
MARK = re.compile(r"YOUR [A-Z]+ HERE")  # what `task new` leaves to be filled in
VARIABLES = {
    "DATA": 'read the data from the folder os.environ["DATA"]',
    "OUT": 'write the predictions to the folder os.environ["OUT"]',
    "SEED": 'take all randomness from int(os.environ["SEED"])',
}


@dataclass(frozen=True)
class Wish:
    """How thorough the check is: without the noise floor, and the gain that should be seen."""

    quick: bool = False
    gain: float | None = None


def check_task(
    settings: Settings, wish: Wish, say: Callable[[str], None], watch: Watch = show_nothing
) -> Iterator[Finding]:
    """The findings, as they come. `say` is told what is being done, `watch` shows what is built.

    Raises TaskError for a task.toml that cannot be read, SandboxError where nothing can run.
    """
    with tempfile.TemporaryDirectory(prefix="autoresearch-check-") as runs:
        say("preparing the sandbox and its environment")
        own = {"runs": Path(runs), "topic": "checking the task", "budget": ()}
        run = start(settings.model_copy(update=own), watch)
        yield from map(ok, run.notes())
        lab = open_lab(run, watch=watch)
        yield ok(f"runs in {lab.sandbox.name}, Python {lab.environment.python}")
        yield from _read_files(lab)
        if (lab.task.folder / "data.py").is_file():
            try:
                yield from _check_data(lab, say)
            except BaselineFailed as failed:
                made = read(lab.desk.folder / "data.json", Execution)
                yield error(str(failed).split(";")[0], "mend data.py", tail_of(made))
                return
        else:
            prepare_data(lab)  # what a task without a recipe has: an empty folder
        yield from _check_baseline(lab, wish, say)


# --- what the files say by themselves -----------------------------------------------------------


def _read_files(lab: Lab) -> Iterator[Finding]:
    folder = lab.task.folder
    baseline = folder / "baseline"
    names = [str(path.relative_to(baseline)) for path in files_in(baseline)]
    editable = [name for name in names if matches(name, lab.task.editable)]
    if editable:
        yield ok(f"ideas may edit {listed(editable)}")
    else:
        yield error(
            f"no file under baseline/ matches editable = {list(lab.task.editable)}",
            "name the files in task.toml that ideas may change",
        )
    for name in ("task.toml", "data.py", "score.py"):
        text = (folder / name).read_text(errors="replace") if (folder / name).is_file() else ""
        for number, line in enumerate(text.splitlines(), start=1):
            if mark := MARK.search(line):
                todo = f"do what is said there, then delete the words {mark[0]}"
                yield warning(f"{name}, line {number}, still says {mark[0]}", todo)
    if not lab.task.topic.strip():
        yield warning("task.toml has no topic", "set it, or give one to every `run`")
    yield from _variables(lab, baseline)
    if (folder / "score.py").is_file():
        yield from read_scorer((folder / "score.py").read_text(errors="replace"))


def _variables(lab: Lab, baseline: Path) -> Iterator[Finding]:
    """Which variables of the contract the baseline does not even mention."""
    if lab.task.reported:
        return
    files = [path for path in files_in(baseline) if path.stat().st_size <= LARGEST_SOURCE]
    texts = [path.read_text(errors="replace") for path in files]
    text = "\n".join([*lab.task.command, *texts])
    for name, todo in VARIABLES.items():
        if not re.search(rf"\b{name}\b", text):
            yield warning(f"nothing under baseline/ mentions {name}", todo)


# --- the data -----------------------------------------------------------------------------------


def _check_data(lab: Lab, say: Callable[[str], None]) -> Iterator[Finding]:
    say("running data.py")
    folder = prepare_data(lab)
    files = {part: files_in(folder / part) for part in ("public", "private")}
    for part, found in files.items():
        if not found and not lab.task.reported:
            yield error(f"data.py left no file in $OUT/{part}", "mend data.py")
    say("running data.py again")
    again = lab.desk.folder / "data-again"
    run_recipe(lab, again)
    differing = same_bytes(folder, again)
    total = sum(path.stat().st_size for path in files["public"])
    if differing:
        yield error(
            f"data.py made another {listed(differing)} when it ran again",
            "give every random generator a fixed seed, and write no times or unordered sets",
        )
    else:
        count = sum(map(len, files.values()))
        yield Finding(
            "ok",
            f"data.py made the same {count} files twice, {size(total)} of them public",
            detail=tuple(line[:160] for line in describe_data(folder / "public").splitlines()),
        )
    if total > HUGE:
        yield warning(f"public has {size(total)}", "every run keeps a copy: leave out what you can")
    if lab.task.reported:
        return
    say("looking for the labels in what experiments see")
    yield from find_leaks(folder / "public", folder / "private", lab.task.folder / "baseline")


# --- the baseline -------------------------------------------------------------------------------


def _check_baseline(lab: Lab, wish: Wish, say: Callable[[str], None]) -> Iterator[Finding]:
    commit = lab.workspace.import_baseline(lab.task.folder / "baseline")
    tree, desk = lab.workspace.export(commit), lab.desk.at("baseline")
    say("running the baseline")
    first = measure(lab, desk, "seed-0", tree, 0)
    yield from _execution(lab, first)
    if first.value is None:
        return
    if lab.task.smoke is not None:
        say("running the baseline shortly, with $SMOKE set")
    yield from check_smoke(lab, smoke(lab, desk, "seed-0", tree), first.execution)
    say("running the baseline again, with the same seed and with another")
    again, other = in_parallel(
        lab,
        lambda seed: measure(
            lab, desk if seed else lab.desk.at("again"), f"seed-{seed}", tree, seed
        ),
        (0, 1),
    )
    yield from _seeds(lab, first, again, other)
    if lab.task.reported:
        yield warning(
            "the score is self-reported, the program's own figure; there is no sealed test",
            "write a score.py of your own, run apart from the program, where a result matters",
        )
    else:
        yield from check_scorer(lab, desk, first, say)
        yield from check_forms(lab, first, wish.quick, say)
    if not wish.quick:
        say(f"running the baseline with all {lab.task.seeds} seeds")
        try:
            yield from check_noise(lab, lab.floor, wish.gain)
        except BaselineFailed as failed:
            yield error(str(failed), "mend the baseline")


def _execution(lab: Lab, measured: Measurement) -> Iterator[Finding]:
    ran, limits = measured.execution, lab.task.limits
    if measured.value is None:
        todo = (
            "mend the baseline, or what reads its score" if ran.succeeded else "mend the baseline"
        )
        if "ran longer than" in ran.reason:
            todo = "raise timeout in task.toml, or make the baseline smaller"
        yield error(f"the baseline gave no score: {explain(measured)}", todo, tail_of(ran))
        return
    where = "self-reported" if lab.task.reported else "on validation"
    yield ok(
        f"the baseline scores {lab.task.metric} {measured.value:.4f} {where} with seed 0, "
        f"in {ran.seconds:.1f} s of at most {limits.timeout:g} s"
    )
    if ran.seconds > NEAR * limits.timeout:
        yield warning(
            f"the baseline takes {ran.seconds:.1f} s of its {limits.timeout:g} s",
            "raise timeout in task.toml: ideas that do more would be killed",
        )
    if ran.peak_memory is not None and ran.peak_memory > NEAR * limits.memory:
        yield warning(
            f"the baseline takes {size(ran.peak_memory)} of its {size(limits.memory)} of memory",
            "raise memory in task.toml",
        )
    if ran.left_behind:
        yield warning(
            f"{ran.left_behind} processes were still running when the baseline ended",
            "have it wait for them: they are killed",
        )


def _seeds(
    lab: Lab, first: Measurement, again: Measurement, other: Measurement
) -> Iterator[Finding]:
    """The same seed must give the same predictions, and another one others."""
    if again.value is None or other.value is None:
        failed = again if again.value is None else other
        what = f"the baseline ran once, but then gave no score with seed {failed.seed}"
        yield error(f"{what}: {explain(failed)}", "mend the baseline", tail_of(failed.execution))
        return
    left = lab.desk.at("baseline").folder / "seed-0-out"
    differing = same_bytes(left, lab.desk.at("again").folder / "seed-0-out")
    scores = [measured.score and measured.score.examples for measured in (first, again)]
    if first.value != again.value or scores[0] != scores[1]:
        yield (warning if lab.task.reported else error)(
            "two runs with the same seed predict differently, scoring "
            f"{first.value:.6g} and {again.value:.6g}",
            'take all randomness from int(os.environ["SEED"]), of every library and worker',
        )
    elif differing:
        yield warning(
            f"two runs with the same seed left another {listed(differing)}, with the same score",
            "write no times, and nothing that depends on the order of a set",
        )
    else:
        yield ok("the baseline gives the same bytes twice with the same seed")
    if not same_bytes(left, lab.desk.at("baseline").folder / "seed-1-out") and not differing:
        yield warning(
            "the baseline gives the same predictions with another seed",
            "where there is any randomness in it, take it from $SEED; else its gains are tested "
            "over examples only",
        )
