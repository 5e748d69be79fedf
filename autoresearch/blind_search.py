"""Which single changes to try next, from what earlier rounds showed: search without understanding."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autoresearch.mutations import Mutation, mutations, subject_of
from autoresearch.records import Idea, Lesson, Outcome

Sources = Mapping[str, Mapping[str, str]]  # "baseline" or an improved idea's slug -> path -> text


def next_ideas(sources: Sources, lessons: tuple[Lesson, ...], seed: int) -> tuple[Idea, ...]:
    """Every untried change, the most promising first, with slugs not used in the lessons.

    The most improved code and the baseline are searched before other improved ones.
    """
    memory = _Memory(lessons)
    parents = memory.parents(sources)
    queue = [
        (turn * (1 + place / 2), parent, mutation, code)
        for place, parent in enumerate([*parents[:1], None, *parents[1:]])
        for turn, (mutation, code) in enumerate(_untried(sources, parent, memory, seed))
    ]
    taken = {lesson.idea.slug for lesson in lessons}
    ideas: list[Idea] = []
    chosen: set[str] = set()
    codes = [dict(code) for code in sources.values()]
    for _, parent, mutation, code in sorted(queue, key=lambda entry: entry[0]):
        if mutation.slug not in chosen and code not in codes:
            chosen.add(mutation.slug)
            codes.append(code)
            ideas.append(_idea(mutation, parent, taken))
    return tuple(ideas)


@dataclass(frozen=True)
class _Memory:
    """What earlier rounds say of changes, by the slugs of the mutations they were made from."""

    lessons: tuple[Lesson, ...]

    def of(self, mutation: Mutation) -> list[Lesson]:
        return [lesson for lesson in self.lessons if is_from(lesson.idea.slug, mutation.slug)]

    def worked(self, lesson: Lesson) -> bool:
        """Improved, and further than the improved idea that it started from."""
        verdict, gain = lesson.verdict, lesson.verdict.over_parent
        if gain is None:
            before = [x.verdict.effect for x in self.lessons if x.idea.slug == lesson.idea.parent]
            gain = (verdict.effect or 0.0) - max((effect or 0.0 for effect in before), default=0.0)
        return verdict.outcome is Outcome.improved and gain > 0

    def parents(self, sources: Sources) -> list[str]:
        """The ideas to start from, in the order given."""
        worked = {lesson.idea.slug for lesson in self.lessons if self.worked(lesson)}
        return [slug for slug in sources if slug in worked]

    def allows(self, mutation: Mutation, parent: str | None) -> bool:
        """Not tried from here before, and without a bad outcome from anywhere."""
        return all(
            self.worked(lesson) and lesson.idea.parent != parent for lesson in self.of(mutation)
        )

    def bonus(self, mutation: Mutation, parent: str | None) -> int:
        """What extends or combines changes that worked comes before anything untried."""
        subjects = {_subject(lesson.idea.slug) for lesson in self.lessons if self.worked(lesson)}
        extends = parent is not None and _subject(parent) == mutation.subject
        combines = bool(self.of(mutation))
        return 3 * (extends or combines) + (mutation.subject in subjects)


_AFTER = "-after-"


def is_from(slug: str, mutation: str) -> bool:
    """Whether an idea of this slug is one that `next_ideas` made from the mutation of that slug (or
    from one whose slug begins with it: take the longest that fits)."""
    return slug == mutation or slug.startswith(mutation + "-")


def _subject(slug: str) -> str:
    return subject_of(slug.partition(_AFTER)[0])


def _untried(
    sources: Sources, parent: str | None, memory: _Memory, seed: int
) -> list[tuple[Mutation, dict[str, str]]]:
    """The changes of this code that are worth trying, the most promising first, and their results."""
    code = sources[parent or "baseline"]
    found = [
        mutation
        for mutation in mutations(code, seed)
        if memory.allows(mutation, parent) and not _replaces_news(mutation, parent)
    ]
    found.sort(key=lambda mutation: -memory.bonus(mutation, parent))
    return [(mutation, mutation.applied(code)) for mutation in found]


def _replaces_news(mutation: Mutation, parent: str | None) -> bool:
    """Whether it replaces what the parent has only just put in: that is a change of the baseline."""
    return mutation.kind == "replacement" and f"-to-{mutation.subject}" in (parent or "")


def _idea(mutation: Mutation, parent: str | None, taken: set[str]) -> Idea:
    slug = f"{mutation.slug}{_AFTER}{parent}"[:56].strip("-") if parent else mutation.slug
    free = next(s for s in _numbered(slug) if s not in taken)
    taken.add(free)
    on_top = f", on top of {parent}" if parent else ""
    return Idea(
        slug=free,
        title=f"{mutation.title}{on_top}"[:400],
        hypothesis=f"Blind search without a language model. The usual reason for it: {mutation.reason}.",
        plan=mutation.plan,
        summary=f"{mutation.title}{on_top}: {mutation.reason}.",
        parent=parent,
    )


def _numbered(slug: str) -> Iterator[str]:
    yield slug
    for number in range(2, 1000):
        yield f"{slug}-{number}"
