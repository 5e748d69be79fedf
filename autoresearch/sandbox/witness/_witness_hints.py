"""What the interpreter and the installed libraries know about an exception: names that are alike, and the
signatures of what was called. Nothing that the experiment wrote is called. Standard library only."""

import os
import sys

ALIKE = 3  # names
NAMES = 2000  # that are compared
SIGNATURES = 2
TEXT = 240  # characters of a signature
_UNKNOWN = object()
_HIDES = "The file {0}.py hides the module {0} of the standard library: give it another name."

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from types import FrameType
    from typing import Any


def hints(error: "Any", frame: "FrameType | None") -> "list[str]":
    """What Python would ask: did you mean this name, did you forget to import that module?"""
    kind = type(error)  # of Python's own: a subclass may compute what it is asked for
    if kind in (NameError, UnboundLocalError) and frame is not None:
        return _of_name(_missing_name(error), frame)
    if kind is AttributeError:
        owner, name = _owner_and_name(error)
        return _hidden(owner) or _did_you_mean(name, _attributes(owner))
    if kind is ModuleNotFoundError:
        return _of_module(str(error.name or ""), frame)
    if kind is ImportError:
        return _of_import(error, str(error.name or ""))
    if kind is KeyError and frame is not None:
        return _of_key(error, frame)
    return []


def _missing_name(error: NameError) -> str:
    import re

    quoted = re.search(r"'(\w+)'", str(error))
    return getattr(error, "name", None) or (quoted[1] if quoted else "")


def _owner_and_name(error: AttributeError) -> "tuple[object, str]":
    """A module that looks names up itself does not say of which it is."""
    import re

    if type(error.name) is str:
        return error.obj, error.name
    said = re.match(r"module '([\w.]+)' has no attribute '(\w+)'", str(error))
    return (sys.modules.get(said[1]), said[2]) if said else (None, "")


def _of_name(name: str, frame: "FrameType") -> "list[str]":
    import builtins

    known = {*frame.f_locals, *frame.f_globals, *vars(builtins)}
    owner = frame.f_locals.get("self")
    if owner is not None and name in _attributes(owner):
        return [f"Did you mean: self.{name}?"]
    if name in sys.stdlib_module_names:
        return [f"Did you forget to import {name}?"]
    return _did_you_mean(name, known)


def _of_module(name: str, frame: "FrameType | None") -> "list[str]":
    top, _, below = name.rpartition(".")
    if below and top in sys.modules:
        import pkgutil

        path = list(getattr(sys.modules[top], "__path__", ()))
        return _did_you_mean(below, {each.name for each in pkgutil.iter_modules(path)}, f"{top}.")
    tops = {each.partition(".")[0] for each in sys.modules}
    return _did_you_mean(name, {*sys.stdlib_module_names, *tops, *_beside(frame)} - {name})


def _beside(frame: "FrameType | None") -> "set[str]":
    """The program's own modules."""
    folder = os.path.dirname(os.path.abspath(frame.f_code.co_filename)) if frame else ""
    files = os.listdir(folder) if os.path.isdir(folder) else []
    return {file[:-3] for file in files[:NAMES] if file.endswith(".py")}


def _of_import(error: ImportError, name: str) -> "list[str]":
    import re

    module = sys.modules.get(name)
    wanted = getattr(error, "name_from", None)  # from Python 3.12 on
    if wanted is None:
        quoted = re.search(r"cannot import name '(\w+)'", str(error))
        wanted = quoted[1] if quoted else ""
    if name in sys.stdlib_module_names and error.path and not _is_standard(error.path):
        return [_HIDES.format(name)]
    return _did_you_mean(wanted, _attributes(module)) if module is not None else []


def _hidden(module: object) -> "list[str]":
    """That a file of the program's stands before a module of the standard library."""
    if type(module) is not type(sys):
        return []
    own = _dictionary(module)
    name, file = own.get("__name__"), own.get("__file__")
    hides = name in sys.stdlib_module_names and type(file) is str and not _is_standard(file)
    return [_HIDES.format(name)] if hides else []


def _is_standard(file: str) -> bool:
    return file.startswith(os.path.dirname(os.__file__))


def _of_key(error: KeyError, frame: "FrameType") -> "list[str]":
    """The keys of the dictionaries of the frame that are like the one that is missing."""
    key = error.args[0] if error.args else None
    if type(key) is not str:
        return []
    tables = [value for value in frame.f_locals.values() if type(value) is dict]
    known = {each for table in tables for each in list(table)[:NAMES] if type(each) is str}
    return _did_you_mean(key, known or set(os.environ))


