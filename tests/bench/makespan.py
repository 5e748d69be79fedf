"""Wall time of a round over the best possible on the same slots, with simulated latencies.

The best possible is computed from what each idea's calls and runs really took: the longest-first
schedule on that many slots, or the longest idea.
"""

import time
from collections.abc import Iterator

from autoresearch.harness import in_parallel
from autoresearch.loop import try_idea
from autoresearch.records import Agenda
from autoresearch.think import propose
from tests.bench.timed import timed_lab


def main() -> Iterator[str]:
    for slots in (1, 2):
        wall, ideal = measured(slots)
        yield f"{wall / ideal:.3f} of the ideal makespan on {slots} slots: {wall:.2f} s over {ideal:.2f} s (goal 1.05)"


def measured(slots: int) -> tuple[float, float]:
    """Wall time of a round's ideas and the best possible, in seconds."""
    with timed_lab(ideas=8, parallel=slots, model=0.5, sandbox=0.3) as (lab, model, sandbox):
        _ = lab.floor
        desk = lab.desk.at("round-00")
        agenda = desk.step("think", Agenda, lambda: propose(lab, desk, ()))
        began = time.perf_counter()
        in_parallel(
            lab, lambda n: try_idea(lab, desk, agenda.ideas, (), n), range(len(agenda.ideas))
        )
        wall = time.perf_counter() - began
    ideas = [name for name in sandbox.spent if name]
    return wall, best([sandbox.spent[name] + model.spent.get(name, 0.0) for name in ideas], slots)


def best(durations: list[float], slots: int) -> float:
    """The makespan of the longest-first schedule."""
    loads = [0.0] * slots
    for duration in sorted(durations, reverse=True):
        loads[loads.index(min(loads))] += duration
    return max(loads)
