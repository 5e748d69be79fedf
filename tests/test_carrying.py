"""A run that starts from what earlier runs learnt: what it takes over, what it builds on, what it counts."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from autoresearch.assembly import open_lab, start
from autoresearch.carried import carried_in
from autoresearch.cassette import read_cassette, write_cassette
from autoresearch.config import Carry, ModelSettings, PaperSettings, SandboxSettings, Settings
from autoresearch.errors import BadInput, RecordError
from autoresearch.journal import Recorded
from autoresearch.levels import level_of
from autoresearch.llm import Answer, Request
from autoresearch.loop import research
from autoresearch.offline import Offline
from autoresearch.prompts import Prompts
from autoresearch.records import (
    Agenda,
    Analysis,
    Claims,
    Idea,
    Ideas,
    Lesson,
    Opening,
    Outcome,
    Trial,
)
from autoresearch.report import rows_of
from autoresearch.store import Run, list_runs, read
from autoresearch.think.ideas import LESSONS_ROOM, worth_telling
from tests.examples import FLOOR, IDEA, LESSON, variables_of
from tests.falsify import lines

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Thought:
    """An idea that the model has: what it says, and one edit of the code that it starts from."""

    slug: str
    says: str
    old: str
    new: str
    parent: str | None = None

    def idea(self) -> Idea:
        return Idea(
            slug=self.slug, title=self.says, hypothesis="It helps.", plan=self.says, summary=self.says,
            parent=self.parent,
        )  # fmt: skip


STEPS = Thought("more-steps", "More gradient descent.", "STEPS = 40\n", "STEPS = 50\n")
TRUTH = Thought("the-true-line", "Use a strong prior.", lines.LAST, lines.LAST + 'predictions = [3 * x + 1 for x in data["pool"]]\n')  # fmt: skip
START = Thought("another-start", "Draw other random numbers.", "random.Random(seed)", "random.Random(seed + 9)")  # fmt: skip
AGAIN = replace(TRUTH, slug="a-fixed-line")
CHILD = Thought("a-larger-step", "Raise the learning rate.", "LEARNING_RATE = 0.05\n", "LEARNING_RATE = 0.06\n", "more-steps")  # fmt: skip
FASTER = Thought("a-faster-slope", "Move only the slope quicker.", "            LEARNING_RATE\n", "            1.2 * LEARNING_RATE\n")  # fmt: skip


class Thinker:
    """A model that has these ideas, and no other ones; the offline model for all else."""

    def __init__(self, thoughts: Sequence[Thought]) -> None:
        self.thoughts, self.offline, self.asked = (
            {each.slug: each for each in thoughts},
            Offline(0),
            "",
        )

    def answer(self, request: Request) -> Answer:
        if request.prompt == "think/ideas":
            self.asked = request.text
            text = Ideas(
                ideas=tuple(each.idea() for each in self.thoughts.values())
            ).model_dump_json()
        elif request.prompt == "practice/code":
            thought = self.thoughts[request.variables["idea"].slug]
            edit = f"<<<<<<< SEARCH\n{_line(request, thought.old)}=======\n"
            text = f"{thought.says}\n\n### file: train.py\n{edit}{_line(request, thought.old).replace(thought.old, thought.new)}>>>>>>> REPLACE\n"
        else:
            return self.offline.answer(request)
        return Answer(
            text=text, model="thinker", tokens_in=0, tokens_out=0, dollars=0.0, seconds=0.0
        )


def _line(request: Request, old: str) -> str:
    """The whole lines that `old` stands in."""
    code = request.variables["whole"]["train.py"]
    at = code.index(old)
    return code[code.rfind("\n", 0, at) + 1 : code.index("\n", at + len(old.rstrip("\n"))) + 1]


def settings(task: Path, runs: Path, ideas: int, **changes: Any) -> Settings:
    given = Settings(
        task=str(task), rounds=1, ideas=ideas, attempts=1, runs=runs, alpha=min(0.99, 0.01 * ideas),
        early_stop=False, papers=PaperSettings(arxiv=False), sandbox=SandboxSettings(kind="local"),
    )  # fmt: skip
    return given.model_copy(update=changes)


def work(run: Run, thoughts: Sequence[Thought] = ()) -> str:
    """Run it to its end, with the thinker where there are thoughts; what it was asked for ideas."""
    lab, thinker = open_lab(run), Thinker(thoughts)
    try:
        model = Recorded(thinker, run.folder / "calls.jsonl") if thoughts else lab.model
        research(replace(lab, model=model))
    finally:
        lab.close()
    return thinker.asked


def lesson_of(run: Run, slug: str) -> Lesson:
    carried = carried_in(run.folder)
    assert carried is not None
    return next(each.lesson for each in carried.lessons if each.lesson.idea.slug == slug)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("first")
    thoughts = (STEPS, TRUTH, START)
    run = start(settings(lines.task(folder), folder / "runs", len(thoughts)))
    work(run, thoughts)
    return run


@pytest.fixture(scope="module")
def second(first: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str]:
    """A run from a copy of the first one, which is gone before the second one works."""
    folder = tmp_path_factory.mktemp("second")
    copy = folder / "runs" / first.folder.name
    shutil.copytree(first.folder, copy)
    thoughts = (AGAIN, CHILD, FASTER)
    run = start(settings(lines.task(folder), folder / "runs", len(thoughts)), earlier=[Run(copy)])
    shutil.rmtree(copy)
    return run, work(run, thoughts)


def test_what_was_refuted_is_carried_as_declined_with_by_what(
    first: Run, second: tuple[Run, str]
) -> None:
    lesson = lesson_of(second[0], "the-true-line")
    assert lesson.verdict.outcome is Outcome.declined and lesson.commit is None
    assert "and was refuted: label permutation: taught permuted labels" in lesson.verdict.reason
    assert lesson.verdict.reason in second[1]
    assert "- the-true-line (from an earlier run): Use a strong prior." in second[1]


def test_what_was_refuted_is_not_tried_again(second: tuple[Run, str]) -> None:
    agenda = read(second[0].folder / "round-00" / "think.json", Agenda)
    dropped = next(each for each in agenda.candidates if each.idea.slug == "a-fixed-line")
    assert not dropped.kept and "too close" in dropped.reason and "the-true-line" in dropped.reason
    assert [idea.slug for idea in agenda.ideas] == ["a-larger-step", "a-faster-slope"]


def test_a_claim_that_stands_is_a_parent_and_the_child_is_compared_with_it(
    first: Run, second: tuple[Run, str]
) -> None:
    run = second[0]
    trial = read(run.folder / "round-00" / "0-a-larger-step" / "practice.json", Trial)
    assert trial.parent == "carried/000-more-steps"
    assert "+STEPS = 50" in trial.diff and "+LEARNING_RATE = 0.06" in trial.diff
    before = read(first.folder / "round-00" / "0-more-steps" / "practice.json", Trial)
    gains = [
        float(mine.value or 0.0) - float(theirs.value or 0.0)
        for mine, theirs in zip(trial.measurements, before.measurements, strict=True)
    ]
    verdict = read(run.folder / "round-00" / "0-a-larger-step" / "feedback.json", Lesson).verdict
    assert verdict.over_parent == pytest.approx(sum(gains) / len(gains)) and verdict.over_parent > 0
    assert "## parent more-steps" in second[1] and "STEPS = 50" in second[1]


def test_commits_keep_their_hashes_and_the_earlier_repository_is_left_alone(
    first: Run, second: tuple[Run, str]
) -> None:
    def refs(run: Run) -> str:
        return subprocess.run(
            ["git", "-C", str(run.folder / "code.git"), "for-each-ref", "--format=%(refname) %(objectname)"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    commit = read(first.folder / "round-00" / "0-more-steps" / "practice.json", Trial).commit
    assert f"refs/carried/000-more-steps {commit}\n" in refs(second[0])
    assert lesson_of(second[0], "more-steps").commit == commit
    assert "carried" not in refs(first)


def test_claims_on_and_beside_what_was_carried_over_are_combined(second: tuple[Run, str]) -> None:
    claims = read(second[0].folder / "claims.json", Claims).claims
    assert [claim.slug for claim in claims] == ["a-larger-step", "a-faster-slope", "combined"]
    combined = read(second[0].folder / "round-01" / "0-combined" / "practice.json", Trial)
    for changed in ("+STEPS = 50", "+LEARNING_RATE = 0.06", "+            1.2 * LEARNING_RATE"):
        assert changed in combined.diff


def test_the_seal_names_nothing_of_earlier_runs_and_a_child_says_that_the_split_was_used(
    second: tuple[Run, str],
) -> None:
    opening = read(second[0].folder / "seal.json", Opening)
    assert all(name.startswith("round-") for name, _ in opening.ideas) and opening.ideas
    claims = {claim.slug: claim for claim in read(second[0].folder / "claims.json", Claims).claims}
    assert any("chose nothing" in each for each in claims["a-larger-step"].untested)
    assert not any("chose nothing" in each for each in claims["a-faster-slope"].untested)
    assert not list((second[0].folder / "carried").rglob("*-test.json"))


def test_the_level_is_that_of_a_fresh_run(first: Run, second: tuple[Run, str]) -> None:
    trial = read(second[0].folder / "round-00" / "0-a-larger-step" / "practice.json", Trial)
    fresh = read(first.folder / "round-00" / "0-more-steps" / "practice.json", Trial)
    assert lesson_of(second[0], "more-steps").verdict.outcome is Outcome.improved
    assert trial.level == fresh.level


def test_nothing_that_was_carried_over_counts_as_tried(second: tuple[Run, str]) -> None:
    assert [row.idea.slug for row in rows_of(second[0])] == [
        "a-larger-step",
        "a-faster-slope",
        "combined",
    ]


# --- what may be carried, and what may not ---


def begin(folder: Path, *earlier: Run, task: Path | None = None, carry: Carry | None = None) -> Run:
    """A new run from earlier ones, which does not work yet."""
    given = settings(task or lines.task(folder), folder / "runs", 2)
    return start(given, earlier=earlier, carry=carry or Carry())


def test_a_run_without_earlier_ones_is_as_ever(first: Run) -> None:
    assert not (first.folder / "carried.json").exists() and "carried" not in first.manifest


def test_an_improved_idea_of_an_unfinished_run_is_not_confirmed_and_no_parent(
    first: Run, tmp_path: Path
) -> None:
    copy = tmp_path / "runs" / first.folder.name
    shutil.copytree(first.folder, copy)
    (copy / "claims.json").unlink()
    shutil.rmtree(copy / "round-00" / "2-another-start")  # it was being worked on
    run = begin(tmp_path, Run(copy))
    lesson = lesson_of(run, "more-steps")
    assert lesson.verdict.outcome is Outcome.improved and lesson.commit is None
    assert lesson.verdict.reason.startswith("not yet confirmed")
    carried = carried_in(run.folder)
    assert carried and [each.lesson.idea.slug for each in carried.lessons] == [
        "more-steps",
        "the-true-line",
    ]
    assert not (run.folder / "carried").exists()


@pytest.mark.parametrize("name", ["data.py", "score.py", "baseline/train.py"])
def test_claims_of_a_changed_task_are_told_but_are_no_parents(
    first: Run, tmp_path: Path, name: str
) -> None:
    task = lines.task(tmp_path)
    (task / name).write_text((task / name).read_text() + "\n# changed\n")
    run = begin(tmp_path, first, task=task)
    lesson = lesson_of(run, "more-steps")
    assert lesson.commit is None and lesson.verdict.outcome is Outcome.improved
    assert "not comparable with this run, the task's files differ" in lesson.verdict.reason
    assert "not comparable" in lesson_of(run, "another-start").verdict.reason
    assert any("no claim of" in note for note in run.notes())


def test_the_same_task_elsewhere_is_the_same_task(first: Run, tmp_path: Path) -> None:
    task = lines.task(tmp_path)
    (task / "__pycache__").mkdir()
    (task / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert lesson_of(begin(tmp_path, first, task=task), "more-steps").commit


def test_only_what_is_asked_for_is_carried(first: Run, tmp_path: Path) -> None:
    def slugs(name: str, carry: Carry) -> list[tuple[str, bool]]:
        carried = carried_in(begin(tmp_path / name, first, carry=carry).folder)
        assert carried is not None
        return [(each.lesson.idea.slug, each.lesson.commit is not None) for each in carried.lessons]

    others = [("the-true-line", False), ("another-start", False)]
    assert slugs("a", Carry(claims=0)) == [("more-steps", False), *others]
    assert slugs("b", Carry(lessons=False)) == [("more-steps", True), *others]
    assert slugs("c", Carry(ideas=False)) == [("more-steps", True)]
    assert slugs("d", Carry(lessons=False, ideas=False, claims=0)) == []


def test_lessons_that_are_not_wanted_are_carried_without_opinions(
    first: Run, tmp_path: Path
) -> None:
    with_them = lesson_of(begin(tmp_path / "a", first), "another-start")
    without = lesson_of(begin(tmp_path / "b", first, carry=Carry(lessons=False)), "another-start")
    assert with_them.analysis and with_them.review
    assert without.analysis is None and without.review is None


def test_what_was_carried_before_is_carried_on_and_nothing_twice(
    first: Run, second: tuple[Run, str], tmp_path: Path
) -> None:
    for name, earlier in (("both", (second[0], first)), ("last", (second[0],))):
        run = begin(tmp_path / name, *earlier)
        carried = carried_in(run.folder)
        assert carried is not None
        assert [each.lesson.idea.slug for each in carried.lessons] == [
            "more-steps", "the-true-line", "another-start", "a-larger-step", "a-faster-slope", "combined-2",
        ]  # fmt: skip
        assert carried.lessons[0].source == f"{first.folder.name}/round-00/0-more-steps"
        child = read(run.folder / "carried" / "003-a-larger-step" / "practice.json", Trial)
        assert (child.parent, child.idea.parent) == ("carried/000-more-steps", "more-steps")
        combined = read(run.folder / "carried" / "005-combined-2" / "practice.json", Trial)
        assert combined.parent in ("carried/003-a-larger-step", "carried/004-a-faster-slope")
    best = carried_in(begin(tmp_path / "best", first, second[0], carry=Carry(claims=1)).folder)
    assert best is not None
    assert [x.lesson.idea.slug for x in best.lessons if x.lesson.commit] == ["combined-2"]


def test_different_ideas_of_one_slug_get_slugs_of_their_own(first: Run, tmp_path: Path) -> None:
    copy = tmp_path / "runs" / "another"
    shutil.copytree(first.folder, copy)
    for path in [copy / "round-00" / "think.json", *copy.glob("round-00/*/*.json")]:
        path.write_text(path.read_text().replace(STEPS.says, "Descend for longer."))
    carried = carried_in(begin(tmp_path, first, Run(copy)).folder)
    assert carried is not None
    found = [(each.lesson.idea.slug, each.lesson.idea.summary) for each in carried.lessons]
    assert found == [
        ("more-steps", STEPS.says), ("more-steps-2", "Descend for longer."),
        ("the-true-line", TRUTH.says), ("another-start", START.says),
    ]  # fmt: skip


def test_what_fresh_seeds_and_the_sealed_split_showed_is_not_told(
    first: Run, tmp_path: Path
) -> None:
    copy = tmp_path / "runs" / first.folder.name
    shutil.copytree(first.folder, copy)
    claims = read(copy / "claims.json", Claims)
    on_seeds = {
        "falsifier": "fresh seeds",
        "outcome": "refuted",
        "reason": "-0.1 with the fresh seed 4711",
    }
    lost = (
        claims.claims[0].model_copy(update={"refuted": ("a gain on the sealed test split",)}),
        claims.claims[1].model_copy(update={"evidence": (claims.claims[1].evidence[0].model_copy(update=on_seeds),)}),
    )  # fmt: skip
    (copy / "claims.json").write_text(Claims(claims=lost).model_dump_json())
    run = begin(tmp_path, Run(copy))
    said = lesson_of(run, "more-steps").verdict.reason
    assert said.endswith("and was refuted: not a gain on the sealed test split")
    assert "4711" not in (run.folder / "carried.json").read_text()


def test_a_commit_that_is_lost_is_an_error_before_anything_is_made(
    first: Run, tmp_path: Path
) -> None:
    copy = tmp_path / "earlier" / first.folder.name
    shutil.copytree(first.folder, copy)
    shutil.rmtree(copy / "code.git")
    with pytest.raises(BadInput, match="cannot be taken over"):
        begin(tmp_path, Run(copy))
    assert list((tmp_path / "runs").iterdir()) == []
    begin(tmp_path / "without", Run(copy), carry=Carry(claims=0))


KILLED = """
import os, signal, sys
from pathlib import Path
from autoresearch.assembly import start
from autoresearch.store import Run
from tests.test_carrying import settings

