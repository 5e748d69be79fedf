"""Runs a program in a writable copy of its folder, for programs that write beside themselves.

A copy of this file stands in the task of a folder that was made for another system, where it is not
editable: `python in-a-copy SCRIPT [ARGUMENT...]`, with $OUT for {out} in an argument. Standard library
only. What the task's recipe left is put where such programs look for it: `work` beside the program,
`home` in its home folder, all of it at ../../data. Large files are links, and stay read-only.
"""

import os
import shutil
import sys
from pathlib import Path

LARGE = 2**20  # bytes


def main() -> None:
    """Becomes the program: its exit code and signals are its own."""
    place, home = (Path(os.environ["TMPDIR"]) / name for name in ("copy/work", "home"))
    data = Path(os.environ["DATA"])
    (Path(os.environ["TMPDIR"]) / "data").symlink_to(data)
    bring(Path.cwd(), place)
    bring(data / "work", place)
    home.mkdir(exist_ok=True)
    for cached in (data / "home" / ".cache").glob("*"):
        (home / ".cache").mkdir(exist_ok=True)
        (home / ".cache" / cached.name).symlink_to(cached)
    os.environ["HOME"] = str(home)
    os.chdir(place)
    arguments = [each.replace("{out}", os.environ["OUT"]) for each in sys.argv[1:]]
    os.execv(sys.executable, [sys.executable, *arguments])


def bring(source: Path, target: Path) -> None:
    """Copy what is below `source`, if it is there, to `target`; large files as links to it."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        elif path.stat().st_size > LARGE:
            place.symlink_to(path)
        else:
            shutil.copyfile(path, place)
            place.chmod(0o755 if os.access(path, os.X_OK) else 0o644)


if __name__ == "__main__":
    main()
