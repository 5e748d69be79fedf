"""Names replaced by others that can stand in for them, and usual steps added where they are missing."""

import ast
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter

from autoresearch.alternatives import FAMILIES, Family
from autoresearch.sourcecode import Change, Place, Source, called, importing, rewritten, syntax_tree

_LINE = attrgetter("lineno")

ESTIMATORS = {name for f in FAMILIES if f.what in ("classifier", "regressor") for name in f.members}
REGRESSORS = {name for f in FAMILIES if f.what == "regressor" for name in f.members}

# subject, step, its import, usefulness, reason
BEFORE_ESTIMATOR = (
    ("standard scaling", "StandardScaler()", "sklearn.preprocessing.StandardScaler", 7.0,
     "features of one scale get one say each"),
    ("polynomial features", "PolynomialFeatures(degree=2)", "sklearn.preprocessing.PolynomialFeatures", 5.0,
     "products of features let a simple model see interactions"),
    ("quantile transformation", "QuantileTransformer(n_quantiles=50)", "sklearn.preprocessing.QuantileTransformer", 4.5,
     "ranks instead of raw values take the sting out of outliers"),
    ("unit length rows", "Normalizer()", "sklearn.preprocessing.Normalizer", 4.0,
     "the direction of an example matters and its magnitude does not"),
    ("variance reduction", "PCA(n_components=0.95)", "sklearn.decomposition.PCA", 3.5,
     "dropping the last twentieth of the variance drops mostly noise"),
)  # fmt: skip
AUGMENTATIONS = (
    ("shifted copies", 7.5, 5, "np.roll({x}, shift, axis=axis)", "for axis, shift in ((1, 0), (1, 1), (1, -1), (2, 1), (2, -1))",
     "an object moved by one pixel is still the same object"),
    ("noisy copies", 5.0, 3, "{x} + level * {x}.std() * np.random.default_rng(copy).normal(size={x}.shape)",
     "for copy, level in enumerate((0.0, 0.1, 0.2))", "examples blurred by noise forbid relying on single pixels"),
    ("mirrored copies", 4.0, 2, "{x}[:, :, ::step]", "for step in (1, -1)", "a mirror image may belong to the same class"),
)  # fmt: skip
CLOUD_AUGMENTATIONS = (
    ("turned copies", 7.5, 4,
     "{x} @ np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]], dtype={x}.dtype)",
     "for a in (0.0, 1.57, 3.14, 4.71)", "an object turned around its axis is still the same object"),
    ("noisy copies", 5.0, 3, "({x} + level * np.random.default_rng(copy).normal(size={x}.shape)).astype({x}.dtype)",
     "for copy, level in enumerate((0.0, 0.02, 0.04))", "points that move a little forbid relying on single ones"),
)  # fmt: skip


def replacements(source: Source, roots: set[str]) -> Iterator[Change]:
    """Stand-ins from the libraries (`roots`) that the program imports anyway."""
    for node in source.nodes:
        if not isinstance(node, ast.Call):
            continue
        name = source.full_name(node.func)
        for family in FAMILIES:
            if name in family.members:
                yield from _stand_ins(source, node, family, roots)


def _stand_ins(source: Source, call: ast.Call, family: Family, roots: set[str]) -> Iterator[Change]:
    name = source.full_name(call.func)
    others = [full for full in family.members if full != name and full.split(".")[0] in roots]
    for place, other in enumerate(others):
        old, new = called(call), other.rpartition(".")[2]
        stated, why = family.members[other]
        yield Change(
            kind="replacement",
            subject=old,
            target=new,
            usefulness=family.usefulness - place / 2,
            title=f"Replace the {family.what} {old} by {new}",
            reason=why,
            places=tuple(_replaced(source, call, other, (family, stated))),
        )


def _replaced(
    source: Source, call: ast.Call, other: str, terms: tuple[Family, str]
) -> Iterator[tuple[int, int, str]]:
    family, stated = terms
    module, _, last = other.rpartition(".")
    function = call.func
    local = last
    if isinstance(function, ast.Attribute) and source.full_name(function.value) == module:
        local = f"{source.segment(function.value)}.{last}"
    elif place := importing(source, other):
        yield place
    kept = [source.segment(a) for a in call.args] if family.positional else []
    kept += [f"{k.arg}={source.segment(k.value)}" for k in call.keywords if k.arg in family.keeps]
    named = {k.arg for k in call.keywords if k.arg in family.keeps}
    stated_first = [s for s in stated.split(", ") if s and s.split("=")[0] not in named]
    positional = len(call.args) if family.positional else 0
    arguments = ", ".join([*kept[:positional], *stated_first, *kept[positional:]])
    yield *source.span(call), f"{local}({arguments})"


# --- additions ---


