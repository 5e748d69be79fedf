"""Retrieval: one keyword query, then papers scored on the topic and on what the task takes in and puts
out, so that a paper of the right field but another kind of task ranks low (Dolphin, section 3.1)."""

from autoresearch.harness import Lab
from autoresearch.records import Attributes, Found, Paper, PaperScore, Query, Ranking, Reading

BATCH = 25  # papers a ranking call; about 10,000 tokens of abstracts


def read_papers(lab: Lab) -> Reading:
    """The papers of the run's topic, found, scored and kept once for all rounds."""
    return lab.desk.step("reading", Reading, lambda: _read_papers(lab))


def _read_papers(lab: Lab) -> Reading:
    topic, task = lab.topic, lab.task
    attributes = lab.ask(
        lab.desk, "reading", "think/attributes", Attributes, topic=topic, task=task
    )
    query = lab.ask(
        lab.desk, "reading", "think/query", Query, topic=topic, task=task, attributes=attributes
    ).query
    papers = search(lab, "reading-found", query, lab.settings.papers.retrieve)
    scores = [
        score
        for start in range(0, len(papers), BATCH)
        for score in _rank(lab, start, attributes, papers[start : start + BATCH])
    ]
    order = sorted(scores, key=lambda score: -score.score)
    by_id = {paper.id: paper for paper in papers}
    kept = [by_id[score.paper] for score in order if score.score >= lab.settings.papers.keep]
    if papers and not kept:
        lab.note(
            f"none of the {len(papers)} papers found scored {lab.settings.papers.keep} or more"
        )
    return Reading(
        attributes=attributes, papers=tuple(kept), scores=tuple(order), retrieved=len(papers)
    )


def search(lab: Lab, step: str, query: str, limit: int) -> tuple[Paper, ...]:
    """What the library has for a query; a search is a step and never made twice."""

    def find() -> Found:
        return Found(query=query, papers=lab.library.search(query, limit))

    return lab.desk.step(step, Found, find).papers


def _rank(
    lab: Lab, start: int, attributes: Attributes, papers: tuple[Paper, ...]
) -> list[PaperScore]:
    """One score a paper of the batch; a paper that the model left out gets the lowest."""
    variables = {"topic": lab.topic, "task": lab.task, "attributes": attributes, "papers": papers}
    ranking = lab.opinion(lab.desk, f"reading-rank-{start}", "think/rank", Ranking, **variables)
    given = {score.paper: score for score in (ranking.scores if ranking else ())}
    unscored = "the model gave this paper no score"
    return [
        given.get(paper.id, PaperScore(paper=paper.id, score=1, reason=unscored))
        for paper in papers
    ]
