"""A model that needs no language model: blind single-change search that answers every prompt.

It knows no papers and has no opinions, and says so wherever it is asked for either. What it can do is
change one thing at a time (`mutations`), repair from tracebacks (`repairs`) and go on from what worked.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from autoresearch.blind_search import is_from, next_ideas
from autoresearch.codemap import within_reach
from autoresearch.config import CODE_SHOWN
from autoresearch.errors import ModelError
from autoresearch.llm import Answer, Request
from autoresearch.mutations import mutations
from autoresearch.records import (
    Analysis,
    Attributes,
    Edit,
    Fidelity,
    Floor,
    Idea,
    Ideas,
    Novelty,
    Outcome,
    Paper,
    PaperScore,
    Query,
    Ranking,
    Record,
    Review,
    Task,
    Trial,
    Verdict,
)
from autoresearch.repairs import repair

NAME = "offline (no language model)"
SURPLUS = 2  # ideas proposed for each one asked for: some will be too close to others
COMMON = frozenset(
    re.findall(
        r"\w+",
        """about after also and any are because been but can does for from has have how into its more most
        not only other our same show such than that the their them then there these they this those
        through under use used using was well were what when where which while who will with would""",
    )
)


class Offline:
    """A `Model` without a language model. Stateless: an answer follows from the seed and the request."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def answer(self, request: Request) -> Answer:
        """Raises ModelError for a prompt it does not know, and when no untried change is left."""
        given = request.variables
        match request.prompt:
            case "think/ideas":
                text = _json(_ideas(given, self.seed))
            case "practice/code":
                text = _code(given, self.seed)
            case "practice/debug":
                text = _debug(given, self.seed)
            case prompt if prompt in _PLAIN:
                text = _json(_PLAIN[prompt](given))
            case prompt:
                raise ModelError(
                    f"the offline model has no answer to {prompt}; use another --model"
                )
        return Answer(text=text, model=NAME, tokens_in=0, tokens_out=0, dollars=0.0, seconds=0.0)


def _json(record: Record) -> str:
    return record.model_dump_json()


# --- reading ------------------------------------------------------------------------------------


def _query(given: Mapping[str, Any]) -> Query:
    return Query(query=" ".join(_words(given["topic"])[:8]) or "machine learning")


def _attributes(given: Mapping[str, Any]) -> Attributes:
    goal = " ".join(given["task"].goal.split())[:1500]
    said = "offline, no model read this; the task in its own words"
    return Attributes(
        input=f"({said}) {goal}", output=f"({said}) scored by {given['task'].shown_metric}"
    )


def _ranking(given: Mapping[str, Any]) -> Ranking:
    """Shares of the topic's words found in each paper, spread from 1 to 10 over these papers."""
    papers: Sequence[Paper] = given["papers"]
    shares = [_overlap(given["topic"], f"{p.title} {p.abstract}") for p in papers]
    best = max((share for share, _ in shares), default=0.0)
    scores = []
    for paper, (share, common) in zip(papers, shares, strict=True):
        score = 1 + round(9 * share / best * min(1.0, best * 2)) if best else 1
        reason = (
            f"offline: word overlap with the topic, no judgement ({', '.join(common) or 'none'})"
        )
        scores.append(PaperScore(paper=paper.id, score=score, reason=reason[:400]))
    return Ranking(scores=tuple(scores))


def _novelty(given: Mapping[str, Any]) -> Novelty:
    idea: Idea = given["idea"]
    shares = [
        (*_overlap(f"{idea.title} {idea.summary}", f"{p.title} {p.abstract}"), p.id)
        for p in given["papers"]
    ]
    share, common, closest = max(shares, default=(0.0, (), None), key=lambda entry: entry[0])
    said = f"{share:.0%} of its words are in the closest paper ({', '.join(common) or 'none'})"
    return Novelty(
        novel="no" if share >= 0.7 else "yes",
        closest=closest,
        reason=f"offline: no judgement of novelty, only word overlap; {said}"[:400],
    )


def _words(text: str) -> list[str]:
    """The telling words of a text, in order and once each."""
    found = re.findall(r"[a-z][a-z0-9]{2,}", text.lower().replace("_", " "))
    return list(dict.fromkeys(word for word in found if word not in COMMON))


def _overlap(text: str, other: str) -> tuple[float, tuple[str, ...]]:
    """The share of the first text's words that the other has too, and up to eight of them."""
    mine, theirs = _words(text), {word.rstrip("s") for word in _words(other)}
    common = tuple(word for word in mine if word.rstrip("s") in theirs)
    return (len(common) / len(mine) if mine else 0.0), common[:8]


# --- ideas and code ---------------------------------------------------------------------------------------


