"""Which modules the sandbox's Python really finds, asked there: once in a run, when it first matters."""

import tempfile
from functools import partial
from pathlib import Path

from autoresearch.harness import Lab
from autoresearch.records import Limits, Record
from autoresearch.sandbox import Job
from autoresearch.sandbox.results import Refused, read_json

LIMITS = Limits(timeout=60, memory=2**29, processes=64, disk=2**24, file=2**24)
# Folders count where Python would import them; and what is in `work` of the public data is put beside the
# program by `in-a-copy`.
_PROGRAM = """
import importlib.metadata, importlib.util, json, os, pkgutil, sys
names = {*sys.builtin_module_names, *sys.stdlib_module_names, *sys.modules}
names |= {found.name for found in pkgutil.iter_modules()}
for place in filter(os.path.isdir, sys.path):
    names |= {name.split(".")[0] for name in os.listdir(place)}
names |= set(importlib.metadata.packages_distributions())
found = []
for name in sorted(name for name in names if name.isidentifier()):
    try:
        there = name in sys.modules or importlib.util.find_spec(name) is not None
    except Exception:
        there = True  # broken, which is for the run to tell
    if there:
        found.append(name)
beside = os.path.join(os.environ["DATA"], "work")
found += [name.split(".")[0] for name in os.listdir(beside)] if os.path.isdir(beside) else []
json.dump({"modules": found}, open(os.environ["OUT"] + "/modules.json", "w"))
"""


class Modules(Record):
    """The top-level modules that an import finds; () where that could not be told."""

    modules: tuple[str, ...]


def installed(lab: Lab) -> frozenset[str]:
    """What the experiment's Python can import, beside the experiment's own files; empty where the
    command is not that Python, or it did not say."""
    if lab.task.command[0] not in ("python", "python3"):
        return frozenset()
    return frozenset(lab.desk.step("modules", Modules, partial(_ask, lab)).modules)


def _ask(lab: Lab) -> Modules:
    command = (lab.task.command[0], "-c", _PROGRAM)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        inputs = {"data": lab.desk.folder / "data" / "public"}
        lab.sandbox.run(Job(lab.environment, command, inputs, out, LIMITS, {}, "probe"))
        try:
            return Modules.model_validate(read_json(out / "modules.json"))
        except (Refused, ValueError, OSError):
            return Modules(modules=())
