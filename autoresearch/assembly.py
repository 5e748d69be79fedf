"""Puts a run together: the model, the library, the sandbox and the task behind their short names.

Everything that can be refused is refused before the run directory exists.
"""

import importlib.metadata
import platform
import shutil
from pathlib import Path
from typing import Any

from autoresearch.config import Settings, find_task, load_task
from autoresearch.errors import BadInput, SandboxError
from autoresearch.harness import Lab
from autoresearch.llm import Model, Recorded, Replay
from autoresearch.offline import Offline
from autoresearch.papers import open_library
from autoresearch.prompts import Prompts, shipped
from autoresearch.providers import Provider, check_model
from autoresearch.sandbox import Environment, Sandbox
from autoresearch.sandbox.probe import probe
from autoresearch.store import Run, create_run, digest, find_run
from autoresearch.workspace import Workspace

WITHOUT_A_PROVIDER = ("offline", "replay:")


def needs_provider(model: str) -> bool:
    return not model.startswith(WITHOUT_A_PROVIDER)


def start(settings: Settings) -> Run:
    """A new run directory for these settings, or an error before anything is made."""
    folder = find_task(settings.task, shipped("sandboxes"))
    task = load_task(folder)
    topic = settings.topic or task.topic
    if not topic:
        raise BadInput(f"no topic: give one after `run`, or set topic in {folder}/task.toml")
    prompts = Prompts(settings.prompts)
    if needs_provider(settings.model.name):
        check_model(settings.model)
    open_library(settings, settings.runs, lambda note: None)  # refuses a folder that is not there
    _check_writable(settings.runs)
    sandbox = open_sandbox(settings)
    environment = sandbox.environment(folder)
    facts = {"task": task.name, **_facts(prompts, sandbox, environment)}
    kind = settings.sandbox.model_copy(update={"kind": kind_of(sandbox)})
    frozen = settings.model_copy(update={"topic": topic, "task": str(folder), "sandbox": kind})
    recorded = recorded_run(settings)
    if recorded is not None:
        run = create_run(frozen, folder, facts | {"task": recorded.task_name})
        _take_searches(recorded, run.folder)
        return run
    return create_run(frozen, folder, facts)


def open_lab(run: Run) -> Lab:
    """The lab of a run, new or resumed, as its run.toml froze it."""
    settings = run.settings
    sandbox = open_sandbox(settings)
    task = load_task(run.task_folder)
    environment = sandbox.environment(run.task_folder)
    was = run.manifest["sandbox"]["environment"]
    if environment.key != was:
        raise BadInput(
            f"the environment of {run.folder} was {was} and is now {environment.key}: scores would "
            "not be comparable; restore the image or interpreter it was built from, or start a new run"
        )
    return Lab(
        settings=settings,
        task=task.model_copy(update={"name": run.task_name}),
        model=Recorded(_choose_model(run), run.folder / "calls.jsonl"),
        library=open_library(settings, run.folder.parent / ".papers", run.note),
        sandbox=sandbox,
        environment=environment,
        workspace=Workspace(run.folder / "code.git", run.folder / "trees", run.created),
        prompts=Prompts(settings.prompts),
        desk=run.desk,
    )


def open_sandbox(settings: Settings) -> Sandbox:
    """The sandbox asked for. `auto` takes the strongest that works, and never a plain process."""
    from autoresearch.sandbox.docker import Docker
    from autoresearch.sandbox.local import Local, Plain

    kind = settings.sandbox.kind
    if kind == "none":
        _check_trust(settings)
        return Plain(settings.sandbox)
    if kind == "docker":
        return Docker(settings.sandbox)
    if kind == "local":
        return Local(settings.sandbox)
    try:
        engine = Docker(settings.sandbox)
        engine.ensure_image()
        return engine
    except SandboxError:
        return Local(settings.sandbox)


def kind_of(sandbox: Sandbox) -> str:
    """The short name that `--sandbox` takes for this sandbox."""
    return sandbox.name.split()[0]


def _check_trust(settings: Settings) -> None:
    trusted = settings.sandbox.i_trust_generated_code
    if needs_provider(settings.model.name) and not trusted:
        raise BadInput(
            "--sandbox none is no sandbox: what the model writes would run with your rights; use "
            "--sandbox local or docker, or say --i-trust-generated-code"
        )


def _choose_model(run: Run) -> Model:
    settings = run.settings
    if settings.model.name == "offline":
        return Offline(settings.seed)
    recorded = recorded_run(settings)
    if recorded is not None:
        return Replay(recorded.folder / "calls.jsonl")
    return Provider(settings.model, run.note)


def recorded_run(settings: Settings) -> Run | None:
    """The run that `--model replay:RUN` names; None for any other model."""
    if not settings.model.name.startswith("replay:"):
        return None
    return Run(find_run(settings.model.name.removeprefix("replay:"), settings.runs))


def recorded_defaults(settings: Settings) -> dict[str, Any]:
    """What a replay takes over from the recorded run where the user says nothing else."""
    recorded = recorded_run(settings)
    if recorded is None:
        return {}
    kept = {key: value for key, value in recorded.manifest["settings"].items() if key != "runs"}
    return {**kept, "task": str(recorded.task_folder)}


def _take_searches(recorded: Run, folder: Path) -> None:
    """A replayed run asks no library: the recorded searches are its own steps, done already."""
    for pattern in ("reading-found.json", "round-*/novelty-*.json"):
        for path in recorded.folder.glob(pattern):
            target = folder / path.relative_to(recorded.folder)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target)


def _facts(prompts: Prompts, sandbox: Sandbox, environment: Environment) -> dict[str, Any]:
    """What run.toml keeps beside the settings: versions, prompts, and the sandbox as probed."""
    found = probe(sandbox, environment)
    if not found.holds and kind_of(sandbox) != "none":
        broken = "; ".join(f"{f.name}: {f.found}" for f in found.findings if not f.ok)
        raise SandboxError(
            f"{sandbox.name} does not hold on this machine ({broken}); see `autoresearch doctor`"
        )
    return {
        "version": importlib.metadata.version("autoresearch"),
        "python": platform.python_version(),
        "prompts": {name: digest(text) for name, text in sorted(prompts.texts.items())},
        "sandbox": {
            "name": sandbox.name,
            "environment": environment.key,
            "packages": list(environment.packages),
            "probe": [finding.model_dump(exclude_none=True) for finding in found.findings],
        },
    }


def _check_writable(runs: Path) -> None:
    """Refuse before minutes of building an environment, not after."""
    from autoresearch.store import cannot_write

    try:
        runs.mkdir(parents=True, exist_ok=True)
        aside = runs / ".writable"
        try:
            aside.write_bytes(b"\0" * 65536)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(runs, error) from None
