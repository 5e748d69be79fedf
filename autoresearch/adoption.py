"""Existing code as a task's baseline: what to copy, how it is started, which packages it needs."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.errors import BadInput

LARGEST_CODE = 2 * 2**20  # bytes of a file that still counts as code
LARGEST_DATA = 200 * 2**20  # bytes of a data file that is copied to raw/
DATA = (
    ".csv", ".tsv", ".jsonl", ".npy", ".npz", ".parquet", ".feather", ".h5", ".hdf5", ".pkl", ".pickle",
    ".joblib", ".arff", ".mat", ".db", ".sqlite", ".zip", ".gz", ".bz2", ".xz", ".tar", ".png", ".jpg",
    ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".wav", ".mp3", ".flac", ".bin", ".dat", ".data",
)  # fmt: skip
SKIPPED = (
    "__pycache__", "node_modules", "venv", "env", "wandb", "mlruns", "lightning_logs", "runs", "build",
    "dist",
)  # fmt: skip
SECRET = re.compile(r"\.(pem|key|p12|keystore)$|^id_(rsa|ed25519)|credential|secret", re.IGNORECASE)
ENTRIES = ("train.py", "main.py", "run.py", "experiment.py", "app.py")
PACKAGES = {  # import names whose distribution is called otherwise
    "sklearn": "scikit-learn", "cv2": "opencv-python-headless", "PIL": "pillow", "yaml": "PyYAML",
    "skimage": "scikit-image", "bs4": "beautifulsoup4", "dateutil": "python-dateutil",
    "dotenv": "python-dotenv", "Bio": "biopython", "umap": "umap-learn",
}  # fmt: skip
_INSTALLED = """
import importlib.metadata as m, json
names = {n: d[0] for n, d in m.packages_distributions().items()}
print(json.dumps({n: f"{d}=={m.version(d)}" for n, d in names.items()}))
"""


@dataclass
class Adopted:
    """What was made of the code, for the user to read: paths are relative to it."""

    code: list[str] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)  # what may start it, the likeliest first
    requirements: str = ""
    unpinned: list[str] = field(default_factory=list)


def adopt(source: Path, task: Path, never: Path) -> Adopted:
    """Copy code from `source` (a folder or one file) to `task`/baseline and data to `task`/raw.

    `never` is the folder that is being made, which may lie inside of `source`. Links are not followed.
    """
    found = Adopted()
    root = source.parent if source.is_file() else source
    paths = [source] if source.is_file() else _walk(source, never.resolve(), found)
    for path in paths:
        name = str(path.relative_to(root))
        kind = _kind(path)
        if kind in ("code", "raw"):
            target = task / ("baseline" if kind == "code" else "raw") / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            target.chmod(0o644)
            (found.code if kind == "code" else found.raw).append(name)
        else:
            found.left_out.append(f"{name} ({kind})")
    if not found.code:
        raise BadInput(
            f"{source} holds no code that could be copied: name the program or its folder"
        )
    baseline = task / "baseline"
    found.entries = _entries(baseline, found.code)
    _require(baseline, found)
    return found


def _walk(source: Path, never: Path, found: Adopted) -> Iterator[Path]:
    for folder, names, files in os.walk(source):
        here = Path(folder)
        kept = []
        for name in sorted(names):
            path = here / name
            why = "a link" if path.is_symlink() else _why_skipped(path)
            if path.resolve() == never:
                continue
            if why:
                found.left_out.append(f"{path.relative_to(source)}/ ({why})")
            else:
                kept.append(name)
        names[:] = kept
        yield from (here / name for name in sorted(files))


def _why_skipped(folder: Path) -> str:
    if (folder / "pyvenv.cfg").exists():
        return "a virtual environment"
    if folder.name.startswith("."):
        return "hidden"
    made = folder.name in SKIPPED or folder.name.endswith(".egg-info")
    return "made by a tool" if made else ""


def _kind(path: Path) -> str:
    """ "code", "raw", or why the file is left out."""
    if path.is_symlink() or not path.is_file():
        return "a link" if path.is_symlink() else "not a regular file"
    if path.name.startswith("."):
        return "hidden"
    if SECRET.search(path.name):
        return "may hold a secret"
    if path.suffix in (".pyc", ".pyo"):
        return "compiled"
    size = path.stat().st_size
    if path.suffix.lower() not in DATA and size <= LARGEST_CODE:
        return "code"
    return "raw" if size <= LARGEST_DATA else f"{size / 2**20:.0f} MiB"


# --- how it is started --------------------------------------------------------------------------


def _entries(baseline: Path, names: list[str]) -> list[str]:
    """The programs among the files: by their usual names, then those that say `__main__`."""
    programs = [
        name
        for name in names
        if name.endswith(".py")
        and not re.search(
            r"(^|/)(test_\w*|conftest|setup|__init__)\.py$|(^|/)(tests?|docs?)/", name
        )
    ]
    if len(programs) == 1:
        return programs

    def rank(name: str) -> tuple[int, int, int, str]:
        usual = ENTRIES.index(Path(name).name) if Path(name).name in ENTRIES else len(ENTRIES)
        return name.count("/"), usual, -_is_program(baseline / name), name

    likely = [n for n in programs if Path(n).name in ENTRIES or _is_program(baseline / n)]
    return sorted(likely, key=rank)


def _is_program(path: Path) -> bool:
    return "__main__" in path.read_text(errors="replace")


# --- what it needs ------------------------------------------------------------------------------


def _require(baseline: Path, found: Adopted) -> None:
    """Its own requirements.txt; without one its imports, pinned to what is installed here."""
    own = baseline / "requirements.txt"
    if own.is_file():
        found.requirements = own.read_text(errors="replace")
        lines = [line.partition("#")[0].strip() for line in found.requirements.splitlines()]
        found.unpinned = [line for line in lines if line and not re.search(r"==|@|^-", line)]
        return
    imported = _imports(baseline, found.code)
    installed = _installed() if imported else {}
    lines = []
    for name in sorted(imported):
        pinned = installed.get(name)
        lines.append(pinned or PACKAGES.get(name, name))
        if pinned is None:
            found.unpinned.append(lines[-1])
    found.requirements = "".join(f"{line}\n" for line in sorted(set(lines), key=str.lower))


def _imports(baseline: Path, names: list[str]) -> set[str]:
    """The top-level modules that the code imports, without the standard library's and its own."""
    found: set[str] = set()
    for name in names:
        if name.endswith(".py"):
            found |= _imported_by((baseline / name).read_text(errors="replace"))
    own = {part.removesuffix(".py") for name in names for part in Path(name).parts}
    return found - own - set(sys.stdlib_module_names)


def _imported_by(source: str) -> set[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return set()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def _installed() -> dict[str, str]:
    """ "name==version" by import name: of the `python` on the PATH, which is likely the one that the
    code was written for, then of this one."""
    found = {}
    for name, owners in importlib.metadata.packages_distributions().items():
        found[name] = f"{owners[0]}=={importlib.metadata.version(owners[0])}"
    for name in ("python", "python3"):
        python = shutil.which(name)
        if python is not None and Path(python) != Path(sys.executable):
            found.update(_installed_for(python))
            break
    # A local version such as 2.3.0+cpu is on no index.
    return {name: pinned.partition("+")[0] for name, pinned in found.items()}


def _installed_for(python: str) -> dict[str, str]:
    command = [python, "-c", _INSTALLED]
    try:
        ran = subprocess.run(command, cwd="/", capture_output=True, timeout=60, check=True)
        return dict(json.loads(ran.stdout))
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}  # it is only asked for a better guess
