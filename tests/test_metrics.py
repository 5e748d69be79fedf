"""A metric that a program reports itself: read from hostile output and files, within bounds."""

import json
import os
import time
from pathlib import Path

import pytest

from autoresearch.config import load_task
from autoresearch.errors import TaskError
from autoresearch.metrics import LONGEST, check_pattern, last_match, number_in
from autoresearch.records import Ended, Reported
from autoresearch.reported import reported_score
from tests.examples import EXECUTION, TASK

PATTERN = r"accuracy: (\S+)"
RAN = EXECUTION.model_copy(update={"ended": Ended.exited, "exit_code": 0})


def said(text: str, pattern: str = PATTERN) -> tuple[float | None, str]:
    reported = Reported(pattern=pattern)
    ran = RAN.model_copy(update={"stdout": text})
    score = reported_score(TASK, reported, ran, Path("/nowhere"))
    assert score.split == "self-reported"
    return score.value, score.reason


def left(folder: Path, key: str = "line.means.loss") -> tuple[float | None, str]:
    reported = Reported(file="final_info.json", key=tuple(key.split(".")))
    score = reported_score(TASK, reported, RAN, folder)
    return score.value, score.reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("accuracy: 0.5\naccuracy: 0.75\n", 0.75),
        ("\rstep 9 accuracy: 0.1\raccuracy: 0.2 accuracy: 0.3", 0.3),
        ("accuracy: 91.5%, loss: 3", 91.5),
        ("accuracy: -1e-3", -0.001),
        ("accuracy: 0.9\n" * 4000 + "accuracy: 0.25", 0.25),
    ],
)
def test_the_last_match_in_a_line_counts_however_often_it_is_printed(
    text: str, value: float
) -> None:
    assert said(text) == (value, "")


@pytest.mark.parametrize(
    "text", ["", "accuracy 0.9", *(f"accuracy: {word}" for word in ("nan", "inf", "-Infinity", "skipped", "1e999", "1_0", "٣"))]
)  # fmt: skip
def test_no_number_is_no_result_and_never_zero(text: str) -> None:
    value, reason = said(text)
    assert value is None and reason.startswith("no self-reported accuracy: ")


def test_a_number_before_a_last_match_that_is_none_does_not_count() -> None:
    assert said("accuracy: 0.9\naccuracy: nan")[0] is None


def test_a_line_that_the_cut_of_a_long_output_runs_through_does_not_count() -> None:
    cut = "accuracy: 0.5\naccuracy: 0.9\n[... 7 bytes left out ...]\naccuracy: 0.8\n"
    assert said(cut) == (0.5, "")


@pytest.mark.parametrize("pattern", [r"^(a+)+$", r"(a|aa)+b", r"((a*)*)*c"])
def test_a_pattern_that_would_take_for_ever_is_given_up_in_seconds(pattern: str) -> None:
    began = time.monotonic()
    value, reason = said(("a" * 3000 + "!\n") * 30, pattern)
    assert value is None and time.monotonic() - began < 60
    assert "took over" in reason or "matches" in reason


@pytest.mark.parametrize(
    ("pattern", "why"),
    [("accuracy: \\S+", "no group"), ("(", "no regular expression"), ("(a)" * LONGEST, "longer")],
)
def test_a_pattern_that_cannot_work_is_refused_before_anything_runs(pattern: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_pattern(pattern)


def test_a_very_long_number_or_line_is_bounded() -> None:
    assert number_in("1" * 10**6) is None and number_in("1" * 64) == pytest.approx(1.1111e63, 1e-3)
    assert last_match(PATTERN, "x" * 10**6 + "accuracy: 0.9") is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"line": {"means": {"loss": NaN}}}', "NaN"),
        ('{"line": {"means": {"loss": 1e999}}}', "finite"),
        ('{"line": {"means": {"loss": true}}}', "True"),
        ('{"line": {"means": {"loss": "0.5"}}}', "no finite number"),
        ('{"line": {"means": {}}}', "has no line.means.loss"),
        ("[1, 2]", "has no line,"),
        ("[" * 100_000, "nested"),
        ('{"line": ' * 40 + "1" + "}" * 40, "nested"),
        (f'{{"line": {"1" * 5000}}}', "final_info.json"),
        ('{"a": 1, "a": 2}', "twice"),
        (" " * (5 * 2**20), "more than"),
        ("accuracy", "JSON"),
    ],
)
def test_a_file_that_is_hostile_or_says_nothing_is_no_result(
    tmp_path: Path, text: str, why: str
) -> None:
    (tmp_path / "final_info.json").write_text(text)
    value, reason = left(tmp_path)
    assert value is None and why in reason


