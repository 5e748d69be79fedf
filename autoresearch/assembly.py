"""Puts a run together: the model, the library, the sandbox and the task behind their short names.

Everything that can be refused is refused before the run directory exists.
"""

import importlib.metadata
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autoresearch.budgets import Budget, budget_of
from autoresearch.cassette import Recording, open_recording, search_files
from autoresearch.catalog import context_of
from autoresearch.config import CODE_SHOWN, ModelSettings, Settings, load_task
from autoresearch.errors import BadInput
from autoresearch.foreign import Opened, measured, open_task
from autoresearch.harness import Lab
from autoresearch.journal import Recorded, Replay
from autoresearch.ledger import Ledger, Price
from autoresearch.llm import Model
from autoresearch.metering import Meter, MeteredSandbox
from autoresearch.offline import Offline
from autoresearch.papers import open_library
from autoresearch.prices import freeze, parse_price, price_list, thaw
from autoresearch.prompts import Prompts, shipped
from autoresearch.redaction import redactor
from autoresearch.remembered import COPY, Remembered, recall
from autoresearch.roles import ROLES, Role
from autoresearch.routing import Router, chain_of, check_models, open_model
from autoresearch.sandbox import Environment, Watch, show_nothing
from autoresearch.sandbox.shelf import cache_folder
from autoresearch.store import Run, create_run, digest, write
from autoresearch.walls import (
    check_same_environment,
    check_same_sandbox,
    check_trust,
    kind_of,
    needs_provider,
    open_sandbox,
    probed,
)
from autoresearch.workspace import Workspace


def start(settings: Settings, watch: Watch = show_nothing, entry: str = "") -> Run:
    """A new run directory for these settings, or an error before anything is made. `watch` shows the
    log of an environment while it is built; `entry` is whose run it is in a campaign."""
    with open_task(settings, shipped("sandboxes")) as opened:
        return _start(settings, opened, watch, entry)


def _start(settings: Settings, opened: Opened, watch: Watch, entry: str) -> Run:
    task = load_task(opened.folder)
    topic = settings.topic.strip() or task.topic.strip()
    if not topic:
        raise BadInput(f"no topic: give one after `run`, or set topic in {task.folder}/task.toml")
    if shutil.which("git") is None:
        raise BadInput("git is not installed: every attempt is a commit; install it")
    prompts = Prompts(settings.prompts)
    Budget.parse(settings.budget)
    if settings.model.price is not None:
        parse_price(settings.model.price)
    check_trust(settings)
    prices = _prices(settings)
    _check_folders(settings)
    sandbox = open_sandbox(settings, watch=watch)
    sandbox.check(task.limits)  # before the minutes that an environment may take
    environment = sandbox.environment(opened.folder)
    opened = measured(opened, sandbox, environment, settings.budget)
    facts = {
        "task": task.name,
        **({"entry": entry} if entry else {}),
        "prices": freeze(prices),
        **opened.facts(),
        **_facts(prompts),
        "sandbox": probed(sandbox, environment, task.limits.gpus),
    }
    kind = settings.sandbox.model_copy(update={"kind": kind_of(sandbox)})
    frozen = settings.model_copy(
        update={"topic": topic, "task": str(opened.source), "sandbox": kind, **_resolved(settings)}
    )
    recorded = recorded_run(settings)
    facts |= _facts_of(recorded) if recorded else {}
    files = _files(environment) | _repairs(settings, recorded)
    run = create_run(frozen, opened.folder, facts, files)
    if recorded is not None:
        _take_searches(recorded, run.folder)
    opened.tell(run)
    return run


def _prices(settings: Settings) -> dict[str, Price]:
    if not needs_provider(settings.model.name):
        return {}
    check_models(settings.model)
    return price_list(settings.model)


def _files(environment: Environment) -> dict[str, str]:
    return {"environment.lock": environment.lock} if environment.lock else {}


def _repairs(settings: Settings, recorded: Recording | None) -> dict[str, str]:
    """The run's own copy of what earlier runs repaired; a replay's is the recorded run's."""
    if recorded is not None:
        file = recorded.folder / COPY
        return {COPY: file.read_text(encoding="utf-8")} if file.is_file() else {}
    found = recall(settings.runs) if settings.memory == "runs" else Remembered()
    return {COPY: found.model_dump_json(indent=1)} if found.repairs else {}


def _resolved(settings: Settings) -> dict[str, Any]:
    """The user's folders, so that a run can be resumed from anywhere."""
    own, papers, data = settings.prompts, settings.papers, settings.data
    folder = papers.folder and papers.folder.resolve()
    return {
        "prompts": own and own.resolve(),
        "code_shown": room_for_code(settings),
        "data": data and data.resolve(),
        "papers": papers.model_copy(update={"folder": folder}),
    }


CODERS: tuple[Role, ...] = ("think", "code", "debug")  # who is shown code
CODE_SHARE = 1.5  # characters of code for each token of a context: half of it, at three a token


def room_for_code(settings: Settings) -> int:
    """How much code a question may hold: as set, or what the smallest context has room for."""
    if settings.code_shown is not None or not needs_provider(settings.model.name):
        return settings.code_shown or CODE_SHOWN
    chains = (chain_of(settings.model, role) for role in CODERS)
    contexts = {context_of(model) for chain in chains for model in chain} - {None, 0}
    return min([CODE_SHOWN, *(max(4_000, int(CODE_SHARE * size)) for size in contexts if size)])


