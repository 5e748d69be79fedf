"""What is left out of a prompt that is too long, by rules that have names and an order."""

from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.assembly import open_lab, start
from autoresearch.config import Settings
from autoresearch.errors import PromptTooLong
from autoresearch.journal import Recorded, Replay
from autoresearch.llm import Answer, Request
from autoresearch.loop import research
from autoresearch.offline import Offline
from autoresearch.prompts import VARIABLES, Prompts
from autoresearch.records import Failure, Lesson
from autoresearch.shortening import RULES, cut, shortened
from autoresearch.store import Run, read
from tests.examples import FAILURE, LESSON, PAPER, TRIAL, variables_of

LONG = "x = 1  # a line of code\n" * 4_000


def long_variables(prompt: str) -> dict:
    """A prompt's variables with much of everything."""
    much = {
        "papers": tuple(
            PAPER.model_copy(update={"id": f"p{i}", "abstract": "word " * 300}) for i in range(40)
        ),
        "lessons": (LESSON,) * 60,
        "sources": {"baseline": {"train.py": LONG}, "wider-layer": {"train.py": LONG + "y = 2\n"}},
        "shown": {"baseline": {"train.py": LONG}, "wider-layer": {"train.py": LONG + "y = 2\n"}},
        "map": "part.py (400 lines)\n" * 1_000,
        "code": {"train.py": LONG},
        "failure": Failure(stage="run", message="m", detail="Traceback\n" + "line\n" * 2_000),
        "trial": TRIAL.model_copy(update={"diff": "+line\n" * 10_000}),
    }
    return {key: much.get(key, value) for key, value in variables_of(prompt).items()}


@pytest.mark.parametrize("prompt", VARIABLES)
def test_each_rule_makes_the_prompt_shorter_and_it_still_renders_with_its_answer_format(
    prompt: str,
) -> None:
    prompts, variables = Prompts(), long_variables(prompt)
    longest = prompts.render(prompt, variables)
    previous = len(longest)
    for rule, shorter in shortened(variables):
        text = prompts.render(prompt, shorter)
        assert len(text) < previous or rule == "outputs and diffs cut short", rule
        assert set(shorter) == set(variables)
        assert text[-200:] == longest[-200:]
        previous = len(text)


def test_the_ideas_prompt_can_be_brought_to_a_tenth() -> None:
    variables = long_variables("think/ideas")
    *_, (_, shortest) = shortened(variables)
    prompts = Prompts()
    assert (
        len(prompts.render("think/ideas", shortest))
        < len(prompts.render("think/ideas", variables)) / 10
    )


def test_the_code_to_be_edited_goes_last() -> None:
    names = [name for name, _ in shortened(long_variables("practice/debug"))]
    assert names[-1] == "long files cut in the middle"


def test_what_is_short_already_is_left_alone() -> None:
    assert list(shortened({"failure": FAILURE, "code": {"a.py": "x = 1\n"}, "topic": "t"})) == []


def test_every_rule_has_a_name_of_its_own() -> None:
    assert len({name for name, _ in RULES}) == len(RULES)


def test_a_cut_says_how_much_is_missing() -> None:
    text = cut("a" * 50 + "b" * 50, 20)
    assert (
        text.startswith("a" * 10) and text.endswith("b" * 10) and "80 characters left out" in text
    )


class ShortSighted:
    """The offline model behind a context that is too small for the first questions."""

    def __init__(self, characters: int):
        self.characters, self.offline, self.asked = characters, Offline(0), []

    def answer(self, request: Request) -> Answer:
        self.asked.append(request.text)
        if len(request.text) > self.characters:
            raise PromptTooLong(f"short: {len(request.text)} characters are too many")
        return self.offline.answer(request)


def small_run(folder: Path, papers: Path) -> Run:
    settings = {"task": str(Path(__file__).parent / "tasks" / "slope"), "runs": folder, "rounds": 1, "ideas": 1,
                "sandbox": {"kind": "none"}, "papers": {"folder": papers, "arxiv": False, "keep": 1}}  # fmt: skip
    return start(Settings.model_validate(settings))


def test_a_prompt_that_does_not_fit_is_asked_shorter_noted_and_replayed_the_same(
    tmp_path: Path,
) -> None:
    papers = tmp_path / "papers"
    papers.mkdir()
    for number in range(12):
        text = (
            f"Descent on a line, part {number}\n\nAbstract\n"
            + f"We raise the rate of step {number}. " * 60
        )
        (papers / f"{number}.txt").write_text(text)
    run = small_run(tmp_path / "runs", papers)
    lab, model = open_lab(run), ShortSighted(9_000)
    research(replace(lab, model=Recorded(model, run.folder / "calls.jsonl")))
    assert any(len(text) > 9_000 for text in model.asked)
    assert any(
        "too long for the model; asked with abstracts cut short" in note for note in run.notes()
    )

    again = small_run(tmp_path / "again", papers)
    replayed = Recorded(Replay(run.folder / "calls.jsonl"), again.folder / "calls.jsonl")
    research(replace(open_lab(again), model=replayed))
    (first,), (second,) = (sorted(r.folder.glob("round-*/*/feedback.json")) for r in (run, again))
    assert read(first, Lesson).verdict == read(second, Lesson).verdict


def test_where_nothing_is_left_to_leave_out_the_run_stops_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    run = small_run(tmp_path / "runs", tmp_path / "papers")
    with pytest.raises(PromptTooLong, match="characters are too many"):
        research(
            replace(open_lab(run), model=Recorded(ShortSighted(10), run.folder / "calls.jsonl"))
        )
