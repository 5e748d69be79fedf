"""Ideas, from the task, its code, the papers and the lessons of earlier rounds."""

from itertools import zip_longest

from autoresearch.briefing import brief
from autoresearch.codemap import view
from autoresearch.config import CODE_SHOWN
from autoresearch.harness import Lab
from autoresearch.records import Idea, Ideas, Lesson, Outcome, Paper
from autoresearch.shortening import cut
from autoresearch.store import Desk

LESSONS_SHOWN = 60  # of which two thirds at most improved
LESSONS_ROOM = 60_000  # characters for all of them: some 15,000 to 20,000 tokens
RESULT = 400  # characters of an idea's summary, and of what came out
OPINION = 1_200  # characters of one opinion on it
PARENTS = 5  # improved ideas whose code is shown
PAPERS_SHOWN = 15


def think_up(
    lab: Lab, desk: Desk, papers: tuple[Paper, ...], memory: tuple[Lesson, ...]
) -> tuple[Idea, ...]:
    """What the model proposes for this round, with unique slugs and only parents that exist."""
    parents = [lesson for lesson in improved(memory) if lesson.commit][:PARENTS]
    editable = lab.task.editable
    sources = {"baseline": lab.workspace.sources(lab.floor.commit, editable)}
    sources |= {p.idea.slug: lab.workspace.sources(str(p.commit), editable) for p in parents}
    shown, rest = _in_view(lab, sources)
    answer = lab.ask(
        desk,
        "think",
        "think/ideas",
        Ideas,
        topic=lab.topic,
        task=lab.task,
        setting=brief(lab),
        sources=sources,
        shown=shown,
        map=rest,
        papers=papers[:PAPERS_SHOWN],
        lessons=worth_telling(memory),
        tried=memory,
        count=lab.settings.ideas,
        rounds_left=lab.settings.rounds - int(desk.name.removeprefix("round-")) - 1,
    )
    known = {paper.id for paper in papers}
    taken = {"baseline"} | {lesson.idea.slug for lesson in memory}
    slugs = {parent.idea.slug for parent in parents}
    return tuple(_settle(idea, slugs, known, taken) for idea in answer.ideas)


def _in_view(lab: Lab, sources: dict[str, dict[str, str]]) -> tuple[dict[str, dict[str, str]], str]:
    """What of each code is shown, and a map of the rest: of a parent, what differs from the baseline."""
    bound, baseline = lab.settings.code_shown or CODE_SHOWN, sources["baseline"]
    seen = view(baseline, bound, f"{lab.topic} {lab.task.goal}", lab.task.command)
    shown = {"baseline": seen.files}
    for slug, code in sources.items():
        if slug != "baseline":
            new = {path: text for path, text in code.items() if baseline.get(path) != text}
            shown[slug] = view(new, bound // 2, slug, lab.task.command).files
    return shown, seen.map


def improved(memory: tuple[Lesson, ...]) -> list[Lesson]:
    """The lessons of ideas that improved, the largest effect first."""
    good = [lesson for lesson in memory if lesson.verdict.outcome is Outcome.improved]
    return sorted(good, key=lambda lesson: -(lesson.verdict.effect or 0.0))


def worth_telling(memory: tuple[Lesson, ...]) -> tuple[Lesson, ...]:
    """The lessons that a prompt should hold: the largest gains first, then the latest others.

    At most LESSONS_SHOWN, in LESSONS_ROOM characters. What the room is too small for goes without its
    analysis and review, or is left out: the smallest gains and the oldest others first.
    """
    improvements = improved(memory)
    others = [lesson for lesson in memory if lesson.verdict.outcome is not Outcome.improved]
    good = improvements[: max(LESSONS_SHOWN * 2 // 3, LESSONS_SHOWN - len(others))]
    latest = others[max(0, len(others) - (LESSONS_SHOWN - len(good))) :]
    in_turns = zip_longest(good, reversed(latest))
    chosen = [_bounded(lesson) for turn in in_turns for lesson in turn if lesson is not None]
    told: dict[str, Lesson] = {}
    room = LESSONS_ROOM
    for version in (*map(_without_opinions, chosen), *chosen):  # first of all what came out
        before = told.get(version.name)
        more = _size(version) - (_size(before) if before else 0)
        if more <= room:
            told[version.name] = version
            room -= more
    return tuple(told[lesson.name] for lesson in (*good, *latest) if lesson.name in told)


def _without_opinions(lesson: Lesson) -> Lesson:
    return lesson.model_copy(update={"analysis": None, "review": None})


def _bounded(lesson: Lesson) -> Lesson:
    """With each part of what a prompt shows cut to its room."""
    idea, verdict, analysis, review = lesson.idea, lesson.verdict, lesson.analysis, lesson.review
    update: dict[str, object] = {
        "idea": idea.model_copy(update={"summary": cut(idea.summary, RESULT)}),
        "verdict": verdict.model_copy(update={"reason": cut(verdict.reason, RESULT)}),
    }
    if analysis:
        shorter = {
            "explanation": cut(analysis.explanation, OPINION),
            "advice": cut(analysis.advice, OPINION),
        }
        update["analysis"] = analysis.model_copy(update=shorter)
    if review:
        asked = tuple(cut(each, OPINION) for each in review.requested_experiments)
        update["review"] = review.model_copy(update={"requested_experiments": asked})
    return lesson.model_copy(update=update)


def _size(lesson: Lesson) -> int:
    """The characters that a prompt shows of it, with what stands around them."""
    analysis, review = lesson.analysis, lesson.review
    texts = [lesson.idea.slug, lesson.idea.parent or "", lesson.idea.summary, lesson.verdict.reason]
    texts += [lesson.idea.slug, analysis.explanation, analysis.advice] if analysis else []
    texts += review.requested_experiments[:2] if review else ()
    return sum(map(len, texts)) + 350


def _settle(idea: Idea, parents: set[str], known: set[str], taken: set[str]) -> Idea:
    """The idea with a slug of its own, citing only papers it was shown, from a parent that exists."""
    slug, number = idea.slug, 2
    while slug in taken:
        slug, number = f"{idea.slug[:56].rstrip('-')}-{number}", number + 1
    taken.add(slug)
    parent = idea.parent if idea.parent in parents else None
    cites = tuple(cite for cite in idea.cites if cite in known)
    return idea.model_copy(update={"slug": slug, "parent": parent, "cites": cites})
