"""The model without a language model: its changes, its repairs and its answers, on code that runs."""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from autoresearch.blind_search import next_ideas
from autoresearch.config import load_task
from autoresearch.errors import ModelError
from autoresearch.llm import Request
from autoresearch.mutations import Mutation, mutations, subject_of
from autoresearch.offline import Offline
from autoresearch.practice.edits import apply
from autoresearch.records import (
    Analysis,
    Attempt,
    Attributes,
    Execution,
    Failure,
    Floor,
    Idea,
    Ideas,
    Lesson,
    Measurement,
    Novelty,
    Outcome,
    Paper,
    Patch,
    Query,
    Ranking,
    Record,
    Review,
    Score,
    Trial,
    Verdict,
)
from autoresearch.textedits import applied, edits_between
from autoresearch.think.similarity import similarities, threshold

TASK = load_task(Path(__file__).parents[1] / "sandboxes" / "digits")
DIGITS = (TASK.folder / "baseline" / "train.py").read_text()
ANNEALING = '''"""Simulated annealing on a travelling salesman: the standard library only."""
import json, math, os, random

TEMPERATURE = 10.0
COOLING = 0.995
STEPS = 2_000
UNUSED_WEIGHT = 3.0
CITY_COUNT = 30
START_INDEX = 0


def length(tour, points):
    return sum(math.dist(points[a], points[b]) for a, b in zip(tour, tour[1:] + tour[:1]))


def anneal(points, rng, restarts=2, verbose=False):
    best, best_length = None, float("inf")
    for _ in range(restarts):
        tour = list(range(START_INDEX, len(points)))
        rng.shuffle(tour)
        t = TEMPERATURE
        now = length(tour, points)
        for step in range(STEPS):
            i, j = sorted(rng.sample(range(len(tour)), 2))
            new = tour[:i] + tour[i:j + 1][::-1] + tour[j + 1:]
            if (l := length(new, points)) < now or rng.random() < math.exp((now - l) / t):
                tour, now = new, l
            t *= COOLING
        if now < best_length:
            best, best_length = tour, now
    return best


if __name__ == "__main__":
    rng = random.Random(int(os.environ.get("SEED", 0)))
    points = [(rng.random(), rng.random()) for _ in range(CITY_COUNT)]
    print(f"größe {CITY_COUNT:3d}", json.dumps(length(anneal(points, rng), points), indent=2))
'''
REGRESSION = """import numpy as np
from sklearn import linear_model
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

x, y = load_diabetes(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.3, random_state=3)
model = make_pipeline(StandardScaler(), linear_model.Ridge(alpha=1.0, fit_intercept=True))
model.fit(x_train, y_train)
print(np.sqrt(np.mean((model.predict(x_test) - y_test) ** 2)))
"""
TORCH = """import argparse
import torch
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self, hidden=64, in_features=10):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(in_features, hidden), nn.ReLU(), nn.Linear(hidden, 3))

    def forward(self, x):
        return self.body(x)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--schedule", default="none", choices=["none", "cosine"])
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
    for epoch in range(args.epochs):
        for x, y in batches(32, shuffle=True):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch:3d} loss {loss.item():.3f}")


main()
"""
PROGRAMS = {"digits": DIGITS, "annealing": ANNEALING, "regression": REGRESSION, "torch": TORCH}


def changes(program: str, seed: int = 0) -> list[Mutation]:
    return mutations({"train.py": program}, seed)


def after(mutation: Mutation, program: str) -> str:
    new = applied(program, mutation.edits)
    assert new is not None
    return new


def ask(prompt: str, record: type[Record], seed: int = 0, **variables: Any) -> Any:
    answer = Offline(seed).answer(Request(prompt, variables, "", record, "here"))
    assert (answer.model, answer.dollars) == ("offline (no language model)", 0.0)
    assert (answer.tokens_in, answer.tokens_out) == (0, 0)
    return record.from_answer(answer.text)