def _ideas(given: Mapping[str, Any], seed: int) -> Ideas:
    wanted = SURPLUS * given["count"]
    sources = {slug: _searched(code, given["task"]) for slug, code in given["sources"].items()}
    ideas = next_ideas(sources, given["tried"], seed)[:wanted]
    if not ideas:
        raise ModelError(
            "the offline model knows no untried change of this code; ask for fewer rounds or ideas, "
            "or use a language model"
        )
    return Ideas(ideas=ideas)


def _searched(code: Mapping[str, str], task: Task) -> Mapping[str, str]:
    """The files to change: of a large code base only those that the program imports."""
    large = sum(map(len, code.values())) > CODE_SHOWN
    return within_reach(code, task.command) if large else code


def _code(given: Mapping[str, Any], seed: int) -> str:
    """The mutation that the idea was made from, found again by its slug."""
    idea: Idea = given["idea"]
    code = _searched(given["whole"], given["task"])
    matching = [m for m in mutations(code, seed) if is_from(idea.slug, m.slug)]
    if not matching:
        return "The offline model only knows its own ideas, and this is none of them."
    mutation = max(matching, key=lambda m: len(m.slug))
    return _blocks(mutation.plan, mutation.edits)


def _debug(given: Mapping[str, Any], seed: int) -> str:
    if all(attempt.commit is None for attempt in given["attempts"]):
        return _code(given, seed)
    return _blocks(*repair(given["whole"], given["attempts"], given["failure"]))


def _blocks(plan: str, edits: Sequence[Edit]) -> str:
    parts = [" ".join(plan.split())]
    for edit in edits:
        parts.append(
            f"### file: {edit.path}\n<<<<<<< SEARCH\n{edit.search}=======\n"
            f"{edit.replace}>>>>>>> REPLACE"
        )
    return "\n\n".join(parts) + "\n"


# --- feedback -----------------------------------------------------------------------------------

_ADVICE = {
    Outcome.improved: "Go further in the same direction and combine it with other changes that improved.",
    Outcome.maintained: "Leave it alone: this many seeds cannot tell it from noise.",
    Outcome.declined: "Do not repeat it; the opposite change is untested by this.",
    Outcome.failed: "Do not repeat it in this form.",
}


def _analysis(given: Mapping[str, Any]) -> Analysis:
    verdict: Verdict = given["verdict"]
    trial: Trial = given["trial"]
    failures = sum(attempt.failure is not None for attempt in trial.attempts)
    return Analysis(
        explanation=f"Offline, from the numbers only: {_numbers(given)} "
        f"{failures} of {len(trial.attempts)} attempts failed. Why it came out so is not known here.",
        advice=_ADVICE[verdict.outcome],
    )


def _numbers(given: Mapping[str, Any]) -> str:
    verdict: Verdict = given["verdict"]
    floor: Floor = given["floor"]
    task: Task = given["task"]
    if verdict.effect is None:
        return f"{verdict.outcome.value} without a score ({verdict.reason})."
    scatter = "unknown" if floor.deviation is None else f"{floor.deviation:.4g}"
    ends = (
        ""
        if verdict.interval is None
        else " (interval {:+.4g} to {:+.4g})".format(*verdict.interval)
    )
    return (
        f"{verdict.outcome.value}: {verdict.effect:+.4g} {task.shown_metric}{ends} over {verdict.seeds} "
        f"seed(s) against a baseline of {floor.mean:.4g} with a deviation of {scatter}."
    )


def _review(given: Mapping[str, Any]) -> Review:
    verdict: Verdict = given["verdict"]
    overall = {Outcome.improved: 6, Outcome.maintained: 4}.get(verdict.outcome, 3)
    sure = verdict.interval is not None and verdict.interval[0] > 0
    return Review(
        summary=f"Offline form, no reviewer's opinion; filled in from the numbers. {_numbers(given)}",
        strengths=("A single change, so that its effect can be attributed.",),
        weaknesses=("Chosen by blind search: there is no reason beyond a rule of thumb.",),
        requested_experiments=("The same change to a lesser and to a greater degree.",),
        soundness=3 if verdict.seeds >= 3 else 2,
        presentation=2,
        contribution=2 if verdict.outcome is Outcome.improved else 1,
        overall=overall + sure,
        confidence=1,
    )


def _fidelity(given: Mapping[str, Any]) -> Fidelity:
    trial: Trial = given["trial"]
    said = f"offline: no model compared the patch of {trial.idea.slug} with its idea"
    return Fidelity(faithful="cannot tell", reason=said)


_PLAIN = {
    "think/query": _query,
    "think/attributes": _attributes,
    "think/rank": _ranking,
    "think/novelty": _novelty,
    "feedback/analysis": _analysis,
    "feedback/review": _review,
    "feedback/fidelity": _fidelity,
}
