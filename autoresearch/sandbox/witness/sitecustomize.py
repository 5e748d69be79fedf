"""Inside a sandbox: what an experiment that failed was doing, as a record. Standard library only.

Python imports a module of this name at its start, when its folder is in PYTHONPATH. With that folder in
$WITNESS, an exception that nobody caught is described in $OUT/failure.json before it is printed as ever; a
crash of the interpreter, and $WITNESS_SECONDS without an end, print the stacks of all threads on stderr.
Nothing else changes: the variables and the folder are gone before the program begins, so that neither it nor
the processes it starts see them. What is written is the experiment's own word, for a model to read.

    {"thread": str or null,
     "chain": [{"type", "message", "notes": [str], "relation": "" | "cause" | "context" | "member",
                "hints": [str], "signatures": [str],
                "frames": [{"file", "line", "function", "statement", "own": bool,
                            "locals": [{"name", "type", "value"}]}],
                "left_out": int}]}

The chain begins with the exception that ended the program, then what caused it. Own frames are those of
files below $WORK; hints and signatures are about the innermost of them. Values are described without running code of the experiment: builtin values are shown,
arrays by shape, dtype, device and how much of them is not finite, everything else by its type.
"""

import os
import sys

CHAIN = 6
FRAMES = 24  # of one exception: the first and the last
LOCALS = 14  # of one frame
STATEMENT = 600  # characters
MESSAGE = 3000
LARGEST = 200_000  # characters of the record
CALLS = (TypeError, ValueError, RuntimeError)  # where it helps to know what the callee takes

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from _witness_hints import hints, signatures  # type: ignore[import-not-found]  # noqa: E402
from _witness_imports import StandardLibrary  # type: ignore[import-not-found]  # noqa: E402
from _witness_values import VALUE, describe, full_name, safely  # type: ignore[import-not-found]  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType
    from typing import Any


# --- frames -------------------------------------------------------------------------------------


class Witness:
    """Writes the record of one process, at most once for its main thread."""

    def __init__(self, path: str, work: str) -> None:
        self.path, self.work, self.process = path, os.path.join(work, ""), os.getpid()
        self.written = False

    def write(self, error: BaseException, thread: "str | None") -> None:
        if os.getpid() != self.process or (self.written and thread):
            return
        with StandardLibrary(self.work):
            chain = [self._exception(each, relation) for each, relation in _chain(error)]
            text = self._dump(chain, thread)
            while len(text) > LARGEST and any(self._shrink(each) for each in chain):
                text = self._dump(chain, thread)
        with open(self.path, "w") as file:
            file.write(text)
        self.written = True

    def _dump(self, chain: "list[dict[str, Any]]", thread: "str | None") -> str:
        """Without the places that folders happen to have on this machine."""
        import json

        text = json.dumps({"thread": thread, "chain": chain})
        for name in ("OUT", "TMPDIR", "DATA", "WORK"):
            path, short = os.environ.get(name, ""), {"TMPDIR": "/tmp"}.get(name, f"/{name.lower()}")
            if len(path) > len(short):
                text = text.replace(json.dumps(path)[1:-1], short)
        for path, short in ((sys.prefix, "/environment"), (sys.base_prefix, "/python")):
            if path not in ("/usr", "/usr/local"):
                text = text.replace(json.dumps(path)[1:-1], short)
        return text

    def _shrink(self, exception: "dict[str, Any]") -> bool:
        for frame in exception["frames"]:
            if frame["locals"]:
                frame["locals"] = frame["locals"][: len(frame["locals"]) // 2]
                return True
        return False

    def _exception(self, error: BaseException, relation: str) -> "dict[str, Any]":
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else full_name(kind)
        notes = safely(lambda: [str(n)[:300] for n in error.__notes__][:5], otherwise=[])
        walked = list(_walk(error.__traceback__))
        half = FRAMES // 2
        kept = walked if len(walked) <= FRAMES else walked[:half] + walked[-half:]
        frames = [safely(self._frame, *each, otherwise=None) for each in kept]
        own = [frame for frame, _ in walked if self._is_own(frame)]
        where = own[-1] if own else None
        statement = next((f["statement"] for f in reversed(frames) if f and f["own"]), "")
        called = isinstance(error, CALLS) and where is not None
        return {
            "type": name,
            "message": safely(lambda: _cut(str(error)), otherwise="(its text cannot be had)"),
            "notes": notes,
            "relation": relation,
            "hints": safely(hints, error, where, otherwise=[]),
            "signatures": safely(signatures, statement, where, self.work, otherwise=[])
            if called
            else [],
            "frames": [frame for frame in frames if frame],
            "left_out": len(walked) - len(kept),
        }

    def _is_own(self, frame: "FrameType") -> bool:
        return os.path.abspath(frame.f_code.co_filename).startswith(self.work)

    def _frame(self, frame: "FrameType", trace: "TracebackType") -> "dict[str, Any]":
        file = os.path.abspath(frame.f_code.co_filename)
        own = self._is_own(frame)
        statement, first = _statement(frame, trace)
        return {
            "file": file[len(self.work) :] if own else _of_library(file),
            "line": first,
            "function": getattr(frame.f_code, "co_qualname", frame.f_code.co_name),
            "statement": statement[:STATEMENT],
            "own": own,
            "locals": self._locals(frame, statement) if own else [],
        }

    def _locals(self, frame: "FrameType", statement: str) -> "list[dict[str, str]]":
        import re
        import types

        passed_over = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)
        names = set(re.findall(r"\w+", statement))
        values = {
            name: value
            for name, value in list(frame.f_locals.items())
            if not name.startswith("__") and not isinstance(value, passed_over)
        }
        if "self" in values and hasattr(values["self"], "__dict__"):
            values |= _attributes(values["self"], statement)
        order = sorted(values, key=lambda name: (name.partition(".")[2] or name) not in names)
        described = []
        for name in order[:LOCALS]:
            kind, text = safely(describe, values[name], otherwise=(_kind(values[name]), "?"))
            described.append({"name": name[:80], "type": kind, "value": text[: 2 * VALUE]})
        return described