def additions(source: Source) -> Iterator[Change]:
    """Preprocessing, ensembles, augmentation and regularisation that the program does not have."""
    roots = {name.split(".")[0] for name in source.imports.values()}
    for node in source.nodes:
        if isinstance(node, ast.Call) and source.full_name(node.func) in ESTIMATORS:
            yield from _around_estimator(source, node)
        if isinstance(node, ast.Assign) and "numpy" in roots:
            yield from _augmented(source, node)
        if isinstance(node, ast.Call) and "torch" in roots:
            yield from _regularised(source, node)


def _added(
    subject: str, usefulness: float, reason: str, places: tuple[Place, ...], title: str = ""
) -> Change:
    title = title or f"Add {subject}"
    return Change("addition", f"add-{subject}", "", usefulness, title, reason, places)


# --- scikit-learn -------------------------------------------------------------------------------


def _around_estimator(source: Source, call: ast.Call) -> Iterator[Change]:
    start, end = source.span(call)
    inside = _pipeline_around(source, call)
    for subject, step, name, usefulness, reason in BEFORE_ESTIMATOR:
        if f"{name.rpartition('.')[2]}(" in source.text:
            continue
        if inside:
            places: list[Place | None] = [(start, start, f"{step}, ")]
        else:
            places = [(start, start, f"make_pipeline({step}, "), (end, end, ")")]
        places += [] if inside else [importing(source, "sklearn.pipeline.make_pipeline")]
        yield _added(subject, usefulness, reason, _with_imports(source, places, name))
    yield from _ensemble(source, call)


def _with_imports(source: Source, places: list[Place | None], name: str) -> tuple[Place, ...]:
    """The places and the import of `name`; imports at one offset become one place."""
    real = [place for place in [*places, importing(source, name)] if place]
    merged: dict[tuple[int, int], str] = {}
    for start, end, text in real:
        merged[start, end] = merged.get((start, end), "") + text
    return tuple((*span, text) for span, text in merged.items())


def _pipeline_around(source: Source, call: ast.Call) -> bool:
    owner = source.owners.get(call)
    return isinstance(owner, ast.Call) and called(owner) == "make_pipeline"


def _ensemble(source: Source, call: ast.Call) -> Iterator[Change]:
    name = "BaggingRegressor" if source.full_name(call.func) in REGRESSORS else "BaggingClassifier"
    if "Bagging" in source.text:
        return
    start, end = source.span(call)
    seed = next((k for k in call.keywords if k.arg == "random_state"), None)
    tail = (
        f", n_estimators=10, random_state={source.segment(seed.value)})"
        if seed
        else ", n_estimators=10)"
    )
    places: list[Place | None] = [(start, start, f"{name}("), (end, end, tail)]
    yield _added(
        "bagging", 6.5, "ten models on resampled data average their errors away",
        _with_imports(source, places, f"sklearn.ensemble.{name}"),
    )  # fmt: skip


# --- augmentation -------------------------------------------------------------------------------


def _augmented(source: Source, node: ast.Assign) -> Iterator[Change]:
    """After `images, labels, ... = ...`: more training images or point clouds made from those that are there."""
    target = node.targets[0]
    if not isinstance(target, ast.Tuple) or not all(isinstance(e, ast.Name) for e in target.elts):
        return
    names = [e.id for e in target.elts if isinstance(e, ast.Name)]
    names = [n for n in names if not re.search(r"test|val|eval|pool|hold|query", n.lower())]
    images = [n for n in names if re.search(r"image|img|scan|picture", n.lower())]
    clouds = [n for n in names if re.search(r"cloud|points", n.lower())]
    labels = [n for n in names if re.search(r"label|target|(^|_)y(_|$)", n.lower())]
    numpy = next((local for local, full in source.imports.items() if full == "numpy"), "")
    if len(images + clouds) != 1 or len(labels) != 1 or not numpy or "np.tile(" in source.text:
        return
    x, y, indent, end = (images + clouds)[0], labels[0], source.indent(node), source.span(node)[1]
    for subject, usefulness, copies, expression, loop, reason in (
        CLOUD_AUGMENTATIONS if clouds else AUGMENTATIONS
    ):
        made = expression.format(x=x).replace("np.", f"{numpy}.")
        text = (
            f"\n{indent}{x} = {numpy}.concatenate([{made} {loop}])"
            f"\n{indent}{y} = {numpy}.tile({y}, {copies})"
        )
        title = f"Train on {subject} of the {x} as well"
        yield _added(subject, usefulness, reason, ((end, end, text),), title)


# --- torch --------------------------------------------------------------------------------------


