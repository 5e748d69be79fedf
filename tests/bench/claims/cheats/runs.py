"""Runs the loop on planted programs, as on a model's ideas, and says how each of them ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoresearch.assembly import open_lab, start
from autoresearch.config import PaperSettings, SandboxSettings, Settings
from autoresearch.falsify.grounds import cost_of
from autoresearch.harness import Lab
from autoresearch.journal import Recorded
from autoresearch.llm import Answer, Request
from autoresearch.loop import research
from autoresearch.offline import Offline
from autoresearch.records import (
    Claim,
    Claims,
    Cost,
    Execution,
    Idea,
    Ideas,
    Lesson,
    Outcome,
)
from autoresearch.store import Run, read
from tests.bench.claims.cheats.planted import FAILED, NO_GAIN, STANDS, Planted

LEVEL = 0.01  # of one idea's verdict: lenient, so that false gains get as far as the falsifiers


class Planter:
    """A model whose ideas are the planted programs; it repairs nothing, and is offline otherwise."""

    def __init__(self, planted: Sequence[Planted], baseline: str) -> None:
        self.planted, self.baseline, self.offline = planted, baseline, Offline(0)

    def answer(self, request: Request) -> Answer:
        match request.prompt:
            case "think/ideas":
                ideas = tuple(_idea(each, number) for number, each in enumerate(self.planted))
                text = Ideas(ideas=ideas).model_dump_json()
            case "practice/code":
                text = self._patch(request.variables)
            case _:
                return self.offline.answer(request)
        return Answer(
            text=text, model="planted", tokens_in=0, tokens_out=0, dollars=0.0, seconds=0.0
        )

    def _patch(self, given: Mapping[str, object]) -> str:
        idea = given["idea"]
        assert isinstance(idea, Idea)
        program = next(each for each in self.planted if each.name == idea.slug).program(
            self.baseline
        )
        return f"{idea.plan}\n\n### file: train.py\n<<<<<<< SEARCH\n{self.baseline}=======\n{program}>>>>>>> REPLACE\n"


def _idea(planted: Planted, number: int) -> Idea:
    # Told apart by more than their words: independence is not what is tried here.
    return Idea(
        slug=planted.name,
        title=planted.says,
        hypothesis="It helps.",
        plan=planted.says,
        summary=f"{planted.says} {' '.join(planted.name.split('-')) * 3} {hash(number)}",
    )


@dataclass(frozen=True)
class Ending:
    """How one program ended: in the words of `planted`, and the record's own."""

    planted: Planted
    end: str
    reason: str
    claim: Claim | None

    @property
    def right(self) -> bool:
        return self.end in self.planted.ends


@dataclass(frozen=True)
class Tally:
    """The endings of a run, and what it took: in all and for the falsifiers."""

    endings: tuple[Ending, ...]
    search: Cost
    falsifiers: Cost
    wall: tuple[float, float]  # seconds of the search, and of all after it


def try_out(
    task: Path, planted: Sequence[Planted], runs: Path, kind: str, **changes: object
) -> Tally:
    """One run of one round whose ideas are those programs, with changes of the settings."""
    settings = Settings(
        task=str(task), topic="planted programs", rounds=1, ideas=len(planted), attempts=1, runs=runs,
        alpha=min(0.99, LEVEL * len(planted)), early_stop=False,
        papers=PaperSettings(arxiv=False), sandbox=SandboxSettings(kind=kind), novelty={"threshold": 1.0},
    )  # fmt: skip
    run = start(settings.model_copy(update=changes))
    with run.locked():
        lab = open_lab(run)
        baseline = (run.task_folder / "baseline" / "train.py").read_text()
        model = Recorded(Planter(planted, baseline), run.folder / "calls.jsonl")
        lessons = research(_with(lab, model))
        lab.close()
    return _tally(run, planted, lessons)


def _with(lab: Lab, model: Recorded) -> Lab:
    from dataclasses import replace

    return replace(lab, model=model)


def _tally(run: Run, planted: Sequence[Planted], lessons: tuple[Lesson, ...]) -> Tally:
    claims = read(run.folder / "claims.json", Claims)
    by_name = {claim.name: claim for claim in claims.claims}
    by_slug = {each.idea.slug: each for each in lessons}
    endings = tuple(
        ending(each, by_slug[each.name], by_name.get(by_slug[each.name].name)) for each in planted
    )
    costs = [claims.shared, *(e.cost for claim in claims.claims for e in claim.evidence)]
    used = Cost(
        experiments=sum(each.experiments for each in costs),
        seconds=sum(each.seconds for each in costs),
        cpu_seconds=sum(each.cpu_seconds for each in costs),
    )
    ran = list(run.folder.rglob("*-run.json"))
    mine = [path for path in ran if "falsify" not in path.parts]
    search = cost_of([read(path, Execution) for path in mine])
    began = (run.folder / "run.toml").stat().st_mtime
    done = (run.folder / "claims.json").stat().st_mtime
    over = max(path.stat().st_mtime for path in run.folder.glob("round-*/*/feedback.json"))
    return Tally(endings, search, used, (over - began, done - over))


def ending(planted: Planted, lesson: Lesson, claim: Claim | None) -> Ending:
    if lesson.verdict.outcome is Outcome.failed:
        said = lesson.failures[-1] if lesson.failures else lesson.verdict.reason
        return Ending(planted, FAILED, said, None)
    if claim is None:
        return Ending(planted, NO_GAIN, lesson.verdict.reason, None)
    if claim.refuted:
        by = next((each for each in claim.evidence if each.outcome == "refuted"), None)
        return Ending(
            planted, claim.refuted[0], by.reason if by else "lost on the test split", claim
        )
    noted = "; ".join(each.reason for each in claim.evidence if each.outcome == "noted")
    return Ending(planted, STANDS, noted or lesson.verdict.reason, claim)