def kill(event, arguments):
    if event == sys.argv[1] and sys.argv[2] in str(arguments):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill)
start(settings(Path(sys.argv[3]), Path(sys.argv[4]), 2), earlier=[Run(Path(sys.argv[5]))])
"""


@pytest.mark.parametrize(
    ("event", "where"),
    [("subprocess.Popen", "fetch"), ("open", ".carried.json."), ("open", ".practice.json."), ("os.rename", "run.toml"), ("os.rename", "-slope-")],
)  # fmt: skip
def test_a_start_that_is_killed_leaves_no_run(
    first: Run, tmp_path: Path, event: str, where: str
) -> None:
    task, runs = lines.task(tmp_path), tmp_path / "runs"
    command = [sys.executable, "-c", KILLED, event, where, str(task), str(runs), str(first.folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)  # fmt: skip
    assert done.returncode == -9, done.stderr
    assert list_runs(runs) == []


# --- replays and what is shown ---


def autoresearch(*arguments: str) -> str:
    command = [sys.executable, "-m", "autoresearch", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"COLUMNS": "200"},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def results(run: Run) -> list[Any]:
    found = [read(path, Lesson) for path in sorted(run.folder.glob("round-*/*/feedback.json"))]
    return [lesson.model_dump(exclude={"commit"}) for lesson in found]


@pytest.mark.parametrize("kind", ["cassette", "run"])
def test_a_replay_carries_over_what_the_recorded_run_did(
    second: tuple[Run, str], tmp_path: Path, kind: str
) -> None:
    recorded = second[0].folder
    if kind == "cassette":
        recorded = tmp_path / "second.json.gz"
        write_cassette(second[0], recorded)
        assert read_cassette(recorded).carried
    runs = tmp_path / "replays"
    beside = os.path.relpath(runs, ROOT)  # as `runs`, the default, is
    autoresearch("run", "--model", f"replay:{recorded}", "--sandbox", "local", "--runs", beside)
    replayed = Run(list_runs(runs)[0])
    assert len(results(replayed)) == 3 and results(replayed) == results(second[0])
    assert replayed.manifest["carried"] == second[0].manifest["carried"]


def test_a_cassette_of_a_run_that_carried_nothing_does_not_speak_of_it(
    first: Run, tmp_path: Path
) -> None:
    write_cassette(first, tmp_path / "first.json.gz")
    document = json.loads(gzip.decompress((tmp_path / "first.json.gz").read_bytes()))
    assert set(document) == {"header", "task", "searches", "calls", "repairs"}


@pytest.mark.parametrize(
    "change", [("carried/000-more-steps", "carried/../../more-steps"), ("carried/000-more-steps", "round-00/0-more-steps")]
)  # fmt: skip
def test_a_cassette_whose_carried_files_lead_elsewhere_is_refused(
    second: tuple[Run, str], tmp_path: Path, change: tuple[str, str]
) -> None:
    out = tmp_path / "second.json.gz"
    write_cassette(second[0], out)
    text = gzip.decompress(out.read_bytes()).decode()
    assert change[0] in text
    out.write_bytes(gzip.compress(text.replace(*change).encode()))
    with pytest.raises(RecordError, match="does not belong together"):
        read_cassette(out)


def test_what_was_carried_over_is_shown(first: Run, second: tuple[Run, str]) -> None:
    shown = autoresearch("show", str(second[0].folder))
    assert "3 lessons of 1 earlier run, 1 with code to build on" in shown
    page = " ".join(autoresearch("show", str(second[0].folder), "a-larger-step").split())
    assert (
        f"starts from more-steps (carried over: {first.folder.name}/round-00/0-more-steps)" in page
    )


# --- many, and without a language model ---


def test_blind_search_repeats_nothing_and_builds_on_what_stands(tmp_path: Path) -> None:
    offline, earlier, ideas = ModelSettings(name="offline"), [], []
    for _ in range(2):
        given = settings(lines.SLOPE, tmp_path / "runs", 3, model=offline, alpha=0.5)
        run = start(given, earlier=earlier)
        work(run)
        ideas.append([row.idea for row in rows_of(run) if row.idea.slug != "combined"])
        earlier.append(run)
    tried = [(idea.summary, idea.parent) for idea in (*ideas[0], *ideas[1])]
    carried = carried_in(earlier[1].folder)
    assert ideas[1] and len(set(tried)) == len(tried) and carried
    standing = {each.lesson.idea.slug for each in carried.lessons if each.lesson.commit}
    assert standing & {idea.parent for idea in ideas[1]}


WORDS = [
    "kernel",
    "dropout",
    "ridge",
    "spline",
    "boosting",
    "margin",
    "depth",
    "prior",
    "noise",
    "entropy",
    "batch",
    "warmup",
]


def many(count: int) -> tuple[Lesson, ...]:
    """Lessons of earlier runs, each tenth of which improved, with long texts."""

    def one(number: int) -> Lesson:
        said = " ".join(WORDS[(number // 12**place) % 12] for place in range(4))
        idea = IDEA.model_copy(
            update={"slug": f"idea-{number}", "summary": f"Try {said} at {number}. " + "why " * 200}
        )
        outcome = Outcome.improved if number % 10 == 0 else Outcome.declined
        verdict = LESSON.verdict.model_copy(update={"outcome": outcome, "effect": 0.001 * number})
        analysis = Analysis(explanation="because " * 900, advice="go on " * 500)
        changes = {
            "name": f"carried/{number:03}-idea-{number}",
            "idea": idea,
            "verdict": verdict,
            "analysis": analysis,
        }
        return LESSON.model_copy(update=changes)

    return tuple(map(one, range(count)))


def test_the_lessons_of_a_thousand_ideas_stay_within_their_room_in_a_prompt() -> None:
    told = worth_telling(many(1_000))
    variables = variables_of("think/ideas")
    without = len(Prompts().render("think/ideas", variables | {"lessons": ()}))
    shown = len(Prompts().render("think/ideas", variables | {"lessons": told})) - without
    assert LESSONS_ROOM / 2 < shown < LESSONS_ROOM + 1_000
    slugs = [lesson.idea.slug for lesson in told]
    assert slugs[:3] == ["idea-990", "idea-980", "idea-970"] and slugs[-1] == "idea-999"
    assert told[0].analysis is not None


def test_lessons_that_fit_are_told_as_they_are() -> None:
    few = tuple(LESSON.model_copy(update={"name": f"round-00/{n}-x"}) for n in range(60))
    assert worth_telling(few) == few


def test_carried_improvements_earn_no_level() -> None:
    own = LESSON.model_copy(update={"name": "round-00/0-x"})
    assert level_of(FLOOR, many(50)) == FLOOR.alpha
    assert level_of(FLOOR, (*many(50), own)) == 2 * FLOOR.alpha
