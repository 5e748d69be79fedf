"""Practice: an idea in, a trial out: written as code, repaired from its tracebacks, measured."""

from autoresearch.harness import Lab
from autoresearch.levels import level_of
from autoresearch.practice.attempts import measure_idea, try_patch
from autoresearch.practice.coder import Before, parent_of, read_sources, write_patch
from autoresearch.practice.memory import keep_repairs
from autoresearch.records import Attempt, Idea, Lesson, Trial
from autoresearch.store import Desk


def pursue(lab: Lab, desk: Desk, idea: Idea, memory: tuple[Lesson, ...]) -> Trial:
    """Write the idea as a patch and run it; while it fails, repair it, up to the attempts allowed;
    measure what runs on the seeds that can change its verdict."""
    parent = parent_of(idea, memory)
    start = parent.commit if parent else lab.floor.commit
    attempts: tuple[Attempt, ...] = ()
    with lab.workspace.worktree(desk.name, start) as tree:
        original = read_sources(tree, lab.task.editable)
        while len(attempts) < lab.settings.attempts:
            patch = write_patch(lab, desk, idea, tree, Before(original, attempts, memory))
            attempts += (try_patch(lab, desk, tree, original, patch, len(attempts)),)
            if attempts[-1].failure is None:
                break
    trial = measure_idea(lab, desk, idea, parent, attempts, level_of(lab.floor, memory))
    keep_repairs(lab, trial)
    return trial
