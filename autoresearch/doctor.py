"""What works on this machine and what to do about what does not; and the same for a task."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from autoresearch.assembly import open_lab, start
from autoresearch.briefing import describe_data
from autoresearch.config import Settings
from autoresearch.errors import AutoresearchError, BadInput, SandboxError, TaskError
from autoresearch.harness import Lab, explain, measure, prepare_data, score_predictions
from autoresearch.records import Measurement
from autoresearch.sandbox import Watch, show_nothing
from autoresearch.sandbox.engine import Engine
from autoresearch.sandbox.probe import probe
from autoresearch.sandbox.shelf import cache_folder
from autoresearch.store import Desk
from autoresearch.walls import kind_of, open_sandbox
from autoresearch.workspace import matches

if TYPE_CHECKING:
    from rich.table import Table

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY",
        "MISTRAL_API_KEY", "GROQ_API_KEY", "DEEPSEEK_API_KEY", "XAI_API_KEY")  # fmt: skip
LOW_DISK = 5 * 2**30


def strongest_sandbox(settings: Settings) -> str:
    """ "docker", "local", or "none" where neither works; `none` is never taken without being named."""
    automatic = settings.sandbox.model_copy(update={"kind": "auto"})
    try:
        return kind_of(open_sandbox(settings.model_copy(update={"sandbox": automatic})))
    except SandboxError:
        return "none"


def examine(settings: Settings) -> "Table":
    """One row a thing: whether it works, what was found, and what to do."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "what", "found", show_lines=False)
    rows = [
        _git(),
        *(_sandbox(settings, kind) for kind in ("docker", "local")),
        _engine(),
        *_unused(),
        _gpu(),
        _models(),
        _disk("runs", settings.runs),
        _disk("environments", cache_folder(settings.sandbox)),
    ]
    for works, what, found in rows:
        mark = "[green]yes[/green]" if works else "[red]no[/red]"
        table.add_row(mark, what, found if what.startswith("sandbox") else escape(found))
    return table


Finding = tuple[bool, str, str]


def _git() -> Finding:
    path = shutil.which("git")
    return path is not None, "git", path or "not found: install git"


def _sandbox(settings: Settings, kind: str) -> Finding:
    """Whether a sandbox opens, and what a probe inside says that it really enforces."""
    from rich.markup import escape

    chosen = settings.model_copy(
        update={"sandbox": settings.sandbox.model_copy(update={"kind": kind})}
    )
    try:
        sandbox = open_sandbox(chosen)
        with tempfile.TemporaryDirectory() as empty:
            found = probe(sandbox, sandbox.environment(Path(empty)))
    except SandboxError as error:
        return False, f"sandbox {kind}", escape(str(error))
    lines = [
        f"  {f.name}: {f.found}" + ("" if f.ok else f"  <- WANTED {f.wanted}")
        for f in found.findings
    ]
    return (
        found.holds,
        f"sandbox {kind}",
        escape(
            "\n".join([f"{sandbox.name}{_advice_on(sandbox.name)}; a probe inside found", *lines])
        ),
    )


def _advice_on(name: str) -> str:
    return " (install bubblewrap for namespaces)" if "no namespaces" in name else ""


def _gpu() -> Finding:
    from autoresearch.sandbox.gpus import list_gpus

    try:
        found = list_gpus()
    except BadInput as absent:
        return False, "GPUs", str(absent)
    names = [f"{gpu.identifier} {gpu.name}" for gpu in found.devices]
    hidden = "" if names else "none that CUDA_VISIBLE_DEVICES leaves; "
    return bool(names), "GPUs", f"{hidden}{', '.join(names)} (NVIDIA driver {found.driver})"


def _engine() -> Finding:
    """What else is known of the Docker engine."""
    try:
        engine = Engine()
    except SandboxError:
        return False, "engine", "none that answers"
    runtimes = sorted(set(engine.about.get("Runtimes") or {}) - {"io.containerd.runc.v2"})
    gpus = "NVIDIA runtime" if "nvidia" in runtimes else "no NVIDIA runtime by name"
    gvisor = (
        "gVisor: --set sandbox.runtime=runsc"
        if "runsc" in runtimes
        else "no gVisor (runsc is not registered)"
    )
    where = os.environ.get("DOCKER_HOST") or "this machine's own"
    found = [where, "rootless" if engine.rootless else "as root", f"runtimes {', '.join(runtimes)}"]
    return True, "engine", "; ".join([*found, gvisor, gpus])


