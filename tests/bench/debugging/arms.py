"""What each arm shows of each failure: the real prompt, its tokens, and whether the mistake is in it.

raw          all files and the plain traceback, as published systems do
unextracted  the same, and the model is asked to write down the structure first (the published arm)
structure    ours: what bears on the failure, and what the witness wrote
"""

import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from autoresearch.config import Settings, load_task
from autoresearch.harness import Lab
from autoresearch.llm import Answer, Request
from autoresearch.practice.coder import Before, write_patch
from autoresearch.practice.crashes import FILE, read_crash
from autoresearch.practice.tracebacks import failure_of
from autoresearch.prompts import Prompts
from autoresearch.records import Attempt, Failure, Measurement, Paper
from autoresearch.sandbox import Job
from autoresearch.store import Desk, write
from autoresearch.workspace import Workspace
from tests.bench.debugging.cases import Case, case_of
from tests.bench.debugging.recording import Recorded, recorded, shortened_task, write_program

ARMS = get_args(Settings.model_fields["debug"].annotation)


@dataclass(frozen=True)
class Shown:
    """One case in one arm. `parts` are the tokens of what differs between the arms (the code, and what is
    said of the failure), `prompt` those of all of it. `inside`: every wrong line is in the code that is
    shown; where something is missing, a line beside it."""

    case: Case
    arm: str
    parts: int
    prompt: int
    inside: bool


class Listener:
    """A model that keeps what it was asked and has no answer."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def answer(self, request: Request) -> Answer:
        self.asked.append(request)
        return Answer(text="?", model="none", tokens_in=0, tokens_out=0, dollars=0.0, seconds=0.0)


class Nowhere:
    """A library without papers and a sandbox that runs nothing: neither is needed to ask for a repair."""

    name = "nowhere"

    def search(self, query: str, limit: int) -> tuple[Paper, ...]:
        return ()

    def run(self, job: Job) -> Any:
        raise AssertionError("nothing is run where prompts are only rendered")


@contextmanager
def listening_labs() -> Iterator[dict[str, Lab]]:
    """A lab a task, as it was when the executions were recorded, whose model is a Listener."""
    with tempfile.TemporaryDirectory() as temporary:
        yield {task: _listening_lab(task, Path(temporary)) for task in recorded().floors}


def _listening_lab(task: str, temporary: Path) -> Lab:
    folder = temporary / f"run-{task}"
    write(folder / "floor.json", recorded().floors[task].model_dump_json())
    copy = shortened_task(task, temporary)
    out = {"OUT": str(folder / "data"), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "data.py"], cwd=copy, env=out, check=True)
    nowhere: Any = Nowhere()
    return Lab(
        settings=Settings(task=str(copy)), task=load_task(copy), model=Listener(), library=nowhere,
        sandbox=nowhere, environment=recorded().environments[task], prompts=Prompts(None),
        workspace=Workspace(folder / "code.git", folder / "trees", "2026-01-01T00:00:00Z"),
        desk=Desk(folder), note=lambda text: None,
    )  # fmt: skip


def shown(lab: Lab, case: Case, kept: Recorded, arm: str) -> Shown:
    """What the product's own code asks its model after this failure."""
    listener = Listener()
    settings = lab.settings.model_copy(update={"debug": arm})
    asking = dataclasses.replace(lab, settings=settings, model=listener)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_program(case.broken, folder / "tree")
        attempt = failed_attempt(case, kept, arm, folder)
        desk = Desk(folder / "desk", f"cases/{case.name}")
        idea, before = case.honest.idea, Before(dict(case.original), (attempt,), ())
        write_patch(asking, desk, idea, folder / "tree", before)
    request = listener.asked[0]
    code: Mapping[str, str] = request.variables["code"]
    failure = request.variables["failure"]
    files = "".join(f"\n\n{path}:\n{text}" for path, text in code.items())
    said = f"{failure.message}\n{failure.detail}"
    return Shown(
        case,
        arm,
        tokens(files) + tokens(said),
        tokens(request.text),
        is_inside(case, code, failure),
    )


