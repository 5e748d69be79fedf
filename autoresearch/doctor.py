"""What works on this machine and what to do about what does not."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from autoresearch.config import Settings
from autoresearch.errors import BadInput, SandboxError
from autoresearch.sandbox.engine import Engine
from autoresearch.sandbox.probe import probe, weakness
from autoresearch.sandbox.shelf import cache_folder
from autoresearch.walls import kind_of, open_sandbox

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
            "\n".join([f"{sandbox.name}{_advice_on(sandbox.name)}", "a probe inside found", *lines])
        ),
    )


def _advice_on(name: str) -> str:
    advice = " (install bubblewrap for namespaces)" if "no namespaces" in name else ""
    return f"{advice}; {weakness(name)}" if weakness(name) else advice


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
