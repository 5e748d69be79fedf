"""What works on this machine and what to do about what does not."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from autoresearch.assembly import kind_of, open_sandbox
from autoresearch.config import Settings
from autoresearch.errors import SandboxError
from autoresearch.sandbox.probe import probe, weakness

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
    from rich.table import Table

    table = Table("", "what", "found", show_lines=False)
    rows = [
        _git(),
        *(_sandbox(settings, kind) for kind in ("docker", "local")),
        _gpu(),
        _models(),
        _disk(settings),
    ]
    for works, what, found in rows:
        table.add_row("[green]yes[/green]" if works else "[red]no[/red]", what, found)
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
    path = shutil.which("nvidia-smi")
    if path is None:
        return False, "GPU", "no nvidia-smi: tasks with gpus = 0 only"
    query = [path, "--query-gpu=name", "--format=csv,noheader"]
    try:
        ran = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return False, "GPU", "nvidia-smi does not answer: look at the driver"
    names = ran.stdout.strip().replace("\n", ", ")
    return ran.returncode == 0 and bool(names), "GPU", names or "nvidia-smi found no GPU"


def _models() -> Finding:
    present = [key for key in KEYS if os.environ.get(key)]
    if present:
        return True, "models", f"keys in {', '.join(present)}; `--model offline` always works"
    return (
        False,
        "models",
        "no key set (for example OPENAI_API_KEY); `--model offline` works without",
    )


def _disk(settings: Settings) -> Finding:
    folder = settings.runs if settings.runs.exists() else Path()
    free = shutil.disk_usage(folder).free
    advice = "" if free > LOW_DISK else ": free some, environments take 0.3 GiB and more each"
    return free > LOW_DISK, "disk", f"{free / 2**30:.1f} GiB free for {settings.runs}{advice}"
