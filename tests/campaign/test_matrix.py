"""Campaign files: which topics come out of them, and what is said of those that are wrong."""

from pathlib import Path

import pytest

from autoresearch.campaign.matrix import read_campaign, settings_of
from autoresearch.errors import BadInput

MATRIX = """
[matrix]
topic = ["a line", "a curve"]
task = ["digits", "mine"]
model = ["offline", "openai/x"]
seed = [0, 1]
"""


def campaign(folder: Path, text: str):
    file = folder / "nightly.toml"
    file.write_text(text)
    return read_campaign(file)


def test_every_combination_is_a_topic_of_its_own_with_a_name_that_stays(tmp_path: Path) -> None:
    first = campaign(tmp_path, MATRIX)
    assert len({entry.key for entry in first.entries}) == len(first.entries) == 16
    again = campaign(tmp_path, MATRIX.replace('"a line", "a curve"', '"a curve", "a line", "more"'))
    assert {entry.key for entry in first.entries} < {entry.key for entry in again.entries}
    assert first.folder == tmp_path / "nightly" and first.name == "nightly"


def test_what_is_excluded_is_left_out_and_what_is_included_says_more_or_is_one_more(
    tmp_path: Path,
) -> None:
    found = campaign(
        tmp_path,
        MATRIX
        + """
[[exclude]]
task = "mine"
model = "openai/x"

[[exclude]]
topic = "a curve"
seed = 1

[[include]]
task = "mine"
priority = 3
budget = ["2usd"]
settings = { "rounds" = 5 }

[[include]]
task = "mine"
seed = 1
settings = { "ideas" = 7 }

[[include]]
topic = "something else"
task = "digits"
""",
    )
    axes = [(e.topic, e.task, e.model, e.seed) for e in found.entries]
    assert ("a line", "mine", "openai/x", 0) not in axes
    assert not any(topic == "a curve" and seed == 1 for topic, _, _, seed in axes)
    assert axes.count(("something else", "digits", "offline", 0)) == 1
    assert len(axes) == 16 - 4 - 3 + 1
    # The most important come first.
    assert [entry.task for entry in found.entries[:3]] == ["mine"] * 3
    both = next(e for e in found.entries if e.task == "mine" and e.seed == 1)
    assert both.settings == {"rounds": 5, "ideas": 7} and both.budget == ("2usd",)
    settings = settings_of(found, both)
    assert (settings.rounds, settings.ideas, settings.seed) == (5, 7, 1)
    assert settings.runs == tmp_path / "nightly" / "runs"


def test_settings_of_all_runs_and_of_one_topic_come_together(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "autoresearch.toml").write_text("attempts = 3\n[papers]\narxiv = false\n")
    found = campaign(
        tmp_path,
        '[settings]\nrounds = 4\nsandbox.kind = "local"\nmodel.retries = 1\n'
        '[[include]]\ntask = "mine"\nmodel = "openai/x"\nsettings = { "model.retries" = 2 }\n',
    )
    settings = settings_of(found, found.entries[0])
    assert settings.task == str(tmp_path / "mine")  # a folder beside the file
    assert (settings.rounds, settings.attempts, settings.sandbox.kind) == (4, 3, "local")
    assert settings.model.name == "openai/x" and settings.model.retries == 2


@pytest.mark.parametrize(
    "text, said",
    [
        ("[matrix]\ntopic = []\n", "topic"),
        ("[matrix]\nseeds = [1]\n", "line 2: matrix.seeds: is not a known key"),
        ('[budget]\nnight = ["8 bananas"]\n', "8 bananas"),
        ('[budget]\nnight = ["1usd", "2usd"]\n', "at most one of each"),
        ("[matrix]\nseed = [0]\n[[exclude]]\nseed = 0\n", "no entries"),
        ("[campaign]\nparallel = 0\n", "line 2: campaign.parallel"),
        ("[stop]\ngain = -1\n", "stop.gain"),
        ("x", "not valid TOML"),
        (f"[matrix]\nseed = {list(range(10_001))}\n", "more than 10,000 combinations"),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_one_line_that_says_where(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(BadInput) as refused:
        campaign(tmp_path, text)
    assert said in str(refused.value) and "nightly.toml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_wrong_setting_is_told_with_the_topic_that_has_it(tmp_path: Path) -> None:
    found = campaign(tmp_path, '[[include]]\ntask = "digits"\nsettings = { "rounds" = 0 }\n')
    with pytest.raises(BadInput, match=r"digits-.*rounds"):
        settings_of(found, found.entries[0])
