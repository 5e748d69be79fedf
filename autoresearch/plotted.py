"""What of a run its picture shows, and the words that go with it."""

from autoresearch.chart import Chart, Kind, Mark, best_so_far, bounds, found_at
from autoresearch.claimed import Entry
from autoresearch.falsify.control import Reached
from autoresearch.records import Direction, Floor, Task
from autoresearch.report import number, printable, state_of, task_of, whence
from autoresearch.shapes import sample, swatch
from autoresearch.store import Run, read


def chart_of(run: Run, floor: Floor, entries: list[Entry]) -> Chart:
    """The scores of a run that has a noise floor."""
    task = task_of(run)
    better = 1 if task.direction is Direction.maximize else -1
    reached = _reached(run)
    control = (
        None if reached is None or reached.best is None else floor.mean + better * reached.best
    )
    return Chart(
        metric=printable(task.shown_metric if task.reported else f"{task.metric} on validation"),
        better=better,
        baseline=floor.mean,
        deviation=floor.deviation,
        gain=floor.smallest_gain,
        control=control,
        marks=tuple(_mark(entry, task, better) for entry in entries),
        warning=whence(task) if task.reported else "",
    )


def _reached(run: Run) -> Reached | None:
    path = run.folder / "falsify" / "control.json"
    return read(path, Reached) if path.is_file() else None


def _mark(entry: Entry, task: Task, better: int) -> Mark:
    said = f"{entry.place} {entry.idea.slug}: "
    verdict = entry.lesson.verdict if entry.lesson else None
    if verdict is None:
        return Mark(
            entry.place, entry.idea.slug, "unfinished", None, None, "", f"{said}not finished"
        )
    interval = None
    if verdict.score is not None and verdict.effect is not None and verdict.interval is not None:
        ends = [verdict.score + better * (end - verdict.effect) for end in verdict.interval]
        interval = (min(ends), max(ends))
    score = "no score" if verdict.score is None else f"{task.shown_metric} {verdict.score:.4f}"
    said += f"{verdict.outcome.value}; {score}; {verdict.reason}"
    claim = entry.claim_state
    said += f"; claim {claim}" if claim else ""
    return Mark(
        entry.place, entry.idea.slug, entry.kind, verdict.score, interval, claim, printable(said)
    )


def legend_of(chart: Chart, floor: Floor, run: Run) -> list[tuple[str, str]]:
    """A sign and what it means, for all that the picture holds."""
    kinds = {mark.kind for mark in chart.marks}
    words: dict[Kind, str] = {
        "improved": "improved",
        "maintained": "maintained",
        "declined": "declined",
        "failed": "failed: no score (at the bottom)",
        "unfinished": "not finished (at the bottom)",
    }
    found = [(swatch(kind), said) for kind, said in words.items() if kind in kinds]
    claims = {mark.claim for mark in chart.marks}
    if "stands" in claims:
        said = (
            "a gain that nothing refuted, unconfirmed" if chart.warning else "a claim that stands"
        )
        found.append((swatch("improved", "stands"), said))
    if "refuted" in claims:
        found.append((swatch("improved", "refuted"), "a claim that was refuted"))
    if any(mark.interval for mark in chart.marks):
        said = "95 % interval of the paired gain, drawn around the score"
        found.append((sample("interval"), said))
    return [*found, *_legend_of_lines(chart, floor, run)]


def _legend_of_lines(chart: Chart, floor: Floor, run: Run) -> list[tuple[str, str]]:
    seeds = len(floor.measurements)
    found = [(sample("baseline"), f"baseline {number(floor.mean)}, mean of {seeds} seeds")]
    if floor.deviation is not None:
        found.append(
            (sample("band"), f"± one standard deviation of its seeds ({number(floor.deviation)})")
        )
    level = found_at(chart)
    if level is not None:
        said = f"least gain that is found 4 times in 5: {number(floor.smallest_gain)}, to {number(level)}"
        low, high = bounds(chart)
        said += "" if low <= level <= high else ", beyond the picture"
        found.append((sample("found"), said))
    return [*found, *_legend_of_best(chart, run), *_legend_of_control(chart, run)]


def _legend_of_best(chart: Chart, run: Run) -> list[tuple[str, str]]:
    if best_so_far(chart)[-1:] in ([], [chart.baseline]):
        return []
    unless = " and are not refuted" if state_of(run) == "finished" else ""
    where = "what is reported" if chart.warning else "validation"
    return [(sample("best"), f"best so far on {where}, of ideas that improved{unless}")]


def _legend_of_control(chart: Chart, run: Run) -> list[tuple[str, str]]:
    reached = _reached(run)
    if reached is None:
        return []
    best = "improved on nothing" if chart.control is None else f"reached {number(chart.control)}"
    named = f" ({reached.slug})" if reached.slug else ""
    words = f"the control arm, blind search with {reached.ideas} ideas, {best}{named}"
    return [(sample("control"), words)]
