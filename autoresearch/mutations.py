"""One change at a time to any Python program: blind search's idea of an idea.

Settings take other values, names are replaced by names that can stand in for them, and usual steps are
added. Nothing here knows a task: what is worth changing is read from the code and its names.
"""

import ast
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from autoresearch.alternatives import OPTIONS, UNTOUCHABLE, nearby, scale_of
from autoresearch.records import Edit
from autoresearch.rewrites import additions, parses_with, replacements
from autoresearch.sourcecode import Change, Source, called, rewritten
from autoresearch.textedits import applied, edits_between

LARGEST_FILE = 100_000  # characters


@dataclass(frozen=True)
class Mutation:
    """One change. `subject` is what is changed ("learning-rate"), and the first part of the slug."""

    slug: str
    subject: str
    kind: str  # "setting", "option", "replacement" or "addition"
    usefulness: float
    title: str
    reason: str
    plan: str
    edits: tuple[Edit, ...]

    def applied(self, sources: Mapping[str, str]) -> dict[str, str]:
        """The files after the change."""
        path = self.edits[0].path
        return {**sources, path: applied(sources[path], self.edits) or ""}


def mutations(sources: Mapping[str, str], seed: int) -> list[Mutation]:
    """Every change to the files (path -> text), the most promising first and kinds taking turns.

    Slugs are unique. The edits of each apply to the files as they are, and the result parses.
    """
    return list(_mutations(tuple(sorted(sources.items())), seed))


@lru_cache(maxsize=64)
def _mutations(sources: tuple[tuple[str, str], ...], seed: int) -> tuple[Mutation, ...]:
    parsed = [
        source
        for path, text in sources
        if len(text) <= LARGEST_FILE and (source := Source.parse(path, text))
    ]
    roots = {name.split(".")[0] for source in parsed for name in source.imports.values()}
    used = {name for source in parsed for name in source.names_read}
    found: dict[str, Mutation] = {}
    for source in parsed:
        for change in (*_settings(source, used), *replacements(source, roots), *additions(source)):
            if _slug(change) not in found and (mutation := _mutation(source, change)):
                found[mutation.slug] = mutation
    return tuple(_in_turns(found.values(), seed))


def subject_of(slug: str) -> str:
    """What the mutation of this slug changes: its `subject`."""
    return slug.rpartition("-to-")[0] or slug


def _slug(change: Change) -> str:
    subject, target = (
        re.sub(r"[^a-z0-9]+", "-", text.lower())[:27].strip("-")
        for text in (change.subject, change.target)
    )
    return f"{subject or 'it'}-to-{target or 'it'}" if change.target else subject


def _mutation(source: Source, change: Change) -> Mutation | None:
    new = rewritten(source.text, change.places)
    edits = edits_between(source.path, source.text, new)
    if not edits or applied(source.text, edits) != new or not parses_with(source, change.places):
        return None
    slug = _slug(change)
    line = source.text.count("\n", 0, change.places[0][0]) + 1
    return Mutation(
        slug=slug,
        subject=subject_of(slug),
        kind=change.kind,
        usefulness=change.usefulness,
        title=change.title,
        reason=change.reason,
        plan=f"In {source.path}, line {line}: {change.title[0].lower()}{change.title[1:]}, "
        "and leave everything else as it is.",
        edits=edits,
    )


def _in_turns(found: Iterable[Mutation], seed: int) -> list[Mutation]:
    """By usefulness within a kind, each subject's first change before any one's second, and the
    kinds in turns. The seed decides between equals."""

    def rank(mutation: Mutation) -> tuple[float, str]:
        tie = hashlib.sha256(f"{seed} {mutation.slug}".encode()).hexdigest()
        return -mutation.usefulness, tie

    queues: dict[str, list[tuple[int, Mutation]]] = defaultdict(list)
    seen: dict[str, int] = defaultdict(int)
    for mutation in sorted(found, key=rank):
        queues[mutation.kind].append((seen[mutation.subject], mutation))
        seen[mutation.subject] += 1
    turns = []
    for queue in queues.values():
        queue.sort(key=lambda entry: (entry[0], *rank(entry[1])))
        turns += [(place, rank(mutation), mutation) for place, (_, mutation) in enumerate(queue)]
    return [mutation for _, _, mutation in sorted(turns, key=lambda turn: turn[:2])]


# --- settings -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Setting:
    """A literal with a name. A doubtful one is only changed when its name is a known setting's."""

    name: str
    value: ast.expr
    owner: str = ""  # what it is an argument of
    doubtful: bool = False
    choices: tuple[str, ...] = ()


def _settings(source: Source, used: set[str]) -> Iterator[Change]:
    """Nothing that no file reads: a value without an effect is not worth an experiment."""
    for node in source.nodes:
        for setting in _found_in(source, node):
            dead = isinstance(node, ast.Assign | ast.AnnAssign) and setting.name not in used
            if not dead and not UNTOUCHABLE.search(setting.name.lower()):
                yield from _varied(source, setting)


def _found_in(source: Source, node: ast.AST) -> Iterator[_Setting]:
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if len(targets) == 1 and isinstance(targets[0], ast.Name):
            name = targets[0].id
            field = isinstance(source.owners[node], ast.ClassDef)
            yield _Setting(name, node.value, doubtful=not (name.isupper() or field))
    elif isinstance(node, ast.FunctionDef):
        yield from _defaults(node.args)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield _Setting(key.value, value, doubtful=True)
    elif isinstance(node, ast.Call):
        yield from _arguments(source, node)


