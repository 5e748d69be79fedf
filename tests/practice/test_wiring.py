"""Which question follows which failure: whole ideas in real sandboxes, with a model that answers by rote."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from autoresearch.assembly import open_lab, start
from autoresearch.config import Settings
from autoresearch.harness import Lab
from autoresearch.journal import Recorded
from autoresearch.llm import Answer, Request
from autoresearch.practice import pursue
from autoresearch.records import Idea, Trial
from autoresearch.store import Run
from tests.examples import IDEA
from tests.large import write_large_task

SLOPE = Path(__file__).parents[1] / "tasks" / "slope"
FIRST = "import json\nimport os\nimport random\n"
RATE = "LEARNING_RATE = 0.05\n"
CRASH = "def broken(x):\n    return {}[x]\n\n\nbroken({n})\n"


class Rote:
    """Gives these answers to questions for code, in order; keeps what it was asked."""

    def __init__(self, answers: Sequence[str]):
        self.answers, self.asked = list(answers), []

    def answer(self, request: Request[Any]) -> Answer:
        self.asked.append(request)
        return Answer(
            text=self.answers[len(self.asked) - 1], model="rote", tokens_in=1, tokens_out=1, dollars=0.0,
            seconds=0.0,
        )  # fmt: skip


def edit(search: str, replacement: str, path: str = "train.py", plan: str = "A plan.") -> str:
    return f"{plan}\n\n### file: {path}\n<<<<<<< SEARCH\n{search}=======\n{replacement}>>>>>>> REPLACE\n"


def then(before: str, after: str, plan: str = "A repair.") -> str:
    """An edit of what the last edit of the imports left."""
    return edit(FIRST + before, FIRST + after, plan=plan)


def raising(error: str, function: str = "broken") -> str:
    return f"\n\ndef {function}():\n    raise {error}\n\n\n{function}()\n"


@pytest.fixture
def tried(tmp_path: Path) -> Callable[..., tuple[Trial, list[Request[Any]], Run]]:
    """One idea pursued with these answers: its trial, the questions, the run."""

    def pursue_with(
        *answers: str, task: Path = SLOPE, idea: Idea = IDEA, **settings: Any
    ) -> tuple[Trial, list[Request[Any]], Run]:
        given = {
            "task": str(task),
            "runs": tmp_path / "runs",
            "sandbox": {"kind": "none"},
        } | settings
        run = start(Settings.model_validate(given))
        lab, model = rote(run, answers)
        desk = lab.desk.at("round-00").at(f"0-{idea.slug}")
        desk.folder.mkdir(parents=True, exist_ok=True)
        trial = pursue(lab, desk, idea, ())
        lab.close()
        return trial, model.asked, run

    return pursue_with


def rote(run: Run, answers: Sequence[str]) -> tuple[Lab, Rote]:
    model = Rote(answers)
    return replace(open_lab(run), model=Recorded(model, run.folder / "calls.jsonl")), model


def stages(trial: Trial) -> list[str]:
    return [attempt.failure.stage if attempt.failure else "ran" for attempt in trial.attempts]


def test_an_edit_that_does_not_fit_is_asked_again_with_the_reason_and_all_of_the_code(
    tried,
) -> None:
    trial, asked, _ = tried(edit("no such line\n", "x\n"), edit(RATE, "LEARNING_RATE = 0.1\n"))
    assert stages(trial) == ["edit", "ran"] and len(trial.measurements) == 2
    assert [request.prompt for request in asked] == ["practice/code", "practice/debug"]
    repair = asked[1].text
    assert "could not be applied" in repair and "no place reads exactly" in repair
    assert RATE in repair and "no such line" in repair and "4 attempts are left" in repair
    assert repair.count("lines like […]") == 0


def test_a_syntax_error_is_asked_about_by_its_line(tried) -> None:
    trial, asked, _ = tried(
        edit(RATE, "LEARNING_RATE = = 1\n"), edit("LEARNING_RATE = = 1\n", "LEARNING_RATE = 0.1\n")
    )
    assert stages(trial) == ["syntax", "ran"]
    assert "does not parse" in asked[1].text and "LEARNING_RATE = = 1" in asked[1].text


def test_a_crash_is_asked_about_by_what_bears_on_it_with_frames_and_values(tried) -> None:
    filler = "".join(f"def unused_{n}(a):\n    return a * {n} + 1\n\n\n" for n in range(80))
    wrong = f"{filler}def broken(rows):\n    return rows[7]\n\n\nbroken([1, 2])\n"
    trial, asked, _ = tried(edit(FIRST, FIRST + wrong), then(wrong, filler))
    assert stages(trial) == ["run", "ran"]
    repair = asked[1]
    assert "IndexError" in repair.text and "rows: list" in repair.text
    assert "Shown is what bears on the failure" in repair.text
    assert (
        repair.variables["again"] == () and "return rows[7]" in repair.variables["code"]["train.py"]
    )
    assert set(repair.variables["whole"]) == {"train.py"}


def test_predictions_that_are_refused_are_asked_about_with_the_scorers_reason(tried) -> None:
    write = '(Path(os.environ["OUT"]) / "predictions.json").write_text(json.dumps(predictions))\n'
    short = write.replace("(predictions)", "([])")
    trial, asked, _ = tried(edit(write, short), edit(short, write + "# as it was\n"))
    assert stages(trial) == ["score", "ran"]
    assert "the scorer refused what it left" in asked[1].text
    assert trial.attempts[0].failure.message in asked[1].text


def test_an_answer_without_an_edit_costs_an_attempt_and_no_experiment(tried) -> None:
    trial, asked, run = tried(*["I would rather not."] * 3, edit(RATE, "LEARNING_RATE = 0.1\n"))
    assert stages(trial) == ["edit", "ran"] and len(asked) == 4
    assert "no usable answer" in trial.attempts[0].patch.plan
    assert not (run.folder / "round-00/0-wider-layer/0-run.json").exists()


def test_a_failure_that_stays_climbs_the_ladder_and_each_question_says_what_was_tried(
    tried,
) -> None:
    wrong = [raising(f"ValueError('{n} is bad')") for n in range(5)]
    answers = [edit(FIRST, FIRST + wrong[0])]
    answers += [then(a, b, f"Repair {n}.") for n, (a, b) in enumerate(pairwise(wrong))]  # fmt: skip
    trial, asked, _ = tried(*answers)
    assert stages(trial) == ["run"] * 5
    first, second, third, last = (request.text for request in asked[1:])
    assert "the same failure" not in first
    assert "same failure as in attempt 1:" in second and "Then look further away" in second
    assert (
        "same failure as in attempt 1, 2:" in third and "write the failing part anew, its" in third
    )
    assert "asked to look further away" in third and "asked to look further away" not in second
    assert "take out the riskiest part of the idea, the one" in last
    assert "asked to write the failing part anew" in last and "Repair 2." in last
    for text in (second, third, last):
        assert "Shown is what bears" not in text and RATE in text


def test_failures_that_take_turns_are_noticed_and_climb_too(tried) -> None:
    a, b = raising("ValueError('a')"), raising("KeyError('b')")
    trial, asked, _ = tried(edit(FIRST, FIRST + a), then(a, b), then(b, a), then(a, b), then(b, "# mended\n"),
                            attempts=6)  # fmt: skip
    assert stages(trial)[:4] == ["run"] * 4
    assert [request.variables["again"] for request in asked[1:5]] == [(), (), (1,), (2,)]
    assert "Attempt 2 failed otherwise in between: the repairs undo each other" in asked[3].text
    assert "look further" in asked[3].variables["strategy"]
    assert "write the failing part anew" in asked[4].variables["strategy"]


def test_the_last_attempt_at_a_failure_that_came_back_takes_out_the_riskiest_part(tried) -> None:
    a = raising("ValueError('a')")
    _, asked, _ = tried(edit(FIRST, FIRST + a), then(a, a + "# x\n"), then(a, "# y\n"), attempts=3)
    assert "riskiest" in asked[2].variables["strategy"]
    assert "1 attempt is left" in asked[2].text


@pytest.mark.parametrize("arm", ["raw", "unextracted"])
def test_the_published_arms_are_shown_all_of_the_code_and_the_plain_traceback(tried, arm) -> None:
    a = raising("ValueError('a')")
    _, asked, _ = tried(edit(FIRST, FIRST + a), then(a, "# y\n"), debug=arm)
    assert RATE in asked[1].text and "Shown is what bears" not in asked[1].text
    assert "Traceback" in asked[1].text


# --- large code bases ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_large_task(tmp_path_factory.mktemp("task"), SLOPE)


def test_a_file_that_is_not_shown_can_be_asked_for_once_and_edited(tried, large: Path) -> None:
    path = next(str(p.relative_to(large / "baseline")) for p in large.rglob("histogram_36.py"))
    answers = (f"I must see it first.\n\n### show: {path}\n### show: `no/such.py`\n",
               edit("import math\n", "import math\n\nWIDTH = 3\n", path))  # fmt: skip
    trial, asked, run = tried(*answers, task=large)
    assert stages(trial) == ["ran"]
    first, second = asked
    assert path not in first.variables["code"] and path in first.variables["map"]
    assert path in second.variables["code"] and second.where == first.where
    assert f"You asked to see {path}, no/such.py" in second.text and "### show:" not in second.text
    for request in asked:
        assert len(request.text) < 90_000 and len(request.variables["whole"]) == 50
    assert (run.folder / "round-00/0-wider-layer/0-look.json").exists()


def test_a_run_killed_after_it_looked_asks_only_what_is_left(tried, large: Path) -> None:
    path = "repo/fitting.py"
    answers = (f"### show: {path}\n", edit("STEPS = 40\n", "STEPS = 50\n", path))
    _, _, run = tried(*answers, task=large)
    folder = run.folder / "round-00/0-wider-layer"
    (folder / "0-patch.json").unlink()
    lab, model = rote(run, ())
    trial = pursue(lab, lab.desk.at("round-00").at("0-wider-layer"), IDEA, ())
    assert model.asked == [] and stages(trial) == ["ran"]
    lab.close()


def test_a_repair_in_a_large_code_base_shows_the_failing_file_and_a_map(tried, large: Path) -> None:
    path = "repo/fitting.py"
    wrong = "STEPS = 40\nSTEPS.broken\n"
    trial, asked, _ = tried(
        edit("STEPS = 40\n", wrong, path), edit(wrong, "STEPS = 50\n", path), task=large
    )
    assert stages(trial) == ["run", "ran"]
    repair = asked[1]
    assert (
        "STEPS.broken" in repair.variables["code"][path] and "repo/data" in repair.variables["map"]
    )
    assert len(repair.text) < 100_000 and re.search(r"\[… lines left out", repair.text)
