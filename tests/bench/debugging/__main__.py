"""The debugging benchmark; docs/debugging.md says what it measures.

python -m tests.bench.debugging                       what each arm shows: tokens, and the mistake inside or not
python -m tests.bench.debugging --model offline       how many cases a model repairs (any model that `run` takes)
python -m tests.bench.debugging --list                the operators, and how many cases each has
python -m tests.bench.debugging --record [TASK ...]   find cases that fail, and how (--again: run those that are kept)
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from autoresearch.config import load_settings
from autoresearch.errors import AutoresearchError
from tests.bench.debugging import arms, live, recording
from tests.bench.debugging.cases import TASKS
from tests.bench.debugging.operators import CATEGORIES, OPERATORS


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.debugging")
    parser.add_argument("tasks", nargs="*", default=TASKS, help="for --record")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument(
        "--each", type=int, default=1, metavar="N", help="cases of an operator and a task"
    )
    parser.add_argument("--again", action="store_true", help="record the same cases anew")
    parser.add_argument("--model", help="any name that `autoresearch run --model` takes")
    parser.add_argument("--api-base")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--arm", choices=arms.ARMS, default="structure")
    parser.add_argument("--cases", type=int, metavar="N", help="so many, spread over all")
    parser.add_argument(
        "--attempts", type=int, default=5, metavar="N", help="the first is the broken one"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/debugging"), help="goes on where it was"
    )
    return parser.parse_args()


def main(given: argparse.Namespace) -> Iterator[str]:
    if given.record:
        yield from recording.record(given.tasks, given.each, given.again)
    elif given.list:
        yield from _operators()
    elif given.model:
        yield from _against_a_model(given)
    else:
        yield from arms.table(arms.everything_shown())


def _operators() -> Iterator[str]:
    count = Counter(each.mistake.operator for each in recording.recorded().cases)
    yield "| operator | category | mistake | cases |"
    yield "|---|---|---|---|"
    for each in sorted(OPERATORS.values(), key=lambda each: CATEGORIES.index(each.category)):
        yield f"| `{each.name}` | {each.category} | {each.description} | {count[each.name]} |"


def _against_a_model(given: argparse.Namespace) -> Iterator[str]:
    name = given.model.replace("/", "-").replace(":", "-")
    options = {
        "model.name": given.model, "model.api_base": given.api_base, "debug": given.arm, "attempts": given.attempts,
        "parallel": 1, "sandbox.kind": "local", "runs": str((given.runs / f"{name}-{given.arm}").resolve()),
    }  # fmt: skip
    settings = load_settings(Path.cwd(), options, given.set)
    found = []
    for outcome in live.outcomes(settings, live.chosen_cases(given.cases)):
        found.append(outcome)
        by = f"repaired by {outcome.repaired_by}" if outcome.repaired_by else "not repaired"
        print(
            f"{len(found):4} {outcome.case.name}: {by}; {'; '.join(outcome.failures)[:200]}",
            flush=True,
        )
    yield f"{given.model}, arm {given.arm}, at most {given.attempts - 1} repairs a case"
    yield from live.figures(found, given.attempts - 1)


try:
    for line in main(arguments()):
        print(line, flush=True)
except AutoresearchError as error:
    sys.exit(str(error))