def open_lab(run: Run, ahead: int = 0, watch: Watch = show_nothing) -> Lab:
    """The lab of a run, new or resumed, as its run.toml froze it.

    `ahead`: how many sandboxes of a kind may be started before they are needed; `Lab.close` ends them.
    """
    settings = run.settings
    ledger = Ledger(run.folder / "ledger.jsonl", budget_of(run))
    sandbox = MeteredSandbox(open_sandbox(settings, ahead, run.note, watch), ledger)
    task = load_task(run.task_folder)
    sandbox.check(task.limits)
    environment = sandbox.environment(run.task_folder)
    check_same_sandbox(run, sandbox)
    check_same_environment(run, environment)
    return Lab(
        settings=settings,
        task=task.model_copy(update={"name": run.task_name}),
        model=Recorded(_choose_model(run, ledger), run.folder / "calls.jsonl"),
        library=open_library(settings, run.folder.parent / ".papers", run.note),
        sandbox=sandbox,
        environment=_as_told(environment, run),
        workspace=Workspace(run.folder / "code.git", run.folder / "trees", run.created),
        prompts=Prompts(settings.prompts),
        desk=run.desk,
        note=run.note,
    )


def extend_budget(run: Run, texts: Sequence[str]) -> None:
    """Replace the budgets of the kinds that are given, for this session and those after it."""
    given = Budget.parse(texts).model_dump(exclude_none=True)
    if given:
        budget = budget_of(run).model_copy(update=given)
        write(run.folder / "budget.json", budget.model_dump_json(indent=1))


def _choose_model(run: Run, ledger: Ledger) -> Model:
    settings = run.settings
    if settings.model.name == "offline":
        if any(getattr(settings.model, role) for role in ROLES):
            run.note("offline plays all roles: the models set for single ones are not asked")
        return Offline(settings.seed)
    recorded = recorded_run(settings)
    if recorded is not None:
        return Replay(recorded.folder / "calls.jsonl", redactor(run.folder))
    prices = thaw(run.manifest)

    def make(name: str, asked: ModelSettings) -> Model:
        return open_model(asked, run.note, Meter(ledger, prices[name]))

    return Router(settings.model, make, run.note)


def recorded_run(settings: Settings) -> Recording | None:
    """The run or cassette that `--model replay:NAME` names; None for any other model."""
    if not settings.model.name.startswith("replay:"):
        return None
    name = settings.model.name.removeprefix("replay:")
    return open_recording(name, settings.runs, cache_folder(settings.sandbox) / "cassettes")


def recorded_defaults(settings: Settings) -> dict[str, Any]:
    """What a replay takes over from the recorded run where the user says nothing else."""
    recorded = recorded_run(settings)
    if recorded is None:
        return {}
    # What holds generated code is for whoever runs it to say, not for the recording.
    kept = {key: value for key, value in recorded.settings.items() if key != "sandbox"}
    return {**kept, "task": str(recorded.folder / "task")}


def _facts_of(recorded: Recording) -> dict[str, Any]:
    """What the run.toml of a replay keeps of the recorded run."""
    told = {"python": recorded.python, "packages": list(recorded.packages)}
    return {
        "task": recorded.task_name,
        "origin": recorded.origin,
        **({"told": told} if recorded.python else {}),
    }


def _as_told(environment: Environment, run: Run) -> Environment:
    """A replay tells its model of the versions that the recorded run told it of: its questions are
    then the same on another machine. Where they differ here, the run's notes say so."""
    told = run.manifest.get("told")
    if told is None:
        return environment
    here = {f"Python {environment.python}", *environment.packages}
    there = {f"Python {told['python']}", *told["packages"]}
    if here != there:
        run.note(
            f"recorded with {', '.join(sorted(there - here))}; replayed with "
            f"{', '.join(sorted(here - there))}; results may differ"
        )
    return environment.model_copy(
        update={"python": told["python"], "packages": tuple(told["packages"])}
    )


def _take_searches(recorded: Recording, folder: Path) -> None:
    """A replayed run asks no library: the recorded searches are its own steps, done already."""
    for path in search_files(recorded.folder):
        target = folder / path.relative_to(recorded.folder)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)


def _facts(prompts: Prompts) -> dict[str, Any]:
    """What run.toml keeps of this program."""
    return {
        "version": importlib.metadata.version("autoresearch"),
        "python": platform.python_version(),
        "prompts": {name: digest(text) for name, text in sorted(prompts.texts.items())},
    }


def _check_folders(settings: Settings) -> None:
    """Refuse what the user's folders lack before minutes of building an environment, not after."""
    if settings.data is not None and not settings.data.is_dir():
        raise BadInput(f"--data {settings.data}: no such folder; give the data set's folder")
    open_library(settings, settings.runs, lambda note: None)  # refuses a folder that is not there
    _check_writable(settings.runs)


def _check_writable(runs: Path) -> None:
    """Refuse before minutes of building an environment, not after."""
    from autoresearch.store import cannot_write

    missing = [path for path in (runs, *runs.parents) if not path.exists()]
    try:
        runs.mkdir(parents=True, exist_ok=True)
        aside = runs / ".writable"
        try:
            aside.write_bytes(b"\0" * 65536)
        finally:
            aside.unlink(missing_ok=True)
            for path in missing:
                path.rmdir()  # nothing is created before all is known to be good
    except OSError as error:
        raise cannot_write(runs, error) from None
