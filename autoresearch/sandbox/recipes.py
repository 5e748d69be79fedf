"""Recipes of environments: what a task's folder says is wanted, its hash, and locks of what came of it.

`requirements.lock`, where a task has one, is installed as it stands and nothing else. Without it the
first build of a recipe resolves `requirements.txt`, and what it found is the lock from then on.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoresearch.errors import TaskError

LOCK = "requirements.lock"
REPORTS = (22, 2)  # the version from which pip can report what it installed

_MADE_OF = "# of requirements.txt with sha256 "


@dataclass(frozen=True)
class Recipe:
    """The texts of a task folder's files, None for one that is not there."""

    folder: Path
    dockerfile: str | None
    requirements: str | None
    lock: str | None

    def key(self, kind: str, base: str) -> str:
        """The name of the environment that `kind` of sandbox makes of it on top of `base`."""
        parts = [kind, base, self.dockerfile, self.requirements, self.lock]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def read_recipe(folder: Path) -> Recipe:
    """Raises TaskError for files that are no text, and for a lock of other requirements."""
    recipe = Recipe(folder, *(_read(folder / n) for n in ("Dockerfile", "requirements.txt", LOCK)))
    made_of = re.search(f"^{_MADE_OF}([0-9a-f]+)$", recipe.lock or "", re.MULTILINE)
    if made_of and made_of[1] != _digest(recipe.requirements):
        raise TaskError(
            f"{folder / LOCK} was made of another requirements.txt: make it again with "
            f"`autoresearch task lock {folder}`, or delete it"
        )
    return recipe


def _read(file: Path) -> str | None:
    try:
        return file.read_text() if file.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{file} cannot be read as text: {error}") from None


def _digest(text: str | None) -> str:
    return hashlib.sha256((text or "").encode()).hexdigest()[:32]


# --- locks --------------------------------------------------------------------------------------


def lock_of(recipe: Recipe, described: Mapping[str, Any], report: bytes | None) -> str:
    """A requirements file of exactly what was installed for the recipe.

    `described` says what is there; a pip that could write a `report` told the archives' hashes too.
    """
    if recipe.lock is not None or recipe.requirements is None:
        return recipe.lock or ""
    if report is None:
        lines = list(described["installed"])
    else:
        found = [_pinned(each) for each in json.loads(report)["install"]]
        # pip checks all of them or none.
        hashed = all(digest for _, digest in found)
        lines = [f"{line} \\\n    --hash={digest}" if hashed else line for line, digest in found]
    header = [
        f"# Exactly what was installed, for Python {described['python']} on {described['machine']};",
        f"{_MADE_OF}{_digest(recipe.requirements)}",
    ]
    return "\n".join([*header, *sorted(lines, key=str.lower)]) + "\n"


def _pinned(item: Mapping[str, Any]) -> tuple[str, str]:
    """One package of pip's report as a line, and its archive's hash where there is an archive.

    Where it was fetched from is kept only for what the user named by its address."""
    about, source = item["metadata"], item["download_info"]
    name, archive = about["name"], source.get("archive_info", {})
    digest = archive.get("hashes", {}).get("sha256")
    hashed = f"sha256:{digest}" if digest else str(archive.get("hash") or "").replace("=", ":")
    if not item.get("is_direct"):
        return f"{name}=={about['version']}", hashed
    version_control = source.get("vcs_info")
    if version_control:
        where = f"{version_control['vcs']}+{source['url']}@{version_control['commit_id']}"
        return f"{name} @ {where}", ""
    return f"{name} @ {source['url']}", hashed


def can_report(version: bytes) -> bool:
    """Whether this pip can, by what `pip --version` prints."""
    found = re.search(rb"pip (\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= REPORTS