def _did_you_mean(name: str, known: "set[str]", before: str = "") -> "list[str]":
    import difflib

    choice = sorted(e for e in known if type(e) is str and e != name and e[:2] != "__")[:NAMES]
    found = difflib.get_close_matches(name[:80], choice, ALIKE, 0.7)
    return (
        [f"Did you mean: {', '.join(before + each for each in found)}?"] if name and found else []
    )


def _attributes(owner: object) -> "set[str]":
    """The names that an object and its classes have, without asking it."""
    names: set[str] = set()
    for each in type.mro(owner) if isinstance(owner, type) else type.mro(type(owner)):
        names |= set(type.__getattribute__(each, "__dict__"))
    own = _dictionary(owner)
    names |= set(own)
    for group in ("_modules", "_parameters", "_buffers"):  # where torch keeps them
        if type(own.get(group)) is dict:
            names |= set(own[group])
    return {name for name in names if type(name) is str and not name.startswith("__")}


def _dictionary(owner: object) -> "dict[str, Any]":
    try:
        own = object.__getattribute__(owner, "__dict__")
    except (AttributeError, TypeError):
        return {}
    return own if type(own) is dict else {}


# --- signatures ---------------------------------------------------------------------------------


def signatures(statement: str, frame: "FrameType", work: str) -> "list[str]":
    """The signatures of the library functions and classes that a statement calls, the outer ones first."""
    import ast

    tree = _parsed(statement)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)] if tree else []
    found: list[str] = []
    for call in calls[:12]:
        value = _value(call.func, frame)
        if value is not _UNKNOWN and not _is_own(value, work):
            text = _signature(ast.unparse(call.func), value)
            if text and text not in found:
                found.append(text)
    return found[:SIGNATURES]


def _parsed(statement: str) -> "ast.AST | None":
    import ast
    import textwrap

    text = textwrap.dedent(statement)
    for each in (text, text.rstrip(":") + ": pass", f"({text}\n)", text.partition("return ")[2]):
        try:
            return ast.parse(each)
        except (SyntaxError, ValueError):
            continue
    return None


def _value(node: "ast.AST", frame: "FrameType") -> object:
    """What a name or an attribute stands for, looked up and never computed."""
    import ast

    if isinstance(node, ast.Name):
        for names in (frame.f_locals, frame.f_globals):
            if node.id in names:
                return names[node.id]
        return _UNKNOWN
    if isinstance(node, ast.Attribute):
        owner = _value(node.value, frame)
        return _UNKNOWN if owner is _UNKNOWN else _attribute(owner, node.attr)
    return _UNKNOWN


def _attribute(owner: object, name: str) -> object:
    own = _dictionary(owner)
    if name in own:
        return own[name]
    modules = own.get("_modules")
    if type(modules) is dict and name in modules:
        return modules[name]
    for kind in type.mro(owner) if isinstance(owner, type) else type.mro(type(owner)):
        members = type.__getattribute__(kind, "__dict__")
        if name in members:
            return members[name]
    return _UNKNOWN


def _is_own(value: object, work: str) -> bool:
    """Whether the program defines it, or it is an object of a class that the program defines."""
    named = _module_of(value) or _module_of(type(value))
    file = getattr(sys.modules.get(named), "__file__", None) or ""
    return named == "__main__" or file.startswith(work)


def _module_of(value: object) -> str:
    """Of functions, classes and the like; "" of what has none."""
    if isinstance(value, type):
        found = type.__getattribute__(value, "__dict__").get("__module__")
    else:
        import types

        plain = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)
        found = value.__module__ if isinstance(value, plain) else None
    return found if type(found) is str else ""


def _signature(name: str, value: object) -> str:
    """NAME(parameters) of a function or class of a library; of compiled ones the head of their text."""
    import inspect
    import re

    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    try:
        made = inspect.signature(value)  # type: ignore[arg-type]
        bare = [p.replace(annotation=p.empty) for p in made.parameters.values()]
        told = str(made.replace(parameters=bare, return_annotation=made.empty))
        return "" if told == "(*args, **kwargs)" else f"{name}{told}"[:TEXT]
    except (ValueError, TypeError):
        said = getattr(value, "__doc__", None)
        head = re.search(r"^\s*(?:[\w.]*\.)?(\w+\([^\n]*\))", said) if type(said) is str else None
        return f"{name.rpartition('.')[0]}.{head[1]}".lstrip(".")[:TEXT] if head else ""