def run(program: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    (folder / "train.py").write_text(program)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", **variables}
    command = [sys.executable, "train.py"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


# --- mutations ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_change_applies_once_parses_and_differs_from_every_other(name: str) -> None:
    program = PROGRAMS[name]
    found = changes(program)
    assert len(found) >= 10
    results = [after(mutation, program) for mutation in found]
    for result in results:
        ast.parse(result)
    assert len({*results, program}) == len(results) + 1
    assert len({mutation.slug for mutation in found}) == len(found)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_change_arrives_unharmed_through_the_written_answer(name: str) -> None:
    program = PROGRAMS[name]
    for idea in next_ideas({"baseline": {"train.py": program}}, (), 0):
        patch = ask("practice/code", Patch, task=TASK, idea=idea, whole={"train.py": program})
        changed = apply(patch, {"train.py": program}, {"train.py"}, ("*.py",))
        expected = next(m for m in changes(program) if m.slug == idea.slug)
        assert changed == {"train.py": after(expected, program)}


def test_text_that_is_not_changed_keeps_its_formatting() -> None:
    for mutation in changes(ANNEALING):
        kept = set(ANNEALING.splitlines()) & set(after(mutation, ANNEALING).splitlines())
        assert len(kept) >= len(set(ANNEALING.splitlines())) - 1, mutation.slug


def test_seeds_paths_sizes_of_the_data_and_what_nothing_reads_are_left_alone() -> None:
    program = """
import numpy as np
from sklearn.svm import SVC
from sklearn.model_selection import train_test_split
SEED = 7
TEST_SIZE = 0.2
N_CLASSES = 10
IMAGE_SIZE = 28
DATA_PATH = "data.csv"
LABEL_COLUMN = 4
NUM_WORKERS = 2
LEARNING_RATE = 0.1
C = 2.0
table = np.loadtxt(DATA_PATH, delimiter=",", skiprows=1)
x, y = table[:, :LABEL_COLUMN], table[:, LABEL_COLUMN].reshape(-1, IMAGE_SIZE, N_CLASSES, NUM_WORKERS)
parts = train_test_split(x, y, test_size=TEST_SIZE, random_state=SEED)
model = SVC(C=C, random_state=3, verbose=True, cache_size=500, probability=True)
print(round(x.mean(axis=0, keepdims=True), 3), sep=" ")
"""
    touched = {mutation.subject for mutation in changes(program) if mutation.kind != "replacement"}
    assert {name for name in touched if not name.startswith("add-")} == {"c"}


def test_the_seed_decides_between_equals_and_nothing_else() -> None:
    slugs = [[mutation.slug for mutation in changes(DIGITS, seed)] for seed in (0, 0, 1, 2)]
    assert slugs[0] == slugs[1]
    assert slugs[0] != slugs[2] or slugs[0] != slugs[3]
    assert sorted(slugs[0]) == sorted(slugs[2])


def test_the_first_changes_are_of_different_kinds_and_of_different_things() -> None:
    first = changes(DIGITS)[:8]
    assert len({mutation.kind for mutation in first}) == 4
    assert len({mutation.subject for mutation in first}) == 8


def test_code_that_cannot_be_read_gives_no_changes_and_no_error() -> None:
    texts = ["def f(:", "A_RATE = 1\r\nprint(A_RATE)\r\n", "\0", "A = (" * 5000, ""]
    assert [changes(text) for text in texts] == [[]] * len(texts)
    deep = "LEARNING_RATE = 0.1\nprint(LEARNING_RATE" + " + 1" * 900 + ")\n"
    assert "learning-rate-to-0-3" in [mutation.slug for mutation in changes(deep)]
    assert mutations({"notes.md": "LEARNING_RATE = 1", "a.bin": "x"}, 0) == []


def test_edits_that_cannot_be_told_apart_grow_until_they_can() -> None:
    old = "x = 1\ny = 2\n\nx = 1\ny = 2\n\nx = 1\ny = 2\n"
    new = "x = 1\ny = 2\n\nx = 1\ny = 3\n\nx = 1\ny = 2\n"
    edits = edits_between("a.py", old, new)
    assert applied(old, edits) == new
    assert edits_between("a.py", "same\n", "same\n") == ()


def test_names_are_found_under_whatever_they_were_imported_as() -> None:
    titles = {mutation.title for mutation in changes(TORCH)}
    assert "Replace the optimiser SGD by AdamW" in titles
    assert "Replace the activation ReLU by GELU" in titles
    schedule = next(m for m in changes(TORCH) if m.slug == "add-cosine-schedule")
    assert "            optimizer.step()\n        print" in after(schedule, TORCH)
    assert "T_max=args.epochs)\n    for epoch in" in after(schedule, TORCH)
    clipping = next(m for m in changes(TORCH) if m.slug == "add-gradient-clipping")
    assert "clip_grad_norm_(model.parameters(), 1.0)\n            optimizer.step()" in after(
        clipping, TORCH
    )


def test_most_changes_of_a_regression_run_and_change_its_error(tmp_path: Path) -> None:
    before = run(REGRESSION, tmp_path).stdout
    ended = [run(after(mutation, REGRESSION), tmp_path) for mutation in changes(REGRESSION)[:14]]
    outputs = [end.stdout for end in ended if end.returncode == 0]
    assert len(outputs) >= 12
    assert sum(float(output) != float(before) for output in outputs) >= 10
    assert min(map(float, outputs)) < float(before) < max(map(float, outputs))


def test_all_changes_of_a_program_without_libraries_run(tmp_path: Path) -> None:
    for mutation in changes(ANNEALING):
        ended = run(after(mutation, ANNEALING), tmp_path)
        assert ended.returncode == 0 or "OverflowError" in ended.stderr, (
            mutation.slug,
            ended.stderr,
        )


# --- repairs ------------------------------------------------------------------------------------


def failing(program: str, folder: Path, **variables: str) -> Failure:
    """The failure of a program that really fails."""
    ended = run(program, folder, **variables)
    assert ended.returncode == 1, ended.stdout
    last = ended.stderr.strip().splitlines()[-1]
    return Failure(stage="run", message=f"exit code 1: {last}"[:500], detail=ended.stderr[-6000:])


def attempt(number: int, old: str, new: str, failure: Failure) -> Attempt:
    patch = Patch(plan="try", edits=edits_between("train.py", old, new))
    return Attempt(number=number, patch=patch, commit="c", measurement=None, failure=failure)


IDEA = Idea(slug="an-idea", title="t", hypothesis="h", plan="p", summary="s")


def repaired(old: str, new: str, folder: Path, failure: Failure | None = None) -> tuple[str, str]:
    """(plan, program) after the repair of a change that failed."""
    failure = failure or failing(new, folder)
    attempts = (attempt(0, old, new, failure),)
    code = {"train.py": new}
    patch = ask(
        "practice/debug",
        Patch,
        task=TASK,
        idea=IDEA,
        whole=code,
        attempts=attempts,
        failure=failure,
    )
    return patch.plan, apply(patch, code, {"train.py"}, ("*.py",))["train.py"]


def test_a_keyword_that_the_new_name_does_not_have_is_left_out(tmp_path: Path) -> None:
    program = "from sklearn.neighbors import {0}\n\nmodel = {0}(\n    n_neighbors=3,\n    {1}\n)\nprint(model)\n"
    old = program.format("KNeighborsClassifier", "p=1,")
    plan, new = repaired(old, old.replace("p=1", "random_state=1"), tmp_path)
    assert "unexpected keyword argument 'random_state'" in plan
    assert "random_state" not in new and "n_neighbors=3" in new
    assert run(new, tmp_path).returncode == 0


def test_a_number_beyond_the_bounds_goes_half_way_back_to_what_is_allowed(tmp_path: Path) -> None:
    old = (
        "import numpy as np\nfrom sklearn.decomposition import PCA\n\nCOMPONENTS = 20\n"
        "PCA(COMPONENTS).fit(np.random.default_rng(0).normal(size=(100, 64)))\n"
    )
    plan, new = repaired(old, old.replace("= 20", "= 80"), tmp_path)
    assert "train.py, line 5" in plan and "n_components=80" in plan
    assert "COMPONENTS = 42" in new  # half way between 20 and the bound 64
    assert run(new, tmp_path).returncode == 0


def test_a_share_beyond_its_range_goes_back_into_it(tmp_path: Path) -> None:
    old = (
        "from sklearn.neural_network import MLPClassifier\n"
        'MLPClassifier(solver="sgd", momentum=0.9).fit([[0.0], [1.0]], [0, 1])\n'
    )
    _, new = repaired(old, old.replace("0.9", "1.8"), tmp_path)
    assert "momentum=0.95" in new
    assert run(new, tmp_path).returncode == 0


def test_an_option_that_is_refused_gives_way_to_one_that_the_message_lists(tmp_path: Path) -> None:
    old = (
        "from sklearn.neural_network import MLPClassifier\n"
        'MLPClassifier(activation="relu").fit([[0.0], [1.0]], [0, 1])\n'
    )
    plan, new = repaired(old, old.replace("relu", "gelu"), tmp_path)
    assert "gelu" not in new and "relu" not in new
    assert "take the allowed value" in plan
    assert run(new, tmp_path).returncode == 0


def test_a_name_that_is_not_imported_is_imported(tmp_path: Path) -> None:
    old = "import math\n\nprint(math.pi)\n"
    new = "import math\n\nprint(np.float64(math.pi))\n"
    _, mended = repaired(old, new, tmp_path)
    assert run(mended, tmp_path).returncode == 0


def test_a_timeout_takes_the_number_half_way_back(tmp_path: Path) -> None:
    old = "EPOCHS = 60\nprint(EPOCHS)\n"
    failure = Failure(stage="run", message="timeout: more than 120 s")
    _, new = repaired(old, old.replace("60", "240"), tmp_path, failure)
    assert new == "EPOCHS = 150\nprint(EPOCHS)\n"


def test_what_cannot_be_adjusted_is_withdrawn(tmp_path: Path) -> None:
    old = "import os\n\nprint(1)\n"
    plan, new = repaired(old, old.replace("print(1)", "print(1 + '2')"), tmp_path)
    assert new == old
    assert "TypeError" in plan and "withdraw" in plan


def test_a_number_that_goes_on_failing_is_withdrawn_in_the_end(tmp_path: Path) -> None:
    old = "N = 8\nassert N < 9, N\n"
    code, attempts = old.replace("8", "400"), ()
    attempts = (attempt(0, old, code, failing(code, tmp_path)),)
    for number in range(1, 4):
        failure = attempts[-1].failure
        patch = ask(
            "practice/debug", Patch, task=TASK, idea=IDEA, whole={"train.py": code},
            attempts=attempts, failure=failure,
        )  # fmt: skip
        before, code = code, applied(code, patch.edits) or ""
        if code == old:
            break
        attempts += (attempt(number, before, code, failing(code, tmp_path)),)
    assert code == old
    assert len(attempts) == 3


def test_when_nothing_is_left_to_adjust_the_answer_has_no_edit(tmp_path: Path) -> None:
    failure = failing("raise ValueError('no')\n", tmp_path)
    variables = {"task": TASK, "idea": IDEA, "whole": {"train.py": "raise ValueError('no')\n"}}
    given = variables | {"attempts": (attempt(0, "x", "y", failure),), "failure": failure}
    answer = Offline(0).answer(Request("practice/debug", given, "", Patch, "here"))
    assert "Nothing is left to adjust" in answer.text
    with pytest.raises(ValueError, match="no SEARCH/REPLACE block"):
        Patch.from_answer(answer.text)


# --- answers ------------------------------------------------------------------------------------


def lesson(idea: Idea, outcome: Outcome, effect: float | None) -> Lesson:
    return Lesson(
        name="round-00/0-x", idea=idea, verdict=verdict(outcome, effect), commit="c", diff="",
        attempts=1, failures=(), analysis=None, review=None,
    )  # fmt: skip


def verdict(outcome: Outcome, effect: float | None) -> Verdict:
    interval = None if effect is None else (effect - 0.01, effect + 0.01)
    score = None if effect is None else 0.88 + effect
    return Verdict(
        outcome=outcome, score=score, effect=effect, interval=interval, p=0.01, alpha=0.05,
        seeds=5, test="paired t", reason="because",
    )  # fmt: skip


def ideas(
    sources: Mapping[str, Mapping[str, str]], lessons: tuple[Lesson, ...] = (), count: int = 10
) -> tuple[Idea, ...]:
    answer: Ideas = ask(
        "think/ideas", Ideas, topic=TASK.topic, task=TASK, count=count, sources=sources,
        papers=(), tried=lessons,
    )  # fmt: skip
    return answer.ideas


BASELINE = {"baseline": {"train.py": DIGITS}}


def test_twice_as_many_ideas_are_proposed_as_asked_for() -> None:
    assert len(ideas(BASELINE, count=5)) == 10
    assert len({idea.slug for idea in ideas(BASELINE, count=500)}) == len(changes(DIGITS))


@pytest.mark.parametrize("name", PROGRAMS)
def test_ideas_about_different_things_do_not_read_as_one(name: str) -> None:
    proposed = ideas({"baseline": {"train.py": PROGRAMS[name]}}, count=10)
    texts = [idea.summary for idea in proposed]
    cosines = similarities("ngrams", texts, texts)
    for row, one in enumerate(proposed):
        for column, other in enumerate(proposed[:row]):
            different = subject_of(one.slug) != subject_of(other.slug)
            assert not different or cosines[row][column] <= threshold("ngrams"), (one, other)


def test_a_second_round_builds_on_what_worked_and_repeats_nothing() -> None:
    first = {idea.slug: idea for idea in ideas(BASELINE, count=500)}
    rate, bagging = first["learning-rate-to-0-003"], first["add-bagging"]
    poor = [first["activation-to-tanh"], first["epochs-to-120"], first["components-to-80"]]
    outcomes = [Outcome.declined, Outcome.maintained, Outcome.failed]
    lessons = (
        lesson(rate, Outcome.improved, 0.02),
        lesson(bagging, Outcome.improved, 0.01),
        *(lesson(idea, outcome, -0.01) for idea, outcome in zip(poor, outcomes, strict=True)),
    )
    by_slug = {mutation.slug: mutation for mutation in changes(DIGITS)}
    codes = {idea.slug: {"train.py": after(by_slug[idea.slug], DIGITS)} for idea in (rate, bagging)}
    second = ideas(BASELINE | codes, lessons, count=500)
    assert second[0].parent == rate.slug and second[0].slug.startswith("learning-rate-to-0-009")
    assert f"{rate.slug}-after-{bagging.slug}" in [idea.slug for idea in second[:4]]
    slugs = [idea.slug for idea in second]
    assert len(set(slugs)) == len(slugs) and not set(slugs) & {x.idea.slug for x in lessons}
    assert not [slug for slug in slugs if slug.startswith(tuple(idea.slug for idea in poor))]
    for idea in second[:20]:
        code = (BASELINE | codes)[idea.parent or "baseline"]
        patch = ask("practice/code", Patch, task=TASK, idea=idea, whole=code)
        new = apply(patch, code, {"train.py"}, ("*.py",))
        assert new not in [dict(known) for known in (BASELINE | codes).values()]


def test_an_idea_that_added_nothing_to_its_parent_is_not_a_parent() -> None:
    first = {idea.slug: idea for idea in ideas(BASELINE, count=500)}
    rate = first["learning-rate-to-0-003"]
    child = first["add-bagging"].model_copy(
        update={"slug": "add-bagging-after-x", "parent": rate.slug}
    )
    lessons = (lesson(rate, Outcome.improved, 0.02), lesson(child, Outcome.improved, 0.02))
    sources = BASELINE | {
        rate.slug: {"train.py": DIGITS + "\n"},
        child.slug: {"train.py": DIGITS + "\n\n"},
    }
    assert {idea.parent for idea in ideas(sources, lessons, count=500)} == {None, rate.slug}


def test_running_out_of_changes_and_unknown_prompts_are_errors_that_say_what_to_do() -> None:
    with pytest.raises(ModelError, match="language model"):
        ideas({"baseline": {"train.py": "print(1)\n"}})
    with pytest.raises(ModelError, match="--model"):
        ask("think/dreams", Ideas)


def test_answers_are_the_same_from_many_threads() -> None:
    def once(_: int) -> str:
        given = {
            "topic": "t",
            "task": TASK,
            "count": 9,
            "sources": BASELINE,
            "papers": (),
            "tried": (),
        }
        return Offline(3).answer(Request("think/ideas", given, "", Ideas, "here")).text

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(once, range(16)))) == 1


