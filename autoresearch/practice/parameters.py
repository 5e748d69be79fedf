"""What may be given to a function, a method or a class, where its definition says so for certain."""

import ast
from collections import Counter
from dataclasses import dataclass, replace

Function = ast.FunctionDef | ast.AsyncFunctionDef
# Decorators that leave a function's parameters as they are.
_TRANSPARENT = frozenset(
    {"no_grad", "inference_mode", "enable_grad", "lru_cache", "cache", "contextmanager", "override"}
)


@dataclass(frozen=True)
class Parameters:
    """What may be given by place (`places`, the first `only` of them not by name), and by name."""

    places: tuple[str, ...] = ()
    only: int = 0
    optional: frozenset[str] = frozenset()
    named: tuple[str, ...] = ()
    more_places: bool = False
    more_names: bool = False

    @classmethod
    def of(cls, arguments: ast.arguments, skip: int = 0) -> "Parameters":
        """`skip` of the first parameters are filled in by Python itself (self)."""
        positional = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
        with_default = positional[len(positional) - len(arguments.defaults) :]
        keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        optional = {*with_default, *(each.arg for each, default in keywords if default)}
        return cls(
            places=tuple(positional[skip:]),
            only=max(0, len(arguments.posonlyargs) - skip),
            optional=frozenset(optional),
            named=tuple(each.arg for each in arguments.kwonlyargs),
            more_places=arguments.vararg is not None,
            more_names=arguments.kwarg is not None,
        )

    def problem(self, call: ast.Call) -> str:
        """Why the call cannot work, "" where it may."""
        given = [each for each in call.args if not isinstance(each, ast.Starred)]
        unpacked = len(given) < len(call.args)
        if len(given) > len(self.places) and not self.more_places:
            return f"takes at most {len(self.places)} arguments by place and is given {len(given)}"
        names = [each.arg for each in call.keywords if each.arg is not None]
        known = {*self.places[self.only :], *self.named}
        unknown = [name for name in names if name not in known]
        if unknown and not self.more_names:
            return f"has no parameter {unknown[0]!r}"
        filled = [] if unpacked else self.places[: len(given)]
        twice = [name for name in names if name in filled and name in known]
        if twice:
            return f"is given {twice[0]!r} by place and by name"
        if unpacked or len(names) < len(call.keywords):
            return ""
        needed = [name for name in (*self.places, *self.named) if name not in self.optional]
        missing = [name for name in needed if name not in filled and name not in names]
        return f"is not given {', '.join(map(repr, missing))}" if missing else ""

    def __str__(self) -> str:
        def shown(name: str) -> str:
            return f"{name}=..." if name in self.optional else name

        parts = [*map(shown, self.places)]
        if self.only:
            parts.insert(self.only, "/")
        parts += ["*rest"] if self.more_places else ["*"] if self.named else []
        parts += [*map(shown, self.named), *(["**more"] if self.more_names else [])]
        return f"({', '.join(parts)})"


def members_of(node: ast.ClassDef) -> Counter[str]:
    """How often each name is bound in the body of a class."""
    found: Counter[str] = Counter()
    for each in node.body:
        if isinstance(each, Function | ast.ClassDef):
            found[each.name] += 1
        else:
            found.update(
                n.id if isinstance(n, ast.Name) else n.name
                for n in ast.walk(each)
                if (isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
                or isinstance(n, Function)
            )
    return found


def last_name(node: ast.expr) -> str:
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def function_parameters(node: Function, skip: int = 0) -> Parameters | None:
    if any(last_name(each) not in _TRANSPARENT for each in node.decorator_list):
        return None
    if skip and not (node.args.posonlyargs or node.args.args):
        return None
    return Parameters.of(node.args, skip)


def method_parameters(node: Function) -> Parameters | None:
    """What a call through an instance may give; None where a decorator may change that."""
    kinds = {last_name(each) for each in node.decorator_list} & {"staticmethod", "classmethod"}
    rest = [each for each in node.decorator_list if last_name(each) not in kinds]
    plain = ast.FunctionDef(
        name=node.name, args=node.args, body=node.body, decorator_list=rest, lineno=node.lineno
    )
    return function_parameters(plain, skip=0 if "staticmethod" in kinds else 1)


def dataclass_parameters(node: ast.ClassDef) -> Parameters | None:
    """The constructor that @dataclass makes; None for any other decorator, and what is not plain."""
    decorator = node.decorator_list[0]
    options = (
        {k.arg: k.value for k in decorator.keywords} if isinstance(decorator, ast.Call) else {}
    )
    if (
        last_name(decorator) != "dataclass"
        or {"init", None} & set(options)
        or members_of(node)["__init__"]
    ):
        return None
    kw_only = options.get("kw_only")
    by_name = isinstance(kw_only, ast.Constant) and kw_only.value is True
    made = Parameters()
    for each in node.body:
        if not isinstance(each, ast.AnnAssign) or not isinstance(each.target, ast.Name):
            continue
        kind = ast.unparse(each.annotation)
        if "KW_ONLY" in kind:
            by_name = True
        elif "ClassVar" not in kind:
            field = each.value if isinstance(each.value, ast.Call) and last_name(each.value) == "field" else None  # fmt: skip
            if field and any(k.arg in ("init", "kw_only", None) for k in field.keywords):
                return None
            told = {k.arg for k in field.keywords} if field else set()
            optional = (
                bool(told & {"default", "default_factory"}) if field else each.value is not None
            )
            made = _with(made, each.target.id, optional, by_name)
    return made


def _with(made: Parameters, name: str, optional: bool, by_name: bool) -> Parameters:
    made = replace(made, optional=made.optional | {name}) if optional else made
    if by_name:
        return replace(made, named=(*made.named, name))
    return replace(made, places=(*made.places, name))
