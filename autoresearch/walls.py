"""The wall of a run: which one, whether it holds, and that it is the same one when a run goes on."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoresearch.config import Settings, find_task
from autoresearch.errors import BadInput, NotTheSame, SandboxError, TaskError
from autoresearch.prompts import shipped
from autoresearch.sandbox import (
    Environment,
    Note,
    Sandbox,
    Watch,
    say_nothing,
    show_nothing,
)
from autoresearch.sandbox.probe import GPUS, probe
from autoresearch.sandbox.recipes import LOCK
from autoresearch.store import Run, digest, write


def needs_provider(model: str) -> bool:
    return model != "offline" and not model.startswith("replay:")


def open_sandbox(
    settings: Settings, ahead: int = 0, note: Note = say_nothing, watch: Watch = show_nothing
) -> Sandbox:
    """The sandbox asked for. `auto` takes the strongest that works, and never a plain process."""
    from autoresearch.sandbox.docker import Docker
    from autoresearch.sandbox.local import Local, Plain

    kind = settings.sandbox.kind
    check_trust(settings)
    if kind == "none":
        return Plain(settings.sandbox, watch)
    if kind == "docker":
        return Docker(settings.sandbox, ahead, note, watch)
    if kind == "local":
        return Local(settings.sandbox, watch=watch)
    try:
        engine = Docker(settings.sandbox, ahead, note, watch)
        engine.ensure_image()
        return engine
    except SandboxError:
        return Local(settings.sandbox, watch=watch)


def kind_of(sandbox: Sandbox) -> str:
    """The short name that `--sandbox` takes for this sandbox."""
    return sandbox.name.split()[0]


def check_trust(settings: Settings) -> None:
    if settings.sandbox.kind != "none" or settings.sandbox.i_trust_generated_code:
        return
    if needs_provider(settings.model.name):
        raise BadInput(
            "--sandbox none is no sandbox: what the model writes would run with your rights; use "
            "--sandbox local or docker, or say --i-trust-generated-code"
        )


def check_same_sandbox(run: Run, sandbox: Sandbox) -> None:
    """A run must not go on behind a lower wall than it says it has."""
    was = run.manifest["sandbox"]["name"]
    if sandbox.name == was:
        return
    if kind_of(sandbox) != "docker":
        raise NotTheSame(
            f"{run.folder} ran in {was}; here it would run in {sandbox.name}: start a new run"
        )
    run.note(f"the sandbox was {was} and is now {sandbox.name}")


def check_same_environment(run: Run, environment: Environment) -> None:
    """Scores of one run come from one environment, down to the versions of its packages."""
    was = run.manifest["sandbox"]
    if environment.key != was["environment"]:
        raise NotTheSame(
            f"the environment of {run.folder} was {was['environment']} and is now {environment.key} "
            f"({_change(was, environment)}): scores would not be comparable; restore the image or "
            "interpreter it was built from, or start a new run"
        )
    changed = sorted(set(environment.packages) ^ set(was["packages"]))
    if changed:
        raise NotTheSame(
            f"the packages of {run.folder} are not what they were when it began ({changed[0]}): start "
            f"a new run from a task with {run.folder / 'environment.lock'} as its requirements.lock"
        )


def _change(was: Mapping[str, Any], environment: Environment) -> str:
    """What differs between two environments, as far as their descriptions tell."""
    before = {f"Python {was['python']}", *was["packages"]}
    now = {f"Python {environment.python}", *environment.packages}
    gone, new = (", ".join(sorted(each)[:4]) for each in (before - now, now - before))
    return f"{gone or 'nothing'} gone, {new or 'nothing'} new" if before != now else "same versions"


def environment_hash(run: Run) -> str | None:
    """A hash over all that is known of what the run's experiments ran in: its recipe's key, the version
    of Python and that of every package. None where the run does not say."""
    try:
        was = run.manifest["sandbox"]
        return digest("\n".join([was["environment"], was["python"], *sorted(was["packages"])]))
    except KeyError:
        return None


def probed(sandbox: Sandbox, environment: Environment, gpus: int) -> dict[str, Any]:
    """What run.toml keeps of the sandbox and environment. Raises SandboxError for a wall with holes,
    BadInput for one that a request for GPUs went through without any."""
    found = probe(sandbox, environment, gpus)
    for finding in found.findings:
        if finding.name == GPUS and not finding.ok:
            raise BadInput(
                f"{sandbox.name} took a request for GPUs ({finding.wanted}) and a program inside found "
                f"{finding.found}: set up its NVIDIA container toolkit, or set gpus = 0 in task.toml"
            )
    if not found.holds and kind_of(sandbox) != "none":
        broken = "; ".join(f"{f.name}: {f.found}" for f in found.findings if not f.ok)
        raise SandboxError(
            f"{sandbox.name} does not hold on this machine ({broken}); see `autoresearch doctor`"
        )
    return {
        "name": sandbox.name,
        "environment": environment.key,
        "python": environment.python,
        "packages": list(environment.packages),
        "lock": digest(environment.lock) if environment.lock else "none",
        "probe": [finding.model_dump(exclude_none=True) for finding in found.findings],
    }


def write_lock(settings: Settings, watch: Watch = show_nothing) -> Path:
    """Write the lock of a task's environment into its folder: the task is then built from that."""
    folder = find_task(settings.task, shipped("sandboxes"))
    if not (folder / "requirements.txt").is_file():
        raise TaskError(f"{folder} has no requirements.txt: there is nothing to lock")
    with tempfile.TemporaryDirectory() as aside:
        # The recipe without the lock that there may be.
        recipe = Path(aside) / folder.name
        recipe.mkdir()
        for name in ("Dockerfile", "requirements.txt"):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, recipe / name)
        environment = open_sandbox(settings, watch=watch).environment(recipe)
    write(folder / LOCK, environment.lock)
    return folder / LOCK
