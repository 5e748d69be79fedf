"""Prompts that are too long for a model: what is left out, in a fixed order, each rule with a name.

The least valuable goes first. A rule changes the variables that a prompt is rendered with, so every
prompt keeps its instructions, its answer format and the code to be edited for as long as possible.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from autoresearch.records import Attempt, Failure, Paper, Trial

Variables = dict[str, Any]

ABSTRACT = 300  # characters kept of an abstract
LESSONS = 15
OUTPUT = 1_500  # characters kept of a traceback or an output
DIFF = 4_000
FILE = 8_000  # characters kept of a file


def shortened(variables: Mapping[str, Any]) -> Iterator[tuple[str, Variables]]:
    """Shorter and shorter variables, each with the name of the rule that was applied last. Rules that
    change nothing are passed over; they add up."""
    now = dict(variables)
    for name, rule in RULES:
        changed = {key: rule(key, value) for key, value in now.items()}
        if changed != now:
            now = changed
            yield name, now


def _short_abstracts(key: str, value: Any) -> Any:
    if key != "papers":
        return value
    return tuple(
        paper.model_copy(update={"abstract": cut(paper.abstract, ABSTRACT), "text": None})
        if isinstance(paper, Paper)
        else paper
        for paper in value
    )


def _half_the_papers(key: str, value: Any) -> Any:
    return value[: (len(value) + 1) // 2] if key == "papers" else value


def _no_opinions(key: str, value: Any) -> Any:
    if key != "lessons":
        return value
    return tuple(lesson.model_copy(update={"analysis": None, "review": None}) for lesson in value)


def _few_lessons(key: str, value: Any) -> Any:
    """The good ones come first in the tuple, and are kept."""
    return value[:LESSONS] if key == "lessons" else value


def _baseline_only(key: str, value: Any) -> Any:
    return {"baseline": value["baseline"]} if key in ("sources", "shown") else value


def _short_output(key: str, value: Any) -> Any:
    if isinstance(value, Failure):
        return value.model_copy(update={"detail": cut(value.detail, OUTPUT)})
    if key == "attempts":
        return tuple(_short_attempt(attempt) for attempt in value)
    if key == "trial" and isinstance(value, Trial):
        return value.model_copy(update={"diff": cut(value.diff, DIFF)})
    return value


def _short_attempt(attempt: Attempt) -> Attempt:
    patch = attempt.patch.model_copy(update={"plan": cut(attempt.patch.plan, OUTPUT)})
    return attempt.model_copy(update={"patch": patch})


def _no_repairs(key: str, value: Any) -> Any:
    return () if key == "remembered" else value


def _short_map(key: str, value: Any) -> Any:
    return cut(value, FILE) if key == "map" else value


def _short_files(key: str, value: Any) -> Any:
    if key == "code":
        return {path: cut(text, FILE) for path, text in value.items()}
    if key == "shown":
        return {slug: _short_files("code", files) for slug, files in value.items()}
    return value


RULES: tuple[tuple[str, Callable[[str, Any], Any]], ...] = (
    ("abstracts cut short", _short_abstracts),
    ("lessons without analyses and reviews", _no_opinions),
    ("without repairs of other ideas", _no_repairs),
    ("half of the papers", _half_the_papers),
    (f"only {LESSONS} lessons", _few_lessons),
    ("without the code of improved ideas", _baseline_only),
    ("a quarter of the papers", _half_the_papers),
    ("outputs and diffs cut short", _short_output),
    ("the map of the code cut short", _short_map),
    ("long files cut in the middle", _short_files),
)


def cut(text: str, limit: int) -> str:
    """Head and tail of a long text, with what was left out said in the middle."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n... {len(text) - 2 * half:,} characters left out ...\n{text[-half:]}"
