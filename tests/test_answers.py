"""What a model may write, and how it is read or refused."""

import json
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autoresearch.answers import LARGEST, read_json
from autoresearch.blocks import Block, read_blocks

IDEA = {"title": 'A "quoted" title', "scores": [1, 2.5, None], "plan": "use {x} and [y]\nthen <z>"}
GOOD = json.dumps(IDEA, indent=2)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"Here is my answer:\n\n{GOOD}\n\nHope this helps!",
        f"```json\n{GOOD}\n```",
        f"Sure.\n```\n{GOOD}\n```\nDone.",
        f"<think>\nMaybe {{'a': 1}}? No, [1, 2\n</think>\n{GOOD}",
        f"<think>short</think>{GOOD}",
        f'the thought whose tag the template kept: {{"title": \n</think>\n\n{GOOD}',
        f'As [1] shows, the set {{x | x > 0}} and \\frac{{a}}{{b}} matter.\n{GOOD}\nSee ["b"].',
        f'```python\nx = {{"a": 1}}\n```\n{GOOD}',
        GOOD.replace("\n", "\r\n"),
    ],
)
def test_a_whole_object_is_found_wherever_a_model_puts_it(text: str) -> None:
    assert read_json(text) == IDEA


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1, "b": [1, 2,],}', {"a": 1, "b": [1, 2]}),
        ("{'a': None, 'b': True, 'c': \"it's\"}", {"a": None, "b": True, "c": "it's"}),
        ('{"a": "line one\nline two"}', {"a": "line one\nline two"}),
        ('{a: "x", b: 2}', {"a": "x", "b": 2}),
        ('{"a": 1 // why\n}', {"a": 1}),
        ('{"a": "C:\\path"}', {"a": "C:\\path"}),
        ('[{"a": 1}, {"b": 2}]', [{"a": 1}, {"b": 2}]),
    ],
)
def test_the_usual_slips_are_read_leniently(text: str, value: object) -> None:
    assert read_json(text) == value


@pytest.mark.parametrize("end", range(1, len(GOOD)))
def test_an_answer_cut_off_anywhere_is_never_taken_for_whole(end: int) -> None:
    for text in (GOOD[:end], f"Answer:\n```json\n{GOOD[:end]}", f"```json\n{GOOD[:end]}\n```"):
        with pytest.raises(ValueError, match=r"cut off|no JSON object"):
            read_json(text)


def test_a_list_of_objects_cut_off_is_not_taken_for_its_first_object() -> None:
    with pytest.raises(ValueError, match="cut off"):
        read_json('{"ideas": [{"slug": "a"}, {"slug": "b"}, {"slu')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON object"),
        ("I would rather not.", "no JSON object"),
        ("42", "no JSON object"),
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": -Infinity}', "Infinity is not a number"),
        ('{"a": 1e999}', "1e999 is not a number"),
        ('{"a": 1e999,}', "1e999 is not a number"),
        ("{'a': 1e999}", "not valid JSON"),
        ('{"a": ]}', "closes nothing"),
        ("<think>for ever", "inside <think>"),
        ('{"a": ' * 100 + "1" + "}" * 100, "nested more than"),
        ("[" * 200_000, "no JSON object|nested more than"),
        ('{"a": "' + "x" * LARGEST + '"}', "characters"),
    ],
)
def test_what_is_not_an_answer_is_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_json(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":[' + '"x" y ' * 150_000 + "]}",
        "{" * 900_000,
        '{"a' * 300_000,
        "{ " * 400_000,
        "```" + " " * 900_000 + "x",
        "<think>" * 120_000,
        "\\" * 900_000,
        '{"' + "\\" * 900_000,
        "### file:" + " " * 900_000,
    ],
)
def test_hostile_answers_are_read_or_refused_in_seconds(text: str) -> None:
    started = time.monotonic()
    for read in (read_json, read_blocks):
        with pytest.raises(ValueError, match=r"."):
            read(text)
    assert time.monotonic() - started < 10