def test_links_and_special_files_are_not_read(tmp_path: Path) -> None:
    path, target = tmp_path / "final_info.json", tmp_path / "target"
    target.write_text('{"line": {"means": {"loss": 0.1}}}')
    for make in (path.hardlink_to, path.symlink_to, lambda _: os.mkfifo(path)):
        make(target)
        assert left(tmp_path)[0] is None
        path.unlink()


def test_a_key_leads_through_names_lists_and_the_first_of_several(tmp_path: Path) -> None:
    found = {"line": {"means": {"loss": 0.5}, "all": [0.1, 0.2]}, "bow": {"means": {"loss": 0.7}}}
    (tmp_path / "final_info.json").write_text(json.dumps(found))
    keys = ("line.means.loss", "*.means.loss", "line.all.1", "line.all.-1", "line.all.2")
    assert [left(tmp_path, key)[0] for key in keys] == [0.5, 0.5, 0.2, 0.2, None]


def test_what_a_program_says_before_it_fails_does_not_count(tmp_path: Path) -> None:
    from tests.test_cli import autoresearch

    train = tmp_path / "crash" / "train.py"
    train.parent.mkdir()
    train.write_text("print('accuracy: 0.99', flush=True)\nraise KeyError('too late')\n")
    done = autoresearch(
        "task", "check", "crash", "--metric", PATTERN, "--direction", "maximize", "--sandbox", "local", cwd=tmp_path
    )  # fmt: skip
    assert done.returncode == 2 and "exit code 1: KeyError: 'too late'" in done.stdout
    assert "0.99" not in done.stdout + done.stderr


# --- the table ----------------------------------------------------------------------------------

TABLE = """[task]
topic = "t"
goal = "g"
[experiment]
command = ["python", "train.py"]
editable = ["*.py"]
[metric]
name = "accuracy"
direction = "maximize"
"""


def task_with(folder: Path, *lines: str) -> Path:
    (folder / "baseline").mkdir(parents=True)
    (folder / "baseline" / "train.py").touch()
    (folder / "task.toml").write_text(TABLE + "\n".join(lines) + "\n")
    return folder


def test_a_task_that_reports_its_metric_needs_no_recipe_and_no_scorer(tmp_path: Path) -> None:
    task = load_task(task_with(tmp_path / "a", r"pattern = 'accuracy: (\S+)'"))
    assert task.reported == Reported(pattern=PATTERN)
    assert task.shown_metric == "accuracy (self-reported)"
    for number, key in enumerate(('"means.accuracy"', '["means", "accuracy"]')):
        task = load_task(task_with(tmp_path / f"b{number}", 'json = "r.json"', f"key = {key}"))
        assert task.reported == Reported(file="r.json", key=("means", "accuracy"))
    with pytest.raises(TaskError, match=r"data\.py, score\.py missing"):
        load_task(task_with(tmp_path / "c"))


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ((r"pattern = 'accuracy: \S+'",), "pattern has no group"),
        ((r"pattern = '(x)'", 'json = "r.json"', 'key = "a"'), "not both"),
        (('json = "r.json"',), "give both"),
        (('key = "a"',), "give both"),
        (('json = "../r.json"', 'key = "a"'), "not a path inside"),
        (('json = "/etc/r.json"', 'key = "a"'), "not a path inside"),
    ],
)
def test_a_metric_table_that_cannot_work_is_one_line_with_the_file(
    tmp_path: Path, lines: tuple[str, ...], why: str
) -> None:
    with pytest.raises(TaskError, match=rf"task\.toml, line \d+: metric: .*{why}") as caught:
        load_task(task_with(tmp_path / "a", *lines))
    assert "\n" not in str(caught.value)