def failed_attempt(case: Case, kept: Recorded, arm: str, folder: Path) -> Attempt:
    """The attempt that was recorded, as practice makes it of a measurement."""
    measured = Measurement(seed=0, execution=kept.execution, score=kept.score)
    crash = None
    if arm == "structure" and kept.witnessed is not None:
        (folder / FILE).write_text(json.dumps(kept.witnessed))
        crash = read_crash(folder)
    return Attempt(
        number=0, patch=case.patch, commit="0" * 40, measurement=measured, failure=failure_of(measured, crash)
    )  # fmt: skip


def is_inside(case: Case, code: Mapping[str, str], failure: Failure) -> bool:
    """Every wrong line, and a line beside what is missing. That a definition or an import is missing shows
    where its name is used, if the failure is about that name."""
    seen = {path: lines_shown(text, code.get(path, "")) for path, text in case.broken.items()}
    place = failure.places[0] if failure.places else None
    missing = re.findall(r"name '(\w+)' is not defined", failure.message)
    undefined = any(name in case.undefined for name in missing)
    if undefined and place and place.line in seen.get(place.path, ()):
        return True
    return all(
        wrong <= seen[path] and (not beside or bool(beside & seen[path]))
        for path, (wrong, beside) in case.fault.items()
    )


def lines_shown(text: str, excerpt: str) -> set[int]:
    """The lines of a file that are in an excerpt, which names what it leaves out in lines of its own."""
    lines = text.splitlines()
    found: set[int] = set()
    part: list[str] = []
    start = 0
    for line in [*excerpt.splitlines(), "[…"]:
        if not line.startswith("[…"):
            part.append(line)
            continue
        places = [
            n for n in range(start, len(lines) - len(part) + 1) if lines[n : n + len(part)] == part
        ]
        if part and places:
            start = places[0] + len(part)
            found |= set(range(places[0] + 1, start + 1))
        part = []
    return found


@cache
def _encoding() -> Any:
    """The encoding that LiteLLM counts with, which it brings along."""
    spec = find_spec("litellm")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(folder))
    import tiktoken

    return tiktoken.get_encoding("cl100k_base")


def tokens(text: str) -> int:
    return len(_encoding().encode(text, disallowed_special=()))


# --- the table ----------------------------------------------------------------------------------


def everything_shown(arms: tuple[str, ...] = ARMS) -> list[Shown]:
    with listening_labs() as labs:
        return [
            shown(labs[case.honest.task], case, kept, arm)
            for kept in recorded().cases
            for case in [case_of(kept.mistake)]
            for arm in arms
        ]


def table(found: list[Shown]) -> Iterator[str]:
    """Per category, then for all: how many have the mistake inside, and tokens against the raw arm's."""
    yield "| mistakes | cases | inside, structure | inherited | inside | parts, raw | structure | share | prompt, raw | structure | share |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    categories = list(dict.fromkeys(each.case.operator.category for each in found))
    for category in [*sorted(categories), ""]:
        chosen = [e for e in found if category in ("", e.case.operator.category)]
        yield f"| {category or '**all**'} | {' | '.join(_row(chosen))} |"


def _row(found: list[Shown]) -> Iterator[str]:
    ours = [each for each in found if each.arm == "structure"]
    raw = [each for each in found if each.arm == "raw"]
    for kind in ("patch", "inherited"):
        chosen = [each.inside for each in ours if each.case.mistake.kind == kind]
        yield str(len(chosen))
        yield f"{sum(chosen) / len(chosen):.1%}" if chosen else "–"
    for part in ("parts", "prompt"):
        sums = [sum(getattr(each, part) for each in arm) for arm in (raw, ours)]
        yield from (f"{each / max(1, len(raw)):,.0f}" for each in sums)
        yield f"{sums[1] / sums[0]:.2f}"
