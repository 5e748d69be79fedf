"""The suite against a model: the product's own code asks for repairs, applies, runs and checks them."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoresearch.config import Settings
from autoresearch.harness import Lab
from autoresearch.practice.attempts import try_patch
from autoresearch.practice.coder import Before, read_sources, write_patch
from autoresearch.practice.crashes import FILE
from autoresearch.records import Attempt
from autoresearch.store import write
from tests.bench.debugging.cases import TASKS, Case, case_of
from tests.bench.debugging.recording import Recorded, lab_of, recorded, repaired, write_program

Z = 1.96  # for an interval of 95 %


@dataclass(frozen=True)
class Outcome:
    """`repaired_by` is the number of the repair (from 1) that passed the check, None where none did."""

    case: Case
    repaired_by: int | None
    failures: tuple[str, ...]  # of the repairs


def chosen_cases(count: int | None) -> list[tuple[Case, Recorded]]:
    """All recorded cases, or so many of them, always the same and spread over all."""
    cases = [(case_of(each.mistake), each) for each in recorded().cases]
    if count is not None:
        cases = random.Random(0).sample(cases, min(count, len(cases)))
    return sorted(cases, key=lambda pair: TASKS.index(pair[0].honest.task))


def outcomes(settings: Settings, cases: Sequence[tuple[Case, Recorded]]) -> Iterator[Outcome]:
    """Repair each case. What is on disk in `settings.runs` is neither asked nor run again."""
    for task in TASKS:
        of_task = [pair for pair in cases if pair[0].honest.task == task]
        if of_task:
            with lab_of(task, settings, settings.runs) as lab:
                for case, kept in of_task:
                    yield repair(lab, case, kept)


def repair(lab: Lab, case: Case, kept: Recorded) -> Outcome:
    """Start from the recorded failure; then as practice does, up to the attempts that the settings allow."""
    desk = lab.desk.at(f"cases/{case.name}")
    start = _commit(lab, case.original, f"original/{case.name}")
    _recall(desk.folder, case, kept)
    attempts: tuple[Attempt, ...] = ()
    with lab.workspace.worktree(desk.name, start) as tree:
        original = read_sources(tree, lab.task.editable)
        while len(attempts) < lab.settings.attempts:
            patch = write_patch(lab, desk, case.honest.idea, tree, Before(original, attempts, ()))
            attempts += (try_patch(lab, desk, tree, original, patch, len(attempts)),)
            if attempts[-1].failure is None:
                break
        program = read_sources(tree, lab.task.editable)
    for commit in {attempt.commit for attempt in attempts if attempt.commit}:
        lab.workspace.discard(commit)
    last = attempts[-1]
    value = last.measurement.value if last.measurement else None
    passed = repaired(case.honest, program, value, recorded().honest[case.honest.name])
    failures = [each.failure.message for each in attempts[1:] if each.failure]
    if value is not None and not passed:
        failures.append(f"the hidden check refused it: accuracy {value:.4f}, or the idea is gone")
    return Outcome(case, last.number if passed else None, tuple(failures))


def _commit(lab: Lab, program: Mapping[str, str], name: str) -> str:
    with lab.workspace.worktree(name, lab.floor.commit) as tree:
        write_program(program, tree)
        return lab.workspace.commit(tree, f"refs/cases/{name}", name)


def _recall(folder: Path, case: Case, kept: Recorded) -> None:
    """The first attempt is on the desk already: the broken patch, and how it was recorded to fail."""
    if (folder / "0-run.json").exists():
        return
    if kept.witnessed is not None:
        write(folder / "0-out" / FILE, json.dumps(kept.witnessed))
    if kept.score is not None:
        write(folder / "0-score.json", kept.score.model_dump_json())
    write(folder / "0-patch.json", case.patch.model_dump_json())
    write(folder / "0-run.json", kept.execution.model_dump_json())


# --- figures ------------------------------------------------------------------------------------


def wilson(successes: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson's), which stays within 0 and 1 for few cases too."""
    if not count:
        return 0.0, 1.0
    rate, square = successes / count, Z**2 / count
    middle = (rate + square / 2) / (1 + square)
    half = Z / (1 + square) * (rate * (1 - rate) / count + square / (4 * count)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def figures(found: Sequence[Outcome], repairs: int) -> Iterator[str]:
    """Repaired after each repair; then by category, by operator and by where the mistake is."""
    yield "| cases | after | repaired | rate | 95 % interval |"
    yield "|---|---|---|---|---|"
    for number in range(1, repairs + 1):
        good = sum(each.repaired_by is not None and each.repaired_by <= number for each in found)
        yield f"| {len(found)} | {number} | {_rate(good, len(found))} |"
    yield ""
    yield "| mistakes | cases | repaired | rate | 95 % interval |"
    yield "|---|---|---|---|---|"
    groups = [
        {each.case.operator.category for each in found},
        {each.case.operator.name for each in found},
        {each.case.mistake.kind for each in found},
    ]
    for names in groups:
        for name in sorted(names):
            chosen = [e for e in found if name in (e.case.operator.category, e.case.operator.name, e.case.mistake.kind)]  # fmt: skip
            good = sum(each.repaired_by is not None for each in chosen)
            yield f"| {name} | {len(chosen)} | {_rate(good, len(chosen))} |"


def _rate(good: int, count: int) -> str:
    low, high = wilson(good, count)
    return f"{good} | {good / max(1, count):.1%} | {low:.1%} to {high:.1%}"
