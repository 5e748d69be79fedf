"""The data recipe of a folder made for another system; a copy of this file is its `data.py`.

Standard library only. A prepare.py, which fills a folder in ~/.cache, is run once in a writable copy and
with a home of its own; what it leaves is kept. Of a program that reads ../../data, the copy `beside` is
taken. A folder given as $SOURCE takes the place of either. `in_a_copy.py` puts it where programs look.
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
    """The exit code for the recipe."""
    public = Path(os.environ["OUT"]) / "public"
    public.mkdir()
    cache = public / "home" / ".cache" / cache_name()
    source, beside = os.environ.get("SOURCE"), Path("beside")
    fixed = (BASELINE / "prepare.py").is_file()
    if source:
        shutil.copytree(source, cache if fixed else public, dirs_exist_ok=True)
    elif beside.is_dir():
        shutil.copytree(beside, public, dirs_exist_ok=True)
    elif fixed:
        return prepare(public, cache)
    return 0


def prepare(public: Path, cache: Path) -> int:
    """Run prepare.py; what it makes at home and beside itself ends up in `public`."""
    cache.parent.mkdir(parents=True)
    home, work = public / "home", Path(os.environ["TMPDIR"]) / "work"
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