def _unused() -> list[Finding]:
    """What is there and not used, so that nobody looks for the switch."""
    names = [name for name in ("apptainer", "singularity") if shutil.which(name)]
    if not names:
        return []
    return [
        (False, names[0], "found, and not used: it has no backend here; choose docker or local")
    ]


def _models() -> Finding:
    present = [key for key in KEYS if os.environ.get(key)]
    if present:
        return True, "models", f"keys in {', '.join(present)}; `--model offline` always works"
    return (
        False,
        "models",
        "no key set (for example OPENAI_API_KEY); `--model offline` works without",
    )


def _disk(what: str, folder: Path) -> Finding:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    advice = "" if free > LOW_DISK else ": free some, `autoresearch clean` removes environments"
    return free > LOW_DISK, "disk", f"{free / 2**30:.1f} GiB free for {what} in {folder}{advice}"


# --- tasks --------------------------------------------------------------------------------------


def check_task(settings: Settings, watch: Watch = show_nothing) -> list[str]:
    """Run the recipe, the baseline and the scorer once. Raises TaskError with what is wrong."""
    with tempfile.TemporaryDirectory(prefix="autoresearch-check-") as runs:
        aside = {"runs": Path(runs), "topic": "checking the task"}
        run = start(settings.model_copy(update=aside), watch)
        lab = open_lab(run, watch=watch)
        try:
            return _check(lab, run.notes())
        except AutoresearchError as error:
            raise TaskError(f"{settings.task}: {error}") from None


def _check(lab: Lab, notes: list[str]) -> list[str]:
    files = [p for p in (lab.task.folder / "baseline").rglob("*") if p.is_file()]
    names = [str(path.relative_to(lab.task.folder / "baseline")) for path in files]
    editable = [name for name in names if matches(name, lab.task.editable)]
    if not editable:
        raise TaskError(f"no file under baseline/ matches editable = {list(lab.task.editable)}")
    public = prepare_data(lab) / "public"
    commit = lab.workspace.import_baseline(lab.task.folder / "baseline")
    desk = lab.desk.at("check")
    measured = measure(lab, desk, "seed-0", lab.workspace.export(commit), 0)
    if measured.value is None:
        raise TaskError(f"the baseline gave no score: {explain(measured)}")
    where, scorer = _check_scorer(lab, desk)
    lines = [
        *(f"note      {note}" for note in notes),
        f"sandbox   {lab.sandbox.name}",
        f"editable  {', '.join(editable)}",
        *(f"data      {line}" for line in describe_data(public).splitlines()),
        f"baseline  {lab.task.metric} {measured.value:.4f} {where} with seed 0, "
        f"{measured.execution.seconds:.1f} s of at most {lab.task.limits.timeout:g} s",
        f"scorer    {scorer}",
    ]
    return lines + [f"advice    {text}" for text in _advice(lab, measured)] + ["ok"]


def _check_scorer(lab: Lab, desk: Desk) -> tuple[str, str]:
    """Where the score is from, and how the scorer does on the split that is not looked at."""
    if lab.task.reported:
        return "self-reported", (
            "none: the score is self-reported, the program's own figure; there is no sealed test"
        )
    sealed = score_predictions(lab, desk, "seed-0", "test")
    if sealed.value is None:
        raise TaskError(f"score.py works on validation but not with SPLIT=test: {sealed.reason}")
    return "on validation", "works on both splits (the test score is not shown)"


def _advice(lab: Lab, measured: Measurement) -> list[str]:
    advice = []
    if lab.task.seeds < 3:
        advice.append("with fewer than 3 seeds hardly any gain can be told from noise")
    if lab.task.reported:
        advice.append("a score from a score.py of your own, run apart, is one that can be trusted")
    elif measured.score is not None and not measured.score.examples:
        advice.append("score.py gives no per-example scores: gains are tested over seeds only")
    if measured.execution.seconds > lab.task.limits.timeout / 2:
        advice.append("the baseline takes over half of its timeout: ideas will run into it")
    return advice
