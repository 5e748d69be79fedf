"""`autoresearch clean` frees what nothing uses, and nothing else. Images: in test_environments.py."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.cleaning import clean_up
from autoresearch.config import SandboxSettings
from autoresearch.errors import BadInput
from autoresearch.sandbox.scratch import current_owner
from autoresearch.sandbox.shelf import Shelf

OLD = 1.6e9


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SandboxSettings:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    return SandboxSettings(cache=tmp_path / "cache")


@pytest.fixture
def shelf(settings: SandboxSettings) -> Iterator[Shelf]:
    """A shelf with something like one environment, last used long ago."""
    shelf, key = Shelf(settings), "0123456789abcdef"
    shelf.use(key)
    shelf.leave()
    (shelf.folder / key / "bin").mkdir(parents=True)
    (shelf.folder / key / "bin" / "python").write_bytes(bytes(2**20))
    for kind in ("requirements", "log"):
        shelf.file(key, kind).touch()
    os.utime(shelf.file(key, "used"), (OLD, OLD))
    yield shelf


def only(shelf: Shelf) -> str:
    (key,) = shelf.every_key()
    return key


def clean(
    settings: SandboxSettings, age: str = "30d", everything: bool = False, dry_run: bool = False
) -> list[str]:
    absent, *lines = clean_up(settings, age, everything, dry_run)
    assert absent.startswith("images are not looked at: no Docker engine answers")
    return lines


def test_what_was_not_used_for_long_goes_and_what_is_not_an_environment_stays(
    settings: SandboxSettings, shelf: Shelf
) -> None:
    key = only(shelf)
    mine = [shelf.folder / "notes.txt", shelf.folder.parent / "cassettes" / "a"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (OLD, OLD))
    told = clean(settings, dry_run=True)
    assert told[0].startswith(f"would remove venv  {key}") and told[-1].startswith("would free")
    assert (shelf.folder / key / "bin" / "python").exists()
    assert clean(settings, age="20000d")[0].startswith("kept")
    line, freed = clean(settings)
    assert line.startswith(f"removed      venv  {key}") and "MiB" in line and "MiB" in freed
    assert not (shelf.folder / key).exists() and not shelf.file(key, "log").exists()
    assert shelf.file(key, "requirements").exists()  # so that building again gives the same
    assert all(path.exists() for path in mine)
    assert clean(settings, everything=True) == ["freed 0 bytes"]
    assert not shelf.file(key, "requirements").exists()


USER = """
import sys, time
from pathlib import Path
from autoresearch.config import SandboxSettings
from autoresearch.sandbox.shelf import Shelf
shelf = Shelf(SandboxSettings(cache=Path(sys.argv[1])))
shelf.use(sys.argv[2])
print(sys.argv[2], flush=True)
time.sleep(60)
"""


def test_an_environment_that_another_process_uses_stays_until_that_has_ended(
    settings: SandboxSettings, shelf: Shelf
) -> None:
    key = only(shelf)
    command = [sys.executable, "-c", USER, str(settings.cache), key]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline().strip() == key
        assert shelf.last_used(key) > OLD  # and that it was used is known
        assert clean(settings, everything=True)[0].startswith("in use")
        other.kill()
    assert clean(settings, everything=True)[0].startswith("removed")


def test_folders_of_killed_runs_go_and_those_of_living_ones_stay(
    settings: SandboxSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine = tmp_path / f"autoresearch-{current_owner()}:00"
    gone = tmp_path / "autoresearch-another-boot:1:2:3:00"
    for folder in (mine, gone):
        (folder / "out").mkdir(parents=True)
    assert clean(settings, dry_run=True)[0] == "would remove 1 temporary folders of killed runs"
    assert gone.exists()
    assert clean(settings)[0] == "removed      1 temporary folders of killed runs"
    assert mine.exists() and not gone.exists()
    shutil.rmtree(mine)


def test_an_age_that_is_none_is_refused(settings: SandboxSettings) -> None:
    with pytest.raises(BadInput, match="--older-than: 'soon' is not a duration"):
        list(clean_up(settings, "soon", everything=False, dry_run=False))