PAPERS = (
    Paper(id="arxiv:1", title="Image classification from few small images", abstract="Few images."),
    Paper(id="arxiv:2", title="Speech enhancement", abstract="Audio of noisy rooms."),
    Paper(id="arxiv:3", title="Classification of stars", abstract="Spectra."),
)


def test_reading_is_by_words_and_says_so() -> None:
    query: Query = ask("think/query", Query, topic=TASK.topic, task=TASK)
    assert query.query == "image classification few small images"
    attributes: Attributes = ask("think/attributes", Attributes, topic=TASK.topic, task=TASK)
    assert "no model" in attributes.input
    ranking: Ranking = ask(
        "think/rank", Ranking, topic=TASK.topic, task=TASK, attributes=attributes, papers=PAPERS
    )
    scores = {entry.paper: entry.score for entry in ranking.scores}
    assert scores["arxiv:1"] == 10 and scores["arxiv:2"] == 1
    assert 1 < scores["arxiv:3"] < 8
    assert all("word overlap" in entry.reason for entry in ranking.scores)


def test_novelty_is_word_overlap_and_says_so() -> None:
    near = Paper(id="arxiv:9", title="A large small network", abstract="a t s idea of the summary")
    known = IDEA.model_copy(update={"title": "large network", "summary": "small network"})
    verdict_of: Novelty = ask("think/novelty", Novelty, idea=known, papers=(*PAPERS, near))
    assert (verdict_of.novel, verdict_of.closest) == ("no", "arxiv:9")
    other: Novelty = ask("think/novelty", Novelty, idea=ideas(BASELINE)[0], papers=PAPERS)
    assert other.novel == "yes" and "no judgement" in other.reason
    assert ask("think/novelty", Novelty, idea=known, papers=()).closest is None


