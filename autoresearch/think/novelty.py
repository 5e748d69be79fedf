"""Which ideas are worth trying: independent of the bank, and not in the papers found for them."""

from autoresearch.harness import Lab
from autoresearch.records import Candidate, Idea, Lesson, Novelty, Outcome
from autoresearch.store import Desk
from autoresearch.think.attributes import search
from autoresearch.think.similarity import similarities, threshold

PAPERS_AN_IDEA = 10


def independent(lab: Lab, ideas: tuple[Idea, ...], memory: tuple[Lesson, ...]) -> list[Candidate]:
    """Each idea, kept where its summary resembles none of the bank: the ideas kept before it in this
    round, and all earlier ones that did not improve. (An improved idea may be built upon.)"""
    encoder = lab.settings.novelty.encoder
    limit = lab.settings.novelty.threshold or threshold(encoder)
    bank = [lesson.idea for lesson in memory if lesson.verdict.outcome is not Outcome.improved]
    everything = [idea.summary for idea in (*bank, *ideas)]
    cosines = similarities(encoder, [idea.summary for idea in ideas], everything)
    kept = list(range(len(bank)))  # places in `everything`
    candidates = []
    for place, idea in enumerate(ideas, start=len(bank)):
        row = cosines[place - len(bank)]
        nearest = max(kept, key=lambda other: row[other], default=None)
        near = 0.0 if nearest is None else row[nearest]
        if near <= limit:
            kept.append(place)
        slug = "nothing" if nearest is None else (*bank, *ideas)[nearest].slug
        said = f"{encoder} cosine {near:.2f} to {slug}, limit {limit:.2f}"
        reason = f"independent ({said})" if near <= limit else f"too close ({said})"
        candidates.append(Candidate(idea=idea, kept=near <= limit, reason=reason))
    return candidates


def novel(lab: Lab, desk: Desk, candidates: list[Candidate]) -> tuple[Candidate, ...]:
    """The candidates judged in turn until the round is full; the rest are dropped as surplus."""
    judged: list[Candidate] = []
    for candidate in candidates:
        if candidate.kept and sum(c.kept for c in judged) >= lab.settings.ideas:
            candidate = _drop(candidate, f"more than {lab.settings.ideas} ideas")
        elif candidate.kept:
            candidate = _judge(lab, desk, candidate)
        judged.append(candidate)
    return tuple(judged)


def _judge(lab: Lab, desk: Desk, candidate: Candidate) -> Candidate:
    idea = candidate.idea
    step = f"{desk.name}/novelty-{idea.slug}"
    papers = search(lab, step, idea.title, PAPERS_AN_IDEA)
    if not papers:
        return _say(candidate, "novelty not checked: no papers")
    verdict = lab.opinion(
        lab.desk, step, "think/novelty", Novelty,
        topic=lab.topic, task=lab.task, idea=idea, papers=papers,
    ) or Novelty(novel="undecided", reason="the model gave no usable judgement")  # fmt: skip
    closest = f" (closest: {verdict.closest})" if verdict.closest else ""
    said = f"novel: {verdict.novel}: {verdict.reason}{closest}"
    return _say(candidate, said) if verdict.novel == "yes" else _drop(candidate, said)


def _say(candidate: Candidate, reason: str) -> Candidate:
    return candidate.model_copy(update={"reason": f"{candidate.reason}; {reason}"})


def _drop(candidate: Candidate, reason: str) -> Candidate:
    return _say(candidate, reason).model_copy(update={"kept": False})
