"""What is left out of a prompt that is too long, by rules that have names and an order."""

import pytest

from autoresearch.prompts import VARIABLES, Prompts
from autoresearch.records import Failure
from autoresearch.shortening import RULES, cut, shortened
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
