"""What the harness itself costs per attempt: wall time less what the sandbox and the model took."""

import time
from collections.abc import Iterator

from autoresearch.harness import in_parallel
from autoresearch.loop import try_idea
from autoresearch.records import Agenda
from autoresearch.think import propose
from tests.bench.timed import timed_lab


def main() -> Iterator[str]:
    with timed_lab(ideas=8, parallel=1) as (lab, model, sandbox):
        _ = lab.floor
        desk = lab.desk.at("round-00")
        agenda = desk.step("think", Agenda, lambda: propose(lab, desk, ()))
        model.spent.clear()
        sandbox.spent.clear()
        began = time.perf_counter()
        lessons = in_parallel(
            lab, lambda n: try_idea(lab, desk, agenda.ideas, (), n), range(len(agenda.ideas))
        )
        wall = time.perf_counter() - began
    attempts = sum(lesson.attempts for lesson in lessons)
    inside = sum(model.spent.values()) + sum(sandbox.spent.values())
    each = (wall - inside) / attempts * 1000
    yield f"{each:.0f} ms of harness an attempt, all seeds, scoring and feedback included (goal 50)"
    yield f"{attempts} attempts, {wall:.2f} s wall, {inside:.2f} s in the sandbox and the model"