def _defaults(arguments: ast.arguments) -> Iterator[_Setting]:
    positional = [*arguments.posonlyargs, *arguments.args]
    with_default = positional[len(positional) - len(arguments.defaults) :]
    for argument, default in zip(with_default, arguments.defaults, strict=True):
        yield _Setting(argument.arg, default)
    for argument, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if value:
            yield _Setting(argument.arg, value)


def _arguments(source: Source, call: ast.Call) -> Iterator[_Setting]:
    name = called(call)
    root = source.full_name(call.func).split(".")[0]
    if root in ("matplotlib", "seaborn", "logging", "os", "argparse") or re.search(
        r"(Error|Exception|Warning|Path)$", name
    ):
        return
    if name == "add_argument":
        yield from _option_of_program(call)
        return
    made = name[:1].isupper()  # a constructor: its keywords are settings
    for keyword in call.keywords:
        if keyword.arg:
            yield _Setting(keyword.arg, keyword.value, owner=name, doubtful=not made)
    if made and len(call.args) == 1 and not call.keywords:
        yield _Setting(name, call.args[0], doubtful=True)


def _option_of_program(call: ast.Call) -> Iterator[_Setting]:
    values = {keyword.arg: keyword.value for keyword in call.keywords}
    flags, choices = _strings(call.args), _strings(getattr(values.get("choices"), "elts", []))
    if flags and "default" in values:
        name = flags[-1].lstrip("-").replace("-", "_")
        yield _Setting(name, values["default"], choices=choices)


def _strings(nodes: Iterable[ast.expr]) -> tuple[str, ...]:
    values = (getattr(node, "value", None) for node in nodes)
    return tuple(value for value in values if isinstance(value, str))


def _varied(source: Source, setting: _Setting) -> Iterator[Change]:
    literal = setting.value
    if isinstance(literal, ast.Tuple | ast.List):
        yield from _resized(source, setting, literal)
    elif isinstance(literal, ast.Constant) and _is_written(source, literal):
        value = literal.value
        if isinstance(value, bool):
            yield from _flipped(source, setting, value)
        elif isinstance(value, int | float):
            yield from _rescaled(source, setting, value)
        elif isinstance(value, str):
            yield from _other_options(source, setting, value)


def _flipped(source: Source, setting: _Setting, value: bool) -> Iterator[Change]:
    if not setting.doubtful:
        verb = "Switch off" if value else "Switch on"
        why = f"whether {setting.name} pays is cheap to find out"
        yield _set(source, setting, str(not value), "option", (3.0, verb, why))


def _rescaled(source: Source, setting: _Setting, value: int | float) -> Iterator[Change]:
    scale = scale_of(setting.name)
    if scale.words or not setting.doubtful:
        for place, number in enumerate(nearby(scale, value)):
            said = ("Raise", scale.more) if number > value else ("Lower", scale.less)
            because = (scale.usefulness - place, *said)
            yield _set(source, setting, repr(number), "setting", because)


def _is_written(source: Source, value: ast.Constant) -> bool:
    """Whether the text at its position really is this literal."""
    try:
        return bool(ast.literal_eval(source.segment(value)) == value.value)
    except (SyntaxError, ValueError):
        return False


def _other_options(source: Source, setting: _Setting, value: str) -> Iterator[Change]:
    families = [{choice: f"{choice} is there to be chosen" for choice in setting.choices}]
    families += [options for name, options in OPTIONS if name == setting.name.lower()]
    options = next((family for family in families if value in family), {})
    quote = source.segment(setting.value)[-1]
    others = [option for option in options if option != value]
    for place, option in enumerate(others):
        because = (5.0 - place, f"Use {option} as", options[option])
        yield _set(source, setting, f"{quote}{option}{quote}", "option", because)


def _resized(source: Source, setting: _Setting, value: ast.Tuple | ast.List) -> Iterator[Change]:
    sizes = [e.value for e in value.elts if isinstance(e, ast.Constant) and type(e.value) is int]
    if not sizes or len(sizes) != len(value.elts):
        return
    name, brackets = setting.name.lower(), "[]" if isinstance(value, ast.List) else "()"
    if "ngram" in name:
        near = [([sizes[0], sizes[-1] + 1], "Extend", "longer phrases tell more than single words")]
    elif re.search(r"hidden|layer|units|width|filters", name):
        near = [
            ([s * 2 for s in sizes], "Double", "wider layers hold more features at once"),
            (
                [*sizes, sizes[-1]],
                "Deepen",
                "another layer composes the features of the one before",
            ),
            (
                [s * 4 for s in sizes],
                "Quadruple",
                "a network too wide for the data is often easier to train",
            ),
            (
                [max(2, s // 2) for s in sizes],
                "Halve",
                "narrow layers cannot memorise the examples",
            ),
        ]
    else:
        return
    for place, (new, verb, why) in enumerate(near):
        inner = ", ".join(map(str, new)) + ("," if len(new) == 1 and brackets == "()" else "")
        text = brackets[0] + inner + brackets[1]
        yield _set(source, setting, text, "setting", (6.5 - place, verb, why))


def _set(
    source: Source, setting: _Setting, new: str, kind: str, because: tuple[float, str, str]
) -> Change:
    """`because`: the usefulness, what is done to the setting, and why."""
    old = source.segment(setting.value)
    name = f"{setting.name} of {setting.owner}" if setting.owner else setting.name
    usefulness, verb, reason = because
    return Change(
        kind=kind,
        subject=setting.name,
        target=new,
        usefulness=usefulness,
        title=f"{verb} {name}" + ("" if kind == "option" else f" from {old} to {new}"),
        reason=reason,
        places=((*source.span(setting.value), new),),
    )
