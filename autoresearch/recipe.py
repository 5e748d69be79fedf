"""The data recipe of a repository with a `prepare.py` that fills a folder in ~/.cache.

A copy of this file is the `data.py` of such a task. Standard library only. It runs prepare.py once, in a
writable copy and with a home of its own, and keeps what that leaves; or, where a prepared folder is
given as $SOURCE, takes that in its place. Programs find it again through `in_a_copy.py`.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

BASELINE = Path("baseline")
HINT = "prepare.py did not run in the sandbox, which has no network: {hint}"


def main() -> int:
    """The exit code of prepare.py; without one there is nothing to prepare."""
    public = Path(os.environ["OUT"]) / "public"
    home = public / "home"
    cache = home / ".cache" / cache_name()
    cache.parent.mkdir(parents=True)
    source = os.environ.get("SOURCE")
    if source:
        shutil.copytree(source, cache)
        return 0
    work = Path(os.environ["TMPDIR"]) / "work"
    shutil.copytree(BASELINE, work)
    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    ran = subprocess.run(
        [sys.executable, "prepare.py"], cwd=work, env=os.environ | {"HOME": str(home)}, check=False
    )
    if ran.returncode:
        hint = f"run it yourself and give ~/.cache/{cache.name} as the data"
        print(HINT.format(hint=hint), file=sys.stderr)
        return 1
    for path in work.rglob("*"):
        if path.is_file() and before.get(path) != path.read_bytes():
            place = public / "work" / path.relative_to(work)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    return 0


def cache_name() -> str:
    """The folder in ~/.cache that the programs name."""
    for name in ("prepare.py", "train.py"):
        path = BASELINE / name
        text = path.read_text(errors="replace") if path.is_file() else ""
        found = re.search(r"""\.cache["']?\s*[,/]\s*["']?([\w.-]+)""", text)
        if found:
            return found[1]
    return "autoresearch"


if __name__ == "__main__":
    sys.exit(main())
