"""The command line of campaigns where nothing is run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def campaign(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autoresearch", "campaign", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "nightly.toml"
    path.write_text('[matrix]\ntopic = ["a", "b"]\ntask = ["digits"]\n[budget]\nnight = ["2h"]\n')
    return path


def test_a_plan_is_shown_and_told_as_json_and_nothing_is_made(file: Path) -> None:
    shown = campaign("plan", str(file))
    assert shown.returncode == 0 and "2 jobs" in shown.stdout and "unknown" in shown.stdout
    told = json.loads(campaign("plan", str(file), "--json").stdout)
    assert [job["kind"] for job in told["jobs"]] == ["start", "start"]
    assert list(file.parent.iterdir()) == [file]


def test_the_status_of_a_campaign_without_a_night_says_so(file: Path) -> None:
    shown = campaign("status", str(file))
    assert shown.returncode == 0 and "0 nights" in shown.stdout
    assert json.loads(campaign("status", str(file), "--json").stdout)["jobs"] == []
    refused = campaign("report", str(file))
    assert refused.returncode == 2 and "holds no night yet" in refused.stderr


@pytest.mark.parametrize(
    "more, said",
    [
        (("--fail-on", "everything"), "give one or more of failed, budget, claims, or none"),
        (("again", "nightly.toml"), "give [plan"),
        (("plan", "missing.toml"), "missing.toml"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    file: Path, more: tuple[str, ...], said: str
) -> None:
    refused = campaign(*(more if more[0] != "--fail-on" else (str(file), *more)))
    assert refused.returncode == 2 and said in refused.stderr and refused.stderr.count("\n") == 1
    assert list(file.parent.iterdir()) == [file]
