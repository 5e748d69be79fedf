"""One idea of a run in full: plan, attempts, diff, scores, verdict, and the model's opinions as such."""

from typing import TYPE_CHECKING

from autoresearch.claimed import evidence_part
from autoresearch.errors import BadInput
from autoresearch.records import Attempt, Lesson, Trial
from autoresearch.report import (
    STYLES,
    Row,
    model_name,
    number,
    plain,
    printable,
    rows_of,
    task_of,
    whence,
)
from autoresearch.store import Run, read

if TYPE_CHECKING:
    from rich.console import RenderableType


def find_idea(run: Run, idea: str) -> Row:
    """The idea of that slug, or that number such as 0.3. Raises BadInput naming what there is."""
    rows = rows_of(run)
    chosen = [row for row in rows if idea in (row.idea.slug, f"{row.round}.{row.number}")]
    if not chosen:
        some = ", ".join(f"{row.round}.{row.number} {row.idea.slug}" for row in rows[:8])
        more = f" and {len(rows) - 8} more" if len(rows) > 8 else ""
        raise BadInput(f"no idea {idea!r} in {run.folder}; there are: {some or 'none yet'}{more}")
    return chosen[0]


def idea_page(run: Run, row: Row) -> list["RenderableType"]:
    """One idea in full: plan, attempts, diff, scores, verdict, and the model's opinions as such."""
    idea = row.idea
    page: list[RenderableType] = [
        f"[bold]{plain(idea.title)}[/bold]  ({row.round}.{row.number} {idea.slug})",
        f"\n[dim]hypothesis[/dim] {plain(idea.hypothesis)}\n[dim]plan[/dim] {plain(idea.plan)}",
        f"[dim]starts from[/dim] {idea.parent or 'the baseline'}"
        f"   [dim]cites[/dim] {', '.join(idea.cites) or 'nothing'}",
    ]
    if (row.folder / "practice.json").is_file():
        page += _trial_parts(read(row.folder / "practice.json", Trial), whence(task_of(run)))
    else:
        page.append(f"\n{row.progress()}")
    if row.lesson is None:
        return page
    return [*page, *_lesson_parts(run, row.lesson), *evidence_part(run, row.lesson.name)]


def _trial_parts(trial: Trial, whence: str) -> list["RenderableType"]:
    from rich.syntax import Syntax

    parts: list[RenderableType] = ["\n[bold]attempts[/bold]"]
    parts += [_attempt_line(attempt) for attempt in trial.attempts]
    if trial.diff:
        parts += [
            "\n[bold]diff against the baseline[/bold]",
            Syntax(printable(trial.diff), "diff", word_wrap=True),
        ]
    if trial.measurements:
        scores = ", ".join(f"seed {m.seed}: {number(m.value)}" for m in trial.measurements)
        parts.append(f"\n[bold]scores[/bold] ({whence}) {scores}")
    return parts


def _attempt_line(attempt: Attempt) -> str:
    run = attempt.measurement.execution if attempt.measurement else attempt.smoke
    ran = f", {plain(run.reason)} after {run.seconds:.1f} s" if run else ""
    commit = f" {attempt.commit[:10]}" if attempt.commit else ""
    if attempt.failure is None:
        return f"{attempt.number + 1}{commit}: ran{ran}"
    failure = attempt.failure
    return f"{attempt.number + 1}{commit}: failed ({failure.stage}){ran}: {plain(failure.message)}"


def _lesson_parts(run: Run, lesson: Lesson) -> list["RenderableType"]:
    verdict = lesson.verdict
    style = STYLES[verdict.outcome]
    parts: list[RenderableType] = [
        f"\n[{style}]{verdict.outcome.value}[/{style}] {plain(verdict.reason)} ({plain(verdict.test)})"
    ]
    who = model_name(run)
    if lesson.analysis:
        parts.append(
            f"\n[bold]analysis[/bold] (opinion of {who})\n{plain(lesson.analysis.explanation)}"
        )
        parts.append(f"[dim]advice[/dim] {plain(lesson.analysis.advice)}")
    if lesson.review:
        review = lesson.review
        parts.append(
            f"\n[bold]review[/bold] (opinion of {who}) overall {review.overall}/10, soundness "
            f"{review.soundness}/4, presentation {review.presentation}/4, contribution "
            f"{review.contribution}/4, confidence {review.confidence}/5\n{plain(review.summary)}"
        )
        listed = {"+": review.strengths, "-": review.weaknesses, "?": review.questions}
        listed["experiment:"] = review.requested_experiments
        parts += [f"  {sign} {plain(text)}" for sign, texts in listed.items() for text in texts]
    return parts
