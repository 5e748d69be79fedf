"""Settings and tasks: later sources win, and what is wrong is said with key, file and line."""

from pathlib import Path

import pytest

from autoresearch.config import find_task, load_settings, load_task, parse_duration, parse_size
from autoresearch.errors import BadInput, TaskError

TASK = """[task]
topic = "t"
goal = "g"

[experiment]
command = ["python", "train.py"]
editable = ["*.py"]
timeout = "2m"

[metric]
name = "accuracy"
direction = "maximize"

[evaluation]
seeds = 5
"""


def make_task(folder: Path, text: str = TASK) -> Path:
    (folder / "baseline").mkdir(parents=True)
    for name in ("data.py", "score.py"):
        (folder / name).touch()
    (folder / "baseline" / "train.py").touch()
    (folder / "task.toml").write_text(text)
    return folder


def test_options_win_over_the_file_and_set_wins_over_options(tmp_path: Path) -> None:
    (tmp_path / "autoresearch.toml").write_text(
        "rounds = 3\nideas = 4\n[model]\ntemperature = 0.1\n"
    )
    options = {"ideas": 5, "model.name": "openai/x", "runs": None}
    settings = load_settings(
        tmp_path, options, ["ideas=6", "model.api_base=http://x", "papers.arxiv=false"]
    )
    assert (settings.rounds, settings.ideas, settings.model.temperature) == (3, 6, 0.1)
    assert (settings.model.name, settings.model.api_base) == ("openai/x", "http://x")
    assert settings.papers.arxiv is False and settings.runs == Path("runs")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rounds = 0", r"autoresearch\.toml, line 1: rounds: .*greater than or equal to 1, not 0"),
        ("rounds = 1\nroundz = 2", r"line 2: roundz: is not a known key"),
        ("[model]\n\ntemperature = 9", r"line 3: model\.temperature"),
        ("rounds =", r"autoresearch\.toml: not valid TOML.*line 1"),
        ("[sandbox]\nkind = 'jail'", r"line 2: sandbox\.kind"),
    ],
)
def test_a_bad_settings_file_is_one_line_with_key_and_line(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "autoresearch.toml").write_text(text)
    with pytest.raises(BadInput, match=said) as caught:
        load_settings(tmp_path, {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("assignment", ["rounds", "=3", "Rounds=3", "a b=3"])
def test_an_assignment_that_is_none_is_refused(tmp_path: Path, assignment: str) -> None:
    with pytest.raises(BadInput, match="key=value"):
        load_settings(tmp_path, {}, [assignment])


def test_a_key_below_something_that_is_no_section_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="rounds is not a section"):
        load_settings(tmp_path, {"rounds": 2}, ["rounds.x=3"])


def test_a_task_is_read_with_its_limits_in_seconds_and_bytes(tmp_path: Path) -> None:
    task = load_task(make_task(tmp_path / "mine"))
    assert (task.name, task.limits.timeout, task.limits.memory) == ("mine", 120.0, 4 * 2**30)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('direction = "maximize"', 'direction = "up"', r"task\.toml, line 12: metric\.direction"),
        ('timeout = "2m"', 'timeout = "soon"', r"'soon' is not a duration"),
        ('timeout = "2m"', 'time_out = "2m"', r"line 8: experiment\.time_out: is not a known key"),
        ('name = "accuracy"\n', "", r"metric\.name: is missing"),
        ("seeds = 5", "seeds = 0", r"line 15: evaluation\.seeds: .*not 0"),
        ("[metric]", "[metric", r"not valid TOML.*line 10"),
    ],
)
def test_a_broken_task_file_names_key_and_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(TaskError, match=said):
        load_task(make_task(tmp_path / "mine", TASK.replace(old, new)))


def test_a_task_folder_without_its_files_says_which(tmp_path: Path) -> None:
    folder = make_task(tmp_path / "mine")
    (folder / "score.py").unlink()
    with pytest.raises(TaskError, match=r"score\.py missing"):
        load_task(folder)


def test_an_unknown_task_lists_those_there_are(tmp_path: Path) -> None:
    make_task(tmp_path / "shipped" / "digits")
    with pytest.raises(TaskError, match=r"unknown task 'nope'.*one of: digits"):
        find_task("nope", tmp_path / "shipped")


def test_durations_and_sizes_are_read_as_people_write_them() -> None:
    assert [parse_duration(v) for v in (90, "90s", "1.5m", "2h")] == [90, 90, 90, 7200]
    assert [parse_size(v) for v in (4096, "1k", "512M", "4GiB")] == [4096, 1024, 2**29, 2**32]