# --- edits ---

BLOCKS = """The learning rate is too high.
So halve it.

### file: train.py
<<<<<<< SEARCH
rate = 0.1
    keep = True
=======
rate = 0.05
    keep = True
>>>>>>> REPLACE

and the second place:
<<<<<<< SEARCH
epochs = 3
=======
>>>>>>> REPLACE
### file: pkg/new.py
<<<<<<< SEARCH
=======
import math

print(math.pi)
>>>>>>> REPLACE
"""
EDITS = [
    Block("train.py", "rate = 0.1\n    keep = True\n", "rate = 0.05\n    keep = True\n"),
    Block("train.py", "epochs = 3\n", ""),
    Block("pkg/new.py", "", "import math\n\nprint(math.pi)\n"),
]
PLAN = "The learning rate is too high.\nSo halve it."


@pytest.mark.parametrize(
    "text",
    [
        BLOCKS,
        BLOCKS.replace("\n", "\r\n"),
        f"```\n{BLOCKS}```",
        f"```text\n{BLOCKS}```\n",
        BLOCKS.replace("<<<<<<< S", "```python\n<<<<<<< S").replace(" REPLACE", " REPLACE\n```"),
        BLOCKS.replace("\n\n### file", "\n\n```\n### file") + "```\n",
        BLOCKS.replace("SEARCH\n", "SEARCH  \n").replace("=======\n", "======= \t\n"),
        BLOCKS.replace("file: train.py", "file: `train.py`").replace("pkg/new.py", '"pkg/new.py"'),
        BLOCKS.replace("### file:", "## File: ").replace("train.py", "**train.py**"),
        f"<think>\n### file: draft.py\n<<<<<<< SEARCH\nhm\n</think>\n{BLOCKS}",
        f"a thought\n### file: x.py\n</think>\n{BLOCKS}",
        BLOCKS.replace("and the", "<think>\n<<<<<<< SEARCH\n</think>\nand the"),
        BLOCKS.rstrip("\n"),
    ],
)
def test_blocks_are_read_however_they_are_wrapped(text: str) -> None:
    assert read_blocks(text) == (PLAN, EDITS)


@pytest.mark.parametrize("end", range(len(BLOCKS) - len("REPLACE\n") - 1))
def test_a_cut_off_edit_is_never_applied_in_part(end: int) -> None:
    text = BLOCKS[:end]
    inside = text.count("<<<<<<< SEARCH\n") + text.endswith("<<<<<<< SEARCH")
    closed = text.count(">>>>>>> REPLACE")
    begun = re.search(r"### file:|<<<", text.rpartition(">>>>>>> REPLACE")[2])
    if 0 < closed == inside and not begun:
        assert read_blocks(text)[1] == EDITS[:closed]  # whole so far; `finish` gives it away
    else:
        with pytest.raises(ValueError, match=r"cut off|changes nothing"):
            read_blocks(text)


