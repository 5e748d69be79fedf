"""What `--model replay:NAME` takes over from the run or cassette that it names."""

import shutil
from pathlib import Path
from typing import Any

from autoresearch.cassette import Recording, open_recording, search_files
from autoresearch.config import Settings
from autoresearch.sandbox import Environment
from autoresearch.sandbox.shelf import cache_folder
from autoresearch.store import Run


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


def facts_of(recorded: Recording) -> dict[str, Any]:
    """What the run.toml of a replay keeps of the recorded run."""
    told = {"python": recorded.python, "packages": list(recorded.packages)}
    return {
        "task": recorded.task_name,
        "origin": recorded.origin,
        **({"told": told} if recorded.python else {}),
    }


def as_told(environment: Environment, run: Run) -> Environment:
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


def take_searches(recorded: Recording, folder: Path) -> None:
    """A replayed run asks no library: the recorded searches are its own steps, done already."""
    for path in search_files(recorded.folder):
        target = folder / path.relative_to(recorded.folder)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)