def _cut(text: str) -> str:
    """Head and tail: what comes out of a worker process ends with what went wrong."""
    half = MESSAGE // 2
    return text if len(text) <= MESSAGE else f"{text[:half]}\n[…]\n{text[-half:]}"


def _attributes(owner: object, statement: str) -> "dict[str, Any]":
    """The attributes of `self` that a statement names, from its own dictionary alone."""
    import re

    own = object.__getattribute__(owner, "__dict__")
    wanted = re.findall(r"\bself\.(\w+)", statement)
    found = {f"self.{name}": own[name] for name in wanted if type(own) is dict and name in own}
    modules = own.get("_modules") if type(own) is dict else None  # where torch keeps layers
    for name in wanted:
        if type(modules) is dict and name in modules:
            found[f"self.{name}"] = modules[name]
    return found


def _kind(value: object) -> str:
    return str(type.__getattribute__(type(value), "__name__"))


def _walk(trace: "TracebackType | None") -> "Iterator[tuple[FrameType, TracebackType]]":
    while trace is not None:
        yield trace.tb_frame, trace
        trace = trace.tb_next


def _statement(frame: "FrameType", trace: "TracebackType") -> "tuple[str, int]":
    """The lines of the expression that was being evaluated, and the number of the first."""
    import linecache

    code, first, last = frame.f_code, trace.tb_lineno, trace.tb_lineno
    if hasattr(code, "co_positions"):
        positions = list(code.co_positions())[trace.tb_lasti // 2]
        first, last = positions[0] or first, positions[1] or last
    lines = [
        linecache.getline(code.co_filename, n) for n in range(first, min(last, first + 11) + 1)
    ]
    return "".join(lines).strip("\n"), first


def _of_library(file: str) -> str:
    for mark in ("/site-packages/", "/dist-packages/", "/lib/"):
        if mark in file:
            return file.rpartition(mark)[2]
    return os.path.basename(file)


def _chain(error: BaseException) -> "list[tuple[BaseException, str]]":
    """The exception and what it came from, as Python would print them, the last one first."""
    found: list[tuple[BaseException, str]] = []
    waiting, seen = [(error, "")], set()
    while waiting and len(found) < CHAIN:
        each, relation = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        found.append((each, relation))
        members = getattr(each, "exceptions", ()) if _is_group(each) else ()
        waiting += [(member, "member") for member in tuple(members)[:3]]
        if each.__cause__ is not None:
            waiting.append((each.__cause__, "cause"))
        elif each.__context__ is not None and not each.__suppress_context__:
            waiting.append((each.__context__, "context"))
    return found


def _is_group(error: BaseException) -> bool:
    return sys.version_info >= (3, 11) and isinstance(error, BaseExceptionGroup)


# --- setting up ---------------------------------------------------------------------------------


def _watch(witness: Witness, seconds: float) -> None:
    import faulthandler
    import threading

    faulthandler.enable()
    if seconds > 0:
        faulthandler.dump_traceback_later(seconds)
    printed, printed_in_thread = sys.excepthook, threading.excepthook

    def hook(kind: "Any", error: BaseException, trace: "Any") -> None:
        if not issubclass(kind, KeyboardInterrupt):
            safely(witness.write, error, None, otherwise=None)
        printed(kind, error, trace)

    def hook_in_thread(arguments: "Any") -> None:
        if arguments.exc_value is not None and arguments.exc_type is not SystemExit:
            name = str(getattr(arguments.thread, "name", "a thread"))[:80]
            safely(witness.write, arguments.exc_value, name, otherwise=None)
        printed_in_thread(arguments)

    sys.excepthook, threading.excepthook = hook, hook_in_thread


def _run_hidden() -> None:
    """Run the module of this name that stands behind this one, as the system may have."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


def _begin() -> None:
    folder = os.environ.pop("WITNESS", "")
    seconds = float(os.environ.pop("WITNESS_SECONDS", "0"))
    if not folder or "OUT" not in os.environ:
        return
    here = os.path.dirname(os.path.abspath(__file__))
    kept = [
        each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each and each != here
    ]
    os.environ["PYTHONPATH"] = os.pathsep.join(kept)
    if not kept:
        del os.environ["PYTHONPATH"]
    sys.path[:] = [each for each in sys.path if os.path.abspath(each) != here or each == ""]
    _run_hidden()
    path = os.path.join(os.environ["OUT"], "failure.json")
    _watch(Witness(path, os.environ.get("WORK", os.getcwd())), seconds)


_begin()
