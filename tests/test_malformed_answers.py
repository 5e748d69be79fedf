"""A thousand generated answers through `ask`: no crash, and nothing wrong is accepted."""

import json
import random
import re
from collections.abc import Callable

import pytest

from autoresearch.errors import UnusableAnswer
from autoresearch.llm import Answer, Request, ask
from autoresearch.records import Ideas, Novelty, PaperScore, Patch, Ranking, Record
from tests.examples import IDEA, PATCH, REVIEW

RECORDS: tuple[Record, ...] = (
    REVIEW,
    Ideas(
        ideas=(
            IDEA,
            IDEA.model_copy(update={"slug": "narrower-layer", "plan": "Set {WIDTH} to [4]."}),
        )
    ),
    Ranking(scores=tuple(PaperScore(paper=f"p{n}", score=n, reason="fits") for n in range(1, 9))),
    Novelty(novel="no", closest="arxiv:2401.00001", reason="It says so."),
)
WRONG = (
    object()
)  # must be refused; anything else must be refused or equal the record that was meant


class Says:
    """A model that always says the same."""

    def __init__(self, text: str, finish: str = "stop"):
        self.text, self.finish, self.calls = text, finish, 0

    def answer(self, request: Request) -> Answer:
        self.calls += 1
        return Answer(
            text=self.text, model="says", tokens_in=0, tokens_out=0, dollars=0.0, seconds=0.0, finish=self.finish
        )  # fmt: skip


def truncated(text: str, dice: random.Random) -> str:
    return text[: dice.randrange(1, len(text) - 1)]


def with_a_key_lost(text: str, dice: random.Random) -> str:
    value = json.loads(text)
    holder = value
    while isinstance(next(iter(holder.values())), list) and isinstance(
        next(iter(holder.values()))[0], dict
    ):
        holder = dice.choice(next(iter(holder.values())))
    needed = [
        key
        for key in holder
        if key not in ("cites", "parent", "closest", "questions", "requested_experiments")
    ]
    del holder[dice.choice(needed)]
    return json.dumps(value)


def with_an_extra_key(text: str, dice: random.Random) -> str:
    return text[:-1] + f', "note_{dice.randrange(99)}": "more"}}'


def with_a_number_out_of_range(text: str, dice: random.Random) -> str:
    number = dice.choice(["99", "-1", "2.5", "NaN", "Infinity", "1e999", "null", '"many"'])
    changed = re.sub(r'("(?:overall|score)": ?)\d+', rf"\g<1>{number}", text, count=1)
    return changed if changed != text else with_an_extra_key(text, dice)


def noise(text: str, dice: random.Random) -> str:
    return "".join(
        chr(dice.choice([*range(1, 128), 0x1F600, 0x202E])) for _ in range(dice.randrange(300))
    )


def in_prose(text: str, dice: random.Random) -> str:
    before = dice.choice(
        [
            "Sure! Here it is:\n",
            '<think>maybe {"novel": 1}?</think>\n',
            "",
            "I weighed [a] and {b}.\n",
        ]
    )
    return f"{before}```json\n{text}\n```\n{dice.choice(['', 'Hope this helps.'])}"


def slightly_off(text: str, dice: random.Random) -> str:
    damage: list[Callable[[str], str]] = [
        lambda t: t[:-1] + ",}",
        lambda t: t.replace('"', "'"),
        lambda t: re.sub(r'"(\w+)":', r"\1:", t),
        lambda t: t.replace(",", ",,", 1),
        lambda t: t.replace(":", "", 1),
        lambda t: "// an answer\n" + t,
        lambda t: (i := dice.randrange(len(t))) and t[:i] + t[i + 1 :],
    ]
    return dice.choice(damage)(text)


MEANT = {in_prose: True, slightly_off: False}
LOSSY = (truncated, with_a_key_lost, with_an_extra_key, with_a_number_out_of_range, noise)


def asked(text: str, record: type[Record]) -> Record | None:
    model = Says(text)
    try:
        return ask(model, Request("feedback/review", {}, "question", record, "here"))
    except UnusableAnswer:
        assert model.calls == 3
        return None


@pytest.mark.parametrize("damage", [*LOSSY, *MEANT], ids=lambda damage: damage.__name__)
def test_a_thousand_malformed_answers_are_refused_or_mean_what_was_meant(
    damage: Callable[..., str],
) -> None:
    dice = random.Random(damage.__name__)
    for number in range(150):
        meant = RECORDS[number % len(RECORDS)]
        text = meant.model_dump_json(indent=number % 3 or None)
        broken = damage(text, dice)
        found = asked(broken, type(meant))
        if damage in LOSSY:
            assert found is None, broken
        elif MEANT[damage]:
            assert found == meant, broken
        elif found is not None and damage is slightly_off:
            # A lost character inside a text cannot be seen; all numbers, keys and lengths must be right.
            assert skeleton(found) == skeleton(meant), broken


def skeleton(record: Record) -> object:
    def bare(value: object) -> object:
        if isinstance(value, dict):
            return {key: bare(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [bare(item) for item in value]
        return "text" if isinstance(value, str) else value

    return bare(record.model_dump())


def test_a_cut_off_patch_is_never_applied_in_part() -> None:
    whole = (
        "A plan.\n### file: a.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n"
        "### file: b.py\n<<<<<<< SEARCH\ny = 1\n=======\ny = 2\n>>>>>>> REPLACE\n"
    )
    assert len(Patch.from_answer(whole).edits) == 2
    first_ends = whole.index("### file: b.py")
    for end in range(1, len(whole) - 1):
        if asked(whole[:end], Patch) is not None:  # nothing shows there that more was to come
            assert first_ends - 1 <= end < first_ends + len("### file: b")


def test_what_the_provider_says_was_cut_off_is_never_read_however_whole_it_looks() -> None:
    text = Novelty(novel="yes", reason="r").model_dump_json()
    with pytest.raises(UnusableAnswer):
        ask(Says(text, "length"), Request("think/novelty", {}, "question", Novelty, "here"))
    assert PATCH.edits