def measurement(seed: int, value: float) -> Measurement:
    execution = Execution(
        sandbox="s", command=("python",), ended="exited", exit_code=0, signal=None, reason="exit code 0",
        stdout="", stderr="", seconds=1.0, cpu_seconds=1.0, peak_memory=None,
    )  # fmt: skip
    score = Score(metric="accuracy", split="validation", value=value)
    return Measurement(seed=seed, execution=execution, score=score)


@pytest.mark.parametrize("outcome", Outcome)
def test_feedback_is_from_the_numbers_and_says_so(outcome: Outcome) -> None:
    floor = Floor(
        commit="c", measurements=(measurement(0, 0.88),), mean=0.88, deviation=0.01,
        smallest_gain=0.02, alpha=0.05,
    )  # fmt: skip
    effect = {Outcome.improved: 0.04, Outcome.declined: -0.04, Outcome.maintained: 0.001}.get(
        outcome
    )
    trial = Trial(
        name="round-00/0-x",
        idea=IDEA,
        parent=None,
        attempts=(),
        measurements=(),
        commit=None,
        diff="",
    )
    given = {"task": TASK, "trial": trial, "verdict": verdict(outcome, effect), "floor": floor}
    analysis: Analysis = ask("feedback/analysis", Analysis, **given)
    assert "Offline" in analysis.explanation and outcome.value in analysis.explanation
    review: Review = ask("feedback/review", Review, **given)
    assert "no reviewer's opinion" in review.summary and review.confidence == 1
    assert (review.overall > 5) == (outcome is Outcome.improved)
