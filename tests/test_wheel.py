"""The wheel holds everything: a task and the prompts are found without a checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_a_task_that_ships_is_checked_from_an_installed_wheel(
    installed: Path, tmp_path: Path
) -> None:
    program = (
        "import sys, autoresearch; assert autoresearch.__file__.startswith(sys.argv.pop(1)), autoresearch.__file__\n"
        "from autoresearch.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(installed), "task", "check", "digits", "--sandbox", "local", "--quick"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(installed)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "accuracy 0." in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "0 to mend, 0 to think about, 12 fine", done.stdout


def test_the_wheel_holds_the_prompts_the_tasks_the_licence_and_no_tests(installed: Path) -> None:
    shipped = installed / "autoresearch" / "_shipped"
    ours = {str(path.relative_to(ROOT / "prompts")) for path in (ROOT / "prompts").rglob("*.md")}
    assert {
        str(path.relative_to(shipped / "prompts")) for path in (shipped / "prompts").rglob("*.md")
    } == ours
    listed = subprocess.run(
        ["git", "ls-files", "sandboxes"], cwd=ROOT, capture_output=True, text=True
    )
    tasks = {path for path in listed.stdout.split() if (ROOT / path).exists()}
    assert {"sandboxes/image2d/images.b64", "sandboxes/points3d/full/baseline/train.py"} <= tasks
    assert all((shipped / path).is_file() for path in tasks)
    assert (shipped / "templates" / "task" / "baseline" / "train.py").is_file()
    assert all((shipped / "templates" / "page" / f"page.{x}").is_file() for x in ("html", "css"))
    assert (shipped / "templates" / "ci" / "github-actions.yml").is_file()
    names = {path.name for path in installed.rglob("*")}
    assert {"LICENSE", "NOTICE"} <= names and "conftest.py" not in names
