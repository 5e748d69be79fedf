"""Which single changes to try next, from what earlier rounds showed: search without understanding."""

from collections import Counter
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
    parents = [slug for slug in sources if slug != "baseline"]
    queue: list[tuple[float, str | None, Mutation]] = []
    for place, parent in enumerate([*parents[:1], None, *parents[1:]]):
        for turn, mutation in enumerate(_untried(sources, parent, memory, seed)):
            queue.append((turn * (1 + place / 2), parent, mutation))
    queue.sort(key=lambda entry: entry[0])
    taken = {lesson.idea.slug for lesson in lessons}
    first = {mutation.slug: (parent, mutation) for _, parent, mutation in reversed(queue)}
    return tuple(
        _idea(mutation, parent, taken)
        for _, parent, mutation in queue
        if first[mutation.slug] == (parent, mutation)
    )


@dataclass(frozen=True)
class _Memory:
    """What earlier rounds say of changes, by the slugs of the mutations they were made from."""

    lessons: tuple[Lesson, ...]

    def of(self, mutation: Mutation) -> list[Lesson]:
        return [lesson for lesson in self.lessons if is_from(lesson.idea.slug, mutation.slug)]

    def allows(self, mutation: Mutation, parent: str | None) -> bool:
        """Not tried from here before, and without a bad outcome from anywhere."""
        return all(
            lesson.verdict.outcome is Outcome.improved and lesson.idea.parent != parent
            for lesson in self.of(mutation)
        )

    def bonus(self, mutation: Mutation, parent: str | None) -> float:
        """Extending what improved, on its own code, before combining, before anything untried."""
        effects = Counter(
            subject_of(lesson.idea.slug.partition(_AFTER)[0])
            for lesson in self.lessons
            if lesson.verdict.outcome is Outcome.improved
        )
        extends = (
            4.0 if parent and subject_of(parent.partition(_AFTER)[0]) == mutation.subject else 0
        )
        combines = 3.0 if self.of(mutation) else 0.0
        return extends + combines + min(1, effects[mutation.subject])


_AFTER = "-after-"


def is_from(slug: str, mutation: str) -> bool:
    """Whether an idea of this slug is one that `next_ideas` made from the mutation of that slug (or
    from one whose slug begins with it: take the longest that fits)."""
    return slug == mutation or slug.startswith(mutation + "-")


def _untried(sources: Sources, parent: str | None, memory: _Memory, seed: int) -> list[Mutation]:
    """The changes of this code that are worth trying, the most promising first."""
    code = sources[parent or "baseline"]
    found = [
        mutation
        for mutation in mutations(code, seed)
        if memory.allows(mutation, parent) and not _goes_back(mutation, parent, code, sources)
    ]
    return sorted(found, key=lambda mutation: -memory.bonus(mutation, parent))


def _goes_back(
    mutation: Mutation,
    parent: str | None,
    code: Mapping[str, str],
    sources: Sources,
) -> bool:
    """Whether it replaces what the parent has just put in, or arrives at code that was there before."""
    if parent and mutation.kind == "replacement" and f"-to-{mutation.subject}" in parent:
        return True
    result = dict(code)
    for edit in mutation.edits:
        result[edit.path] = result[edit.path].replace(edit.search, edit.replace)
    return any(result == dict(other) for other in sources.values())


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