def _regularised(source: Source, call: ast.Call) -> Iterator[Change]:
    name = source.full_name(call.func)
    keywords = {keyword.arg for keyword in call.keywords}
    if (
        re.fullmatch(r"torch\.optim\.[A-Z]\w+", name)
        and "weight_decay" not in keywords
        and call.args
    ):
        places = _with_argument(source, call, "weight_decay=0.01")
        yield _added("weight decay", 5.5, "weights that earn nothing shrink away", places)
    cross_entropy = name in ("torch.nn.CrossEntropyLoss", "torch.nn.functional.cross_entropy")
    if cross_entropy and "label_smoothing" not in keywords:
        places = _with_argument(source, call, "label_smoothing=0.1")
        yield _added("label smoothing", 6.0, "softer targets keep the logits small", places)
    if re.fullmatch(r"torch\.nn\.(ReLU|GELU|SiLU|Tanh)", name):
        yield from _dropped_out(source, call)
    if called(call) == "step" and isinstance(call.func, ast.Attribute):
        yield from _around_step(source, call.func.value, source.owners[call])


def _with_argument(source: Source, call: ast.Call, text: str) -> tuple[Place, ...]:
    """A further argument after the last one."""
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if not given:
        end = source.span(call)[1] - 1
        return ((end, end, text),)
    end = max(source.span(argument)[1] for argument in given)
    return ((end, end, f", {text}"),)


def _dropped_out(source: Source, call: ast.Call) -> Iterator[Change]:
    owner = source.owners.get(call)
    sequential = isinstance(owner, ast.Call) and called(owner) == "Sequential"
    module = source.segment(call.func).rpartition(".")[0]
    if sequential and module and "Dropout" not in source.text:
        end = source.span(call)[1]
        why = "units that may be missing cannot rely on one another"
        yield _added("dropout", 6.0, why, ((end, end, f", {module}.Dropout(0.1)"),))


def _around_step(source: Source, optimiser: ast.expr, statement: ast.AST) -> Iterator[Change]:
    """Gradient clipping before `optimiser.step()`, and a schedule around the loop it is in."""
    name = source.segment(optimiser)
    model = _model_of(source, name, source.scope(statement))
    if not model or not isinstance(statement, ast.Expr) or "import torch\n" not in source.text:
        return
    start, indent = source.span(statement)[0], source.indent(statement)
    if "clip_grad" not in source.text:
        text = f"torch.nn.utils.clip_grad_norm_({model}.parameters(), 1.0)\n{indent}"
        why = "one bad batch cannot throw the weights far away"
        yield _added("gradient clipping", 5.0, why, ((start, start, text),))
    loop = _epochs_around(source, statement)
    if loop and isinstance(loop.iter, ast.Call) and "lr_scheduler" not in source.text:
        (start, end), indent = source.span(loop), source.indent(loop)
        length = source.segment(loop.iter.args[0])
        schedule = f"torch.optim.lr_scheduler.CosineAnnealingLR({name}, T_max={length})"
        before = f"schedule = {schedule}\n{indent}"
        after = f"\n{source.indent(loop.body[-1])}schedule.step()"
        why = "large steps find the region and ever smaller ones the minimum"
        yield _added("cosine schedule", 6.5, why, ((start, start, before), (end, end, after)))


def _model_of(source: Source, optimiser: str, scope: ast.AST) -> str:
    """The expression whose parameters the optimiser of this name was made with, in this scope."""
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            made = re.match(r"[\w.]+\(\s*([\w.]+)\.parameters\(\)", source.segment(node.value))
            if made and source.segment(node.targets[0]) == optimiser:
                return made[1]
    return ""


def _epochs_around(source: Source, node: ast.AST) -> ast.For | None:
    """The outermost `for ... in range(n)` of the same function."""
    found = None
    while node in source.owners and not isinstance(node, ast.FunctionDef):
        if isinstance(node, ast.For) and _is_counted(node):
            found = node
        node = source.owners[node]
    return found


def _is_counted(loop: ast.For) -> bool:
    iterable = loop.iter
    if not isinstance(iterable, ast.Call):
        return False
    return called(iterable) == "range" and len(iterable.args) == 1


def parses_with(source: Source, places: Sequence[Place]) -> bool:
    """Whether the text parses with the places replaced; read are the top-level statements there."""
    decorated = (min([n, *getattr(n, "decorator_list", [])], key=_LINE) for n in source.tree.body)
    starts = [source.starts[node.lineno - 1] for node in decorated]
    firsts = bisect_right(starts, min(start for start, _, _ in places))
    lasts = bisect_right(starts, max(end for _, end, _ in places))
    low, high = [0, *starts][firsts if firsts > 1 else 0], [*starts, len(source.text)][lasts]
    inside = [(start - low, end - low, new) for start, end, new in places]
    try:
        syntax_tree(rewritten(source.text[low:high], inside), source.path)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True
