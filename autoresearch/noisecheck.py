"""Whether the noise floor of a task leaves anything to be seen, and how many seeds would do."""

from collections.abc import Iterator

from autoresearch.feedback.sensitivity import MOST_SEEDS, best_value, seeds_for
from autoresearch.findings import Finding, error, ok, warning
from autoresearch.floors import smallest_gain
from autoresearch.harness import Lab
from autoresearch.records import Floor

OF_THE_REST = 0.1  # of what is left up to the best score: the gain looked for where none is named
OF_THE_SCORE = 0.01  # where the best score is not known


def check_noise(lab: Lab, floor: Floor, wanted: float | None) -> Iterator[Finding]:
    """What the baseline's scores over the seeds let one see; `wanted` is the gain asked for."""
    seeds, metric = lab.task.seeds, lab.task.metric
    scatter = f" ± {floor.deviation:.4g} (sd)" if floor.deviation is not None else ""
    yield ok(f"noise floor: {metric} {floor.mean:.4g}{scatter} over {seeds} seeds")
    if seeds < 2:
        yield warning("one seed tells nothing of the noise", "set seeds = 3 or more in task.toml")
        return
    smallest = smallest_gain(floor, seeds)
    if smallest is None:
        yield warning("nothing is known of the noise", "have score.py give per-example scores")
        return
    score = floor.measurements[0].score
    best = best_value(score, lab.task.direction) if score else None
    gain, source = _wanted(floor, best, wanted)
    ideas = lab.settings.rounds * lab.settings.ideas
    seen = f"the smallest gain found 4 times in 5 among {ideas} ideas is {smallest:.3g}"
    if smallest <= gain:
        yield ok(f"{seen}; looked for: {gain:.3g} ({source})")
        return
    todo = _advice(floor, gain)
    what = f"{seen}, more than the {gain:.3g} looked for ({source})"
    if best is not None and smallest > abs(best - floor.mean):
        what += f", and more than is left up to a perfect {best:g}"
        # With two seeds it is the seeds that are too few, whatever the noise.
        yield (error if seeds > 2 else warning)(what, todo)
    else:
        yield warning(what, todo)


def _advice(floor: Floor, gain: float) -> str:
    """How a gain could be seen that is not seen yet."""
    needed = seeds_for(floor, gain)
    if needed is not None:
        return f"set seeds = {needed} in task.toml to see that, or plan fewer ideas"
    rows = len(floor.measurements[0].score.examples) if floor.measurements[0].score else 0
    pool = f"a larger pool (now {rows} validation rows)" if rows else "per-example scores"
    limit = smallest_gain(floor, MOST_SEEDS)
    return f"take {pool}, or plan fewer ideas: {MOST_SEEDS} seeds would still see only {limit:.3g}"


def _wanted(floor: Floor, best: float | None, wanted: float | None) -> tuple[float, str]:
    """The gain that should be seen, and where that number is from."""
    if wanted is not None:
        return wanted, "--gain"
    if best is not None:
        rest = f"{OF_THE_REST:.0%} of what is left up to a perfect {best:g}; --gain changes it"
        return OF_THE_REST * abs(best - floor.mean), rest
    return OF_THE_SCORE * abs(floor.mean), f"{OF_THE_SCORE:.0%} of the score; --gain changes it"
