"""Which single changes to try next, from what earlier rounds showed: search without understanding."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

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
        return [
            lesson for slug in self._slugs_from(mutation.slug) for lesson in self._by_slug[slug]
        ]

    @cached_property
    def _by_slug(self) -> dict[str, list[Lesson]]:
        found: dict[str, list[Lesson]] = {}
        for lesson in self.lessons:
            found.setdefault(lesson.idea.slug, []).append(lesson)
        return found

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self._by_slug)

    def _slugs_from(self, mutation: str) -> list[str]:
        """Those that `is_from` takes: they lie side by side in the order of slugs."""
        first, last = (bisect_left(self._sorted, mutation + end) for end in ("-", "-\x7f"))
        same = [mutation] if mutation in self._by_slug else []
        return [*same, *self._sorted[first:last]]

    @cached_property
    def worked(self) -> set[str]:
        """The slugs of what improved, and further than the improved idea that it started from."""
        good = [each for each in self.lessons if each.verdict.outcome is Outcome.improved]
        return {lesson.idea.slug for lesson in good if self._gain(lesson) > 0}

    def _gain(self, lesson: Lesson) -> float:
        if lesson.verdict.over_parent is not None:
            return lesson.verdict.over_parent
        before = [
            each.verdict.effect or 0.0 for each in self._by_slug.get(lesson.idea.parent or "", ())
        ]
        return (lesson.verdict.effect or 0.0) - max(before, default=0.0)

    @cached_property
    def subjects(self) -> set[str]:
        """What the changes that worked were about."""
        return {_subject(slug) for slug in self.worked}

    def parents(self, sources: Sources) -> list[str]:
        """The ideas to start from, in the order given."""
        return [slug for slug in sources if slug in self.worked]

    def allows(self, mutation: Mutation, parent: str | None) -> bool:
        """Not tried from here before, and without a bad outcome from anywhere. What improved in an earlier
        run and has no code here may be tried again: it was not confirmed, or on other ground."""
        return all(
            lesson.idea.slug in self.worked
            and (lesson.idea.parent != parent or lesson.commit is None)
            for lesson in self.of(mutation)
        )

    def bonus(self, mutation: Mutation, parent: str | None) -> int:
        """What extends or combines changes that worked comes before anything untried."""
        extends = parent is not None and _subject(parent) == mutation.subject
        combines = bool(self.of(mutation))
        return 3 * (extends or combines) + (mutation.subject in self.subjects)


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