def test_code_between_the_markers_is_exact() -> None:
    code = "\n\tif a:  \n```\n# ### file: no.py\n### file: no.py\n<think>\n</think>\n\x0c\u2028é\n"
    _, edits = read_blocks(f"### file: a.md\n<<<<<<< SEARCH\n{code}=======\n{code}>>>>>>> REPLACE")
    assert edits == [Block("a.md", code, code)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no edits at all", "changes nothing"),
        ("<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE", "line 1: write '### file"),
        ("### file: ``\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE", "line 2: write"),
        ("### file: a.py\n=======\nb\n>>>>>>> REPLACE", "line 2: '=======' is out of order"),
        ("### file: a.py\n<<<<<<< SEARCH\na\n>>>>>>> REPLACE", "line 4: .*a.py opened on line 2"),
        ("### file: a.py\n<<<<<<< SEARCH\na\n=======\nb\n=======\nc\n", "line 6: '======='"),
        ("### file: a.py\n<<<<<<< SEARCH\na\n=======\nb\n<<<<<<< SEARCH\n", "line 6: '<<<<<<<"),
        ("### file: a.py\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>> REPLACE\n", "cut off: .*a.py"),
        ("### rename: a.py to b.py", "line 1: write '### rename: old/path -> new/path'"),
        ("### rename: -> b.py", "line 1: write '### rename"),
        ("the plan\n### delete: ``", "line 2: write '### delete: path'"),
        ("### delete: a.py\n<<<<<<< SEARCH\n=======\n>>>>>>> REPLACE", "line 2: write '### file"),
        (
            "### rewrite: a.py\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE",
            "line 2: leave the SEARCH part",
        ),
        ("### delete: a.py\n### rewrite: b.py\n", "where a block for b.py should be"),
    ],
)
def test_broken_blocks_are_refused_naming_what_and_where(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_blocks(text)


# --- on anything at all ---

MARKERS = ("<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE")
line = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=30)
section = st.lists(line.filter(lambda text: text.rstrip() not in MARKERS), max_size=5)
path = st.text("abcxyz0189_-./", min_size=1, max_size=20)


joined = section.map(lambda lines: "".join(f"{line}\n" for line in lines))
written = st.one_of(
    st.builds(Block, path, joined, joined),
    st.builds(Block, path, st.just(""), joined, st.just("rewrite")),
    st.builds(Block, path, action=st.just("delete")),
    st.builds(Block, path.filter(lambda p: "->" not in p), action=st.just("rename"), target=path),
)


@given(st.lists(written, min_size=1, max_size=5))
def test_blocks_that_are_written_are_read_back(blocks: list[Block]) -> None:
    text = "the plan\n" + "".join(map(str, blocks))
    assert read_blocks(text) == ("the plan", blocks)


def test_blocks_after_a_rename_edit_the_new_file_and_after_a_rewrite_the_rewritten_one() -> None:
    block = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n"
    _, blocks = read_blocks(f"## Rename: `old.py` -> **new.py**\n{block}")
    assert blocks == [
        Block("old.py", action="rename", target="new.py"),
        Block("new.py", "a\n", "b\n"),
    ]
    whole = block.replace("SEARCH\na\n", "SEARCH\n")
    _, blocks = read_blocks(f"### rewrite: a.py\n{whole}{block}")
    assert blocks == [Block("a.py", "", "b\n", "rewrite"), Block("a.py", "a\n", "b\n")]


@given(st.dictionaries(st.text(max_size=9), st.text() | st.integers() | st.none(), max_size=6))
def test_json_that_is_written_is_read_back_from_prose_and_fences(value: dict[str, object]) -> None:
    for text in (json.dumps(value), json.dumps(value, indent=1, ensure_ascii=False)):
        assert read_json(text) == value
        assert read_json(f"Look:\n```json\n{text}\n```\nbye") == value


pieces = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        '"',
        "'",
        ":",
        ",",
        "\\",
        "<think>",
        "</think>",
        "```",
        "```json",
        "NaN",
        "1e400",
        "//",
        "/*",
        "null",
        "-",
        '"a":',
    ]
) | st.sampled_from(["\n", "\r", " ", "\ud800", "\0", "### file: a.py", *MARKERS])


@settings(max_examples=400, deadline=None)
@given(st.text() | st.lists(pieces | st.text(max_size=3)).map("".join))
@example('{"a": \ud800}')
def test_arbitrary_text_raises_nothing_but_value_errors(text: str) -> None:
    _read_or_refuse(text)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([GOOD, BLOCKS]), st.data())
def test_damaged_good_answers_raise_nothing_but_value_errors(
    good: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 20)))
    _read_or_refuse(good[:start] + data.draw(pieces | st.text(max_size=3)) + good[end:])


def _read_or_refuse(text: str) -> None:
    for read in (read_json, read_blocks):
        try:
            read(text)
        except ValueError as error:
            assert str(error)
            assert len(str(error)) < 2000
